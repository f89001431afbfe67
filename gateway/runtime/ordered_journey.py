"""An event's way through an ordered route: nothing goes by another, so that nothing is handed over or parked."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import DecodeError
from ..event import Event, Meta
from ..paths import Path
from ..routing.letters import Fault
from ..routing.outputs import Copy
from .failing import Failing
from .faults import PARKED
from .journey import Journey
from .order import Ticket, key_of
from .sender import Sender
from .window import NEVER, Entry, Phase


class SenderInTurn(Sender):
    """Sends the copies of one event for one target one after the other.

    Sent together, one that fails would be stored behind the next.
    """

    _copies: list[Copy] | None = None
    """Those of the event that is being sent."""
    _last: dict[str, Copy]
    """The last of them for each target."""

    def send(self, entry: Entry, copy: Copy) -> None:
        """Get a copy stored once the one before it, for the same target, has its fate."""
        if copy.target is None:
            super().send(entry, copy)
            return
        if self._copies is not entry.copies:
            self._copies, self._last = entry.copies, {}
        before = self._last.get(copy.target.name)
        self._last[copy.target.name] = copy
        if before is not None and before.open:
            before.after = copy
            copy.deadline = NEVER
        else:
            super().send(entry, copy)

    def holds(self, entry: Entry) -> bool:
        """Whether all that is missing waits for targets, or for a copy that does."""
        copies = entry.copies if entry.letter is None else [entry.letter]
        missing = [copy for copy in copies if copy.open]
        return bool(missing) and not any(
            copy.awaiting or copy not in self._circuit(copy).held for copy in _firsts(missing)
        )

    def _settle_copy(self, entry: Entry, copy: Copy) -> None:
        following, copy.after = copy.after, None
        if following is not None:
            if entry.exhausted and copy.code:
                # It has waited as long, if not for itself: max-age is not over again for each part.
                following.first_failed = copy.first_failed
            super().send(entry, following)
        elif self._copies is entry.copies:
            self._copies = None
        super()._settle_copy(entry, copy)


class FailingInTurn(Failing):
    """What fails keeps its place."""

    def _park(self, entry: Entry, code: str, text: str) -> None:
        """It holds its line, is shown like one that is parked, and is tried again from its start."""
        self._faults.note(PARKED, code, self._settler.park(entry, code, text))
        self._sender.let_go(entry)
        entry.phase = Phase.PAUSED
        entry.due = self._now() + float(self._policy.max)


class OrderedJourney(Journey):
    """Takes the entries of an ordered route to their end."""

    sender_type = SenderInTurn
    failing_type = FailingInTurn
    _path: Path | None = None
    _fated: Callable[[Entry], None]

    def order_by(self, path: Path | None, fated: Callable[[Entry], None]) -> None:
        """`path` is the key's; `fated` is called when an event's fate is stored and its audit is not."""
        self._path, self._fated = path, fated

    def start(self, created: str, ack_wait: float) -> None:
        """The source is open; no pause is too long to be spent here."""
        super().start(created, NEVER)

    def _process(self, entry: Entry) -> None:
        if isinstance(entry.line, Ticket) and self._path is not None:
            try:
                event = Event(self.route.reader, entry.delivery, Meta(self.route.origin, entry.delivery, 1))
                key_of(event, self._path)
            except DecodeError as error:
                self._stats.count_step_error("decode", error.code)
                self._fail(entry, Fault(step="decode", code=error.code, message=error.message))
                return
        super()._process(entry)

    def _finish(self, entry: Entry) -> None:
        super()._finish(entry)
        if entry.phase is Phase.AUDITING:
            self._fated(entry)


def _firsts(copies: list[Copy]) -> list[Copy]:
    """Of each target the first one."""
    found: dict[str, Copy] = {}
    for copy in copies:
        found.setdefault("" if copy.target is None else copy.target.name, copy)
    return list(found.values())
