"""Which letters are meant: all that is asked must hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from ..errors import EventError
from ..headers import Headers
from ..records import StoredMessage
from ..routing.redrive import Letter, letter_of, original_headers
from ..routing.route import CompiledRoute


class Bodies:
    """Decodes the events in letters as their routes would."""

    def __init__(self, routes: Mapping[str, CompiledRoute]) -> None:
        self._decoders: dict[str, Callable[[bytes, Headers, str], Any]] = {
            name: route.reader.decode for name, route in routes.items()
        }

    def of(self, letter: Letter) -> Any:
        """The body; JSON where the route is gone. Raises EventError when it cannot be decoded."""
        decode = self._decoders.get(letter.route)
        if decode is not None:
            return decode(letter.data, original_headers(letter), letter.source_subject)
        try:
            return msgspec.json.decode(letter.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise EventError("decode-error", "not JSON") from error


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; what is empty asks for nothing."""

    gateway: str
    """Letters of other gateways are never meant."""
    routes: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    sequences: frozenset[int] = frozenset()
    since_ns: int = 0
    """Stored then or later, in ns since the epoch."""
    pattern: Callable[[object], bool] | None = None
    body_of: Callable[[Letter], Any] | None = None
    """Decodes for `pattern`; raises EventError."""
    unseen_routes: set[str] = msgspec.field(default_factory=set)
    """Routes that were asked for, without those that some letter looked at is of."""
    unseen_codes: set[str] = msgspec.field(default_factory=set)
    """The same of codes."""

    def saw(self, letter: Letter) -> None:
        """One of the gateway's letters was looked at, be it meant or not."""
        self.unseen_routes.discard(letter.route)
        self.unseen_codes.discard(letter.code)

    @property
    def everything(self) -> bool:
        """Whether nothing is asked for."""
        return not (self.routes or self.codes or self.sequences or self.since_ns or self.pattern)

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is meant. What cannot be decoded matches no pattern."""
        return (
            letter.gateway == self.gateway
            and (not self.routes or letter.route in self.routes)
            and (not self.codes or letter.code in self.codes)
            and (not self.sequences or letter.sequence in self.sequences)
            and letter.stored_ns >= self.since_ns
            and (self.pattern is None or self._matches(letter))
        )

    def _matches(self, letter: Letter) -> bool:
        assert self.pattern is not None
        assert self.body_of is not None
        try:
            body = self.body_of(letter)
        except EventError:
            return False
        return self.pattern(body)


class Sieve:
    """Reads messages and keeps count of what was not meant."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self.no_letters = 0
        """Messages that no gateway wrote as dead letters."""
        self.of_others: dict[str, int] = {}
        """Letters of other gateways, by name."""

    async def sift(self, messages: AsyncIterator[StoredMessage]) -> AsyncIterator[Letter]:
        """The letters that are meant."""
        async for message in messages:
            letter = letter_of(message)
            if letter is None:
                self.no_letters += 1
            elif letter.gateway != self._selection.gateway:
                self.of_others[letter.gateway] = self.of_others.get(letter.gateway, 0) + 1
            else:
                self._selection.saw(letter)
                if self._selection.takes(letter):
                    yield letter
