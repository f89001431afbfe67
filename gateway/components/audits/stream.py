"""The audit `stream`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from ...chain.stored import Last, digest, line_in, line_of, read
from ...chain.writer import Chain, Sealed
from ...errors import ConfigProblem, Reject, Retry, RouteFault
from ...event import AuditRecord, Outcome, PubAck
from ...plugin import Audit, Settings
from ...records import Message
from ...templates import ROUTE_NAMES, Template, check_subject, fixed_text
from .._config import within
from ._told import Told

LOOK_BACK = 20_000
"""Records looked through, at the start of a chain, for the one to follow."""
LAST_WORDS = 3.0
"""Seconds for the end record when the route stops."""


class StreamAudit(Audit, name="stream"):
    """Store a record per event in a JetStream stream, as a hash chain that `gateway audit verify` proves whole.

    `subject` takes only the placeholders `{$gateway}`, `{$route}` and `{$stream}`; a stream has to take it. `stream`
    names that stream, so that no other can. With `outcomes` only these are recorded: published, filtered, dropped,
    dead_lettered. What the records say and what the chain proves: docs/audit.md.
    """

    class Config(Settings, frozen=True):
        """Where to, and what."""

        subject: Template
        stream: str | None = None
        outcomes: list[Outcome] | None = None

    config: Config
    example: ClassVar[Any] = {"subject": "audit.{$route}", "stream": "AUDIT"}

    def prepare(self) -> None:
        """Check the subject; raises ConfigProblem."""
        with within("subject"):
            check_subject(self.config.subject, ROUTE_NAMES)
        if self.config.outcomes == []:
            raise ConfigProblem(("outcomes",), "names no outcome", "leave it out to record all of them")
        self._told = Told(self.config.outcomes)
        self._chain: Chain | None = None
        self._subject = ""
        self._beginning: asyncio.Task[None] | None = None
        self._doubtful: list[Sealed] = []
        """Part of the chain, and not known to be stored: nothing new is sent before they are."""
        self._unanswered = False
        """Whether one of them may be stored all the same."""
        self._sequences: dict[int, int] = {}
        """Of those among them that are stored by now: number in the chain, sequence in the stream."""
        self._newest_sequence = 0
        """In the stream, of what is known to be stored: what is in doubt stands after it."""
        self._writing = asyncio.Lock()

    async def record(self, records: Sequence[AuditRecord]) -> None:
        """Chain and store them; raises RouteFault until all are stored."""
        async with self._writing:
            news = self._told.news(records)
            if news and self._chain is None:
                await self._begun(news[0])
            await self._settle_doubt()
            if news:
                chain = self._chain
                assert chain is not None
                for record in news:
                    self._doubtful.append(chain.seal(record))
                self._told.remember(news)
                await self._send()

    async def close(self) -> None:
        """Write the end record. Without one the chain is read as that of a crash, which harms nothing."""
        if self._beginning is not None:
            self._beginning.cancel()
        if self._chain is None:
            return
        try:
            async with asyncio.timeout(LAST_WORDS), self._writing:
                await self._settle_doubt()
                self._doubtful = [self._chain.end()]
                await self._send()
        except (RouteFault, TimeoutError) as error:
            self.context.log.warning(
                "the audit chain has no end record: %s", str(error) or "no answer", extra={"event": "audit.no-end"}
            )
        self._chain = None

    # ------------------------------------------------------------------ the beginning of a chain

    async def _begun(self, record: AuditRecord) -> None:
        """A look back may take longer than one call has; it goes on meanwhile, and the next call finds it done."""
        if self._beginning is None:
            self._beginning = asyncio.get_running_loop().create_task(self._begin(record))
        try:
            await asyncio.shield(self._beginning)
        finally:
            if self._beginning.done():
                self._beginning = None

    async def _begin(self, record: AuditRecord) -> None:
        self._subject = fixed_text(self.config.subject, record.gateway, record.route, record.stream)
        outcomes = sorted(self.config.outcomes or ())
        sink = " ".join(("stream", self._subject, *outcomes))
        line = line_of(record.gateway, record.instance, record.route, sink)
        follows, searched = await self._newest(line)
        chain = Chain(record.gateway, record.instance, record.route, sink)
        self._doubtful = [chain.start(follows, searched)]
        self._chain = chain

    async def _newest(self, line: str) -> tuple[Last | None, int | None]:
        """The newest record of this writer's chain before, and else how many records were looked through."""
        seen = 0
        try:
            async for message in self.context.recent(self._subject, LOOK_BACK):
                stored = read(message.data)
                self._newest_sequence = max(self._newest_sequence, message.sequence)
                if stored is not None and line_in(stored.chain) == line:
                    return Last(stored.chain, stored.n, digest(message.data)), None
                seen += 1
        except Retry as error:
            if error.code != "no-permission":
                raise self._fault(error) from error
            self.context.log.warning(
                "the audit chain follows none before: %s",
                error.message,
                extra={"event": "audit.no-look-back", "hint": f"allow reading the stream that takes {self._subject}"},
            )
            return None, seen
        return None, seen if seen == LOOK_BACK else None

    # ------------------------------------------------------------------ storing

    async def _settle_doubt(self) -> None:
        """Store what is sealed and may not be stored. The server forgets message ids in time, so look first."""
        if self._unanswered:
            await self._look()
            self._unanswered = False
        if self._doubtful:
            await self._send()

    async def _look(self) -> None:
        """Take out of doubt what is stored."""
        assert self._chain is not None
        found: dict[int, int] = {}
        try:
            async for message in self.context.recent(self._subject, LOOK_BACK):
                if message.sequence <= self._newest_sequence:
                    break
                stored = read(message.data)
                if stored is not None and stored.chain == self._chain.id:
                    found[stored.n] = message.sequence
        except Retry as error:
            if error.code != "no-permission":
                raise self._fault(error) from error
        self._stored(found)

    async def _send(self) -> None:
        """Send what is in doubt, all at once; raises RouteFault with the first reason, if any is not stored."""
        doubtful = self._doubtful
        self._unanswered = True  # until there is a word on each, also when this is cancelled
        try:
            words = await self.context.publish_all([self._message(sealed) for sealed in doubtful])
        except ValueError as error:
            self._unanswered = False
            raise RouteFault(
                "audit-failed", f"a record cannot be sent: {error}", "raise the server's max_payload"
            ) from error
        self._stored(
            {sealed.n: word.seq for sealed, word in zip(doubtful, words, strict=True) if isinstance(word, PubAck)}
        )
        faults = [word for word in words if not isinstance(word, PubAck)]
        self._unanswered = any(fault.code in ("timeout", "disconnected", "no-permission") for fault in faults)
        if faults:
            raise self._fault(faults[0])
        await self._tell_late()

    def _message(self, sealed: Sealed) -> Message:
        """The id is the place in the chain: by the record's own id a stream could drop a link as a duplicate."""
        assert self._chain is not None
        headers = {"Nats-Msg-Id": f"{self._chain.id}.{sealed.n}"}
        if self.config.stream is not None:
            headers["Nats-Expected-Stream"] = self.config.stream
        return Message(self._subject, sealed.data, headers)

    def _stored(self, sequences: dict[int, int]) -> None:
        self._sequences.update(sequences)
        self._newest_sequence = max(self._newest_sequence, *sequences.values(), 0)
        self._doubtful = [sealed for sealed in self._doubtful if sealed.n not in sequences]

    async def _tell_late(self) -> None:
        """Records that the stream refused at first stand after younger ones: the chain itself says so."""
        late: list[int] = []
        lowest = float("inf")
        for n, sequence in sorted(self._sequences.items(), reverse=True):
            if sequence > lowest:
                late.append(n)
            lowest = min(lowest, sequence)
        self._sequences = {}
        if late:
            assert self._chain is not None
            self._doubtful = [self._chain.late(sorted(late))]
            await self._send()

    @property
    def _wildcard(self) -> str:
        """What takes the records of every route: a stream for one of them would leave the others without."""
        parts = self.config.subject.parts
        return "".join(part if isinstance(part, str) else "*" for part in parts)

    def _fault(self, error: Retry | Reject) -> RouteFault:
        """Why the route is held, and what to do."""
        name = self.config.stream or "AUDIT"
        hints = {
            "no-stream": f"make one: nats stream add {name} --subjects '{self._wildcard}' --defaults",
            "stream-full": "raise its limits, or let it discard old messages",
            "no-permission": f"allow this user to publish to {self._subject}",
            "wrong-stream": f"correct stream: in the audit, or have {name} take {self._subject}",
            "too-large": "raise the stream's max_msg_size",
        }
        text = f"{self._subject} takes no audit records: {error.message}"
        return RouteFault("audit-failed", text, hints.get(error.code, ""))
