"""A dead-letter stream: found by its subjects, read without consuming anything, letters removed one by one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from itertools import chain
from typing import Any, TypeVar

from ..config import model
from ..errors import Retry
from ..jetstream.api import STREAM_NOT_FOUND, ApiDenied, ApiError, ApiUnavailable, JetStreamApi
from ..jetstream.reader import StreamReader
from ..jetstream.streams import letters_line
from ..records import StoredMessage
from ..routing.redrive import Letter
from ..templates import fixed_text

Answer = TypeVar("Answer")

SEQUENCE_NOT_FOUND = 10043
DELETE_FAILED = 10057
GONE = ("no message found", "stream store EOF")
"""How the server says, under DELETE_FAILED, that there is no such message."""
PATIENCE = 5.0
"""Seconds a server that goes while letters are read is waited for at least: one that restarts takes that long."""
PAUSE = 0.25
"""Seconds before the next try where nobody answered."""


class DeadLetters:
    """One stream that holds dead letters, as it was when it was looked at."""

    def __init__(self, api: JetStreamApi, reader: StreamReader, info: dict[str, Any], patience: float) -> None:
        """`info` is the answer of STREAM.INFO; a server that goes while it is read is waited for `patience` seconds."""
        self._api = api
        self._reader = reader
        self._patience = max(patience, PATIENCE)
        config, state = info["config"], info["state"]
        self.name = str(config["name"])
        self.created = str(info["created"])
        """When the stream was made, as the server writes it: part of the message ids of what is sent again."""
        self.first = int(state["first_seq"])
        self.last = int(state["last_seq"])
        """The last sequence there was: what comes later is another run's."""
        self._keeps = config.get("retention", "limits") == "limits"
        """Whether a consumer may look; elsewhere it would take letters away, or be refused."""

    async def walk(self, first: int = 0, last: int = 0, subject: str | None = None) -> AsyncIterator[StoredMessage]:
        """The messages from sequence `first` to `last`, by default all there were; raises Retry."""
        first, last = max(first, self.first, 1), min(last or self.last, self.last)
        if last < first:
            return
        if self._keeps:
            async for message in self._reader.read(self.name, first, last, subject, self._patience):
                yield message
            return
        while first <= last:
            found = await self._next(first, subject or ">")
            if found is None or found.sequence > last:
                return
            first = found.sequence + 1
            yield found

    async def meant(self, sequences: Collection[int]) -> AsyncIterator[StoredMessage]:
        """All there were, or only those asked for by number, the oldest first; raises Retry."""
        if not sequences:
            async for message in self.walk():
                yield message
        for sequence in sorted(sequences):
            there = await self.message(sequence) if sequence <= self.last else None
            if there is not None:
                yield there

    async def _next(self, first: int, subject: str) -> StoredMessage | None:
        until = time.monotonic() + self._patience
        while True:
            try:
                return await _asked(self._api.message(self.name, first, subject), self.name)
            except Retry as error:
                if error.code != "unavailable" or time.monotonic() > until:
                    raise
            await asyncio.sleep(PAUSE)

    async def message(self, sequence: int) -> StoredMessage | None:
        """One message; raises Retry."""
        return await _asked(self._api.message(self.name, sequence), self.name)

    async def holds(self, letter: Letter) -> bool:
        """Whether a letter is still there; raises Retry."""
        found = await self.message(letter.sequence)
        return found is not None and found.header_block == letter.header_block

    async def check(self) -> None:
        """See that it is still the stream it was; raises Retry: what had a sequence there is not what has it now."""
        info = await _asked(self._api.stream_info(self.name), self.name)
        if info["created"] != self.created:
            raise Retry(f"the stream {self.name} was made anew meanwhile", code="stream-changed")

    async def check_removal(self) -> None:
        """See that letters may be removed, before anything is sent that then could not be; raises Retry."""
        try:
            await self._remove(0)  # there never is a message 0
        except ApiDenied as error:
            raise Retry(f"letters of {self.name} cannot be removed: {error}", code="no-permission") from error
        except ApiError as error:
            raise Retry(f"letters of {self.name} cannot be removed: {error}", code="fixed") from error
        except ApiUnavailable as error:
            raise Retry(str(error), code="unavailable") from error

    async def remove(self, sequence: int) -> bool:
        """Remove one message; False when it was gone already. Raises ApiError and ApiUnavailable."""
        return await self._remove(sequence)

    async def _remove(self, sequence: int) -> bool:
        try:
            await self._api.request(f"STREAM.MSG.DELETE.{self.name}", {"seq": sequence, "no_erase": True})
        except ApiError as error:
            gone = error.err_code == DELETE_FAILED and error.description in GONE
            if error.err_code == SEQUENCE_NOT_FOUND or gone:
                return False
            raise
        return True


async def _asked(question: Awaitable[Answer], stream: str) -> Answer:
    """What the server answers; raises Retry."""
    try:
        return await question
    except ApiError as error:
        if error.err_code == STREAM_NOT_FOUND:
            raise Retry(f"there is no stream {stream}", code="no-stream") from error
        raise Retry(f"{stream} cannot be read: {error}", code="unreadable") from error
    except ApiDenied as error:
        raise Retry(str(error), code="no-permission") from error
    except ApiUnavailable as error:
        raise Retry(str(error), code="unavailable") from error


def letter_subjects(config: model.Config) -> dict[str, str]:
    """The dead-letter subject of every route, of those that are off as well."""
    return {
        route.name: fixed_text(route.dead_letter.subject, config.name, route.name, route.source.stream)
        for route in config.routes
    }


async def find_streams(
    api: JetStreamApi,
    reader: StreamReader,
    config: model.Config,
    patience: float,
    named: str | None = None,
    routes: Iterable[str] = (),
    notice: Callable[[str], None] = lambda text: None,
) -> list[DeadLetters]:
    """The streams that take the dead letters of the config's routes, or of `routes`; or the one `named`.

    A route whose letters no stream takes is noted. Raises Retry when there is none at all, or nobody answers.
    """
    names = [named] if named is not None else await _taking(api, config, set(routes), notice)
    return [DeadLetters(api, reader, await _asked(api.stream_info(name), name), patience) for name in names]


async def _taking(
    api: JetStreamApi, config: model.Config, routes: set[str], notice: Callable[[str], None]
) -> list[str]:
    subjects = letter_subjects(config)
    # The letters of a route that is gone may be in any of them.
    wanted = subjects if routes - subjects.keys() or not routes else {name: subjects[name] for name in routes}
    found: dict[str, None] = {}
    without: dict[str, dict[str, list[str]]] = {}
    """Routes by subject, by what makes the stream they lack."""
    for route, subject in wanted.items():
        takers = await api.takers(subject)
        if takers is None:
            raise Retry("JetStream does not say which streams there are", code="unavailable")
        found.update(dict.fromkeys(takers))
        if not takers:
            lacking = without.setdefault(letters_line(config.streams, subject), {})
            lacking.setdefault(subject, []).append(route)
    texts = [_nowhere(lacking, line) for line, lacking in without.items()]
    if not found:
        raise Retry("\n".join(texts) or "the config has no routes", code="no-stream")
    for text in texts:
        notice(text)
    return list(found)


def _nowhere(routes: dict[str, list[str]], line: str) -> str:
    """What is said of subjects that no stream takes, and that one stream would."""
    subjects = ", ".join(routes)
    return f"no stream takes {subjects}, the dead letters of {', '.join(chain.from_iterable(routes.values()))}; {line}"
