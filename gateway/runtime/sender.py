"""Gets copies stored: publishes, matches answers, holds what a target cannot take, gives up by the policy."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from ..ports import Answer, AnswerKind, Clock, Publisher
from ..routing.outputs import Copy
from ..routing.route import CompiledRoute
from ..routing.traces import told_trace
from ..routing.verdict import ANSWER_WAIT, Holding, backoff, judge
from ..trace import received
from .circuit import Circuit
from .faults import TITLE, Faults
from .lookups import Lookups
from .stats import RouteStats
from .window import NEVER, Entry, Window

log = logging.getLogger("gateway.route")

LETTERS = "\0dead-letter"
"""The circuit of the dead-letter subject; no target can have this name."""


class SenderOwner(Protocol):
    """What the sender tells its lane."""

    def copies_settled(self, entry: Entry) -> None:
        """Every copy of the entry is stored or given up; or its dead letter is."""
        ...

    def spawn(self, coroutine_factory: Callable[[], Coroutine[Any, Any, None]]) -> None: ...


class Sender:
    """The publishing half of a lane."""

    def __init__(
        self,
        route: CompiledRoute,
        publisher: Publisher,
        stats: RouteStats,
        window: Window,
        faults: Faults,
        clock: Clock,
        owner: SenderOwner,
    ) -> None:
        self._publisher = publisher
        self._stats = stats
        self._window = window
        self._faults = faults
        self._now = clock.monotonic
        self._owner = owner
        self._policy = route.config.retry
        self._max_age = float(route.config.retry.max_age)
        self._pending: dict[int, tuple[Entry, Copy]] = {}
        self._next = 0
        self._timed = bool(route.audits)
        self._lookups = Lookups(publisher, window, owner.spawn, self._trouble)
        self.circuits = {t.name: Circuit(t.name, f"{TITLE}{t.name}", self._policy) for t in route.targets}
        self.circuits[LETTERS] = Circuit(LETTERS, "the dead-letter stream", self._policy)

    @property
    def any_open(self) -> bool:
        """Whether some target cannot take anything, so that pulling more makes no sense."""
        for circuit in self.circuits.values():  # noqa: SIM110 - asked per event, and a generator costs more than this
            if circuit.open:
                return True
        return False

    def send(self, entry: Entry, copy: Copy) -> None:
        """Get a copy stored, now or when its target can take it."""
        circuit = self._circuit(copy)
        if circuit.open:
            circuit.hold(copy, entry)
        else:
            self._write(entry, copy)

    def answered(self, token: int, answer: Answer) -> None:
        """A stream, or somebody else, answered a publish."""
        item = self._pending.get(token)
        if item is None or answer.kind is AnswerKind.IGNORED:
            self._stats.ignored_answers += 1
            return
        entry, copy = item
        if answer.kind is AnswerKind.STORED:
            self._stored(entry, copy, answer)
            return
        del self._pending[token]
        copy.tokens = tuple(other for other in copy.tokens if other != token)
        if copy.open and self._window.holds(entry):
            self._trouble(entry, copy, answer)

    def due(self, entry: Entry, now: float) -> None:
        """The sweep found a deadline of this entry reached: time-outs, and copies whose pause is over."""
        entry.due = NEVER
        for copy in (entry.letter,) if entry.letter is not None else tuple(entry.copies):
            if not copy.open:
                continue
            if copy.deadline <= now:
                if copy.awaiting:
                    self._timed_out(entry, copy)
                elif not copy.refused_at and self._too_old(copy, now):
                    self._exhausted(entry, copy, copy.fault)
                else:
                    self._write_again(entry, copy)
            entry.due = min(entry.due, copy.deadline)

    def sweep(self, now: float) -> None:
        """Probe open circuits, and give up copies older than the policy allows."""
        for circuit in self.circuits.values():
            if not circuit.open:
                continue
            if circuit.name != LETTERS and not circuit.route_fault:
                self._expire(circuit, now)
            probe = circuit.probe(now)
            if probe is not None:
                copy, entry = probe
                if self._window.holds(entry):
                    self._write_again(entry, copy)
                else:
                    circuit.release(copy, now)
            elif not circuit.open:
                self._faults.clear(circuit.title)
                self._faults.release(circuit.title, healed=False)

    def holds(self, entry: Entry) -> bool:
        """Whether all that is missing of an entry waits for targets that cannot take anything now."""
        copies = entry.copies if entry.letter is None else [entry.letter]
        missing = [copy for copy in copies if copy.open]
        return bool(missing) and all(copy in self._circuit(copy).held for copy in missing)

    def resend(self) -> None:
        """After a reconnect: what was written may have died with the connection; the ids make a repeat harmless."""
        for entry in list(self._window.entries.values()):
            for copy in (entry.letter,) if entry.letter is not None else entry.copies:
                if copy.open and copy.awaiting:
                    self._write_again(entry, copy)
        for circuit in self.circuits.values():
            circuit.hurry(self._now())

    def forget(self) -> None:
        """Everything in flight was given away by the server."""
        self._pending.clear()
        self._lookups.forget()
        for circuit in self.circuits.values():
            circuit.forget(self._now())

    def let_go(self, entry: Entry) -> None:
        """An event begins anew: what was sent of it has no fate of its own any more."""
        for copy in (*entry.copies, *(() if entry.letter is None else (entry.letter,))):
            circuit = self._circuit(copy)
            circuit.held.pop(copy, None)
            circuit.release(copy, self._now())
            self._expect_no_more(copy)
        self._lookups.let_go(entry)
        self._window.remember(entry)
        entry.copies, entry.letter, entry.fault, entry.due = [], None, None, NEVER

    def _circuit(self, copy: Copy) -> Circuit:
        return self.circuits[LETTERS if copy.target is None else copy.target.name]

    def _write_again(self, entry: Entry, copy: Copy) -> None:
        """Write what was made a while ago: by now the server may take less, and it closes the connection over more."""
        limit = self._publisher.max_payload
        if copy.size > limit:
            self._refuse(entry, copy, "too-large", f"{copy.shown_size}, the server takes {limit}")
        else:
            self._write(entry, copy)

    def _write(self, entry: Entry, copy: Copy) -> None:
        token = self._next = self._next + 1
        copy.awaiting = True
        copy.deadline = self._now() + ANSWER_WAIT
        if copy.deadline < entry.due:
            entry.due = copy.deadline
        if self._publisher.send(copy.subject, copy.header_block, copy.data, token):
            copy.tokens += (token,)
            self._pending[token] = (entry, copy)

    def _stored(self, entry: Entry, copy: Copy, answer: Answer) -> None:
        """A PubAck; one from another stream than the target names is none of ours."""
        ack = answer.ack
        target = copy.target
        if ack is None or (target is not None and target.stream is not None and ack.stream != target.stream):
            self._stats.ignored_answers += 1
            return
        self._expect_no_more(copy)
        if not copy.open:
            return
        copy.ack = ack
        if self._timed:
            copy.stored_at = self._now()
        if target is not None:
            name = target.name
            self._stats.published[name] += 1
            self._stats.published_bytes += copy.size
            if ack.duplicate:
                self._stats.duplicates[name] += 1
        circuit = self._circuit(copy)
        if circuit.open or circuit.held or circuit.failures:
            self._heal(circuit)
        if self._window.holds(entry):
            self._settle_copy(entry, copy)

    def _heal(self, circuit: Circuit) -> None:
        told = circuit.failures > 0 and not circuit.route_fault and circuit.name != LETTERS
        waiting = circuit.close()
        self._faults.clear(circuit.title)
        self._faults.release(circuit.title, healed=told)
        for copy, entry in waiting:
            if self._window.holds(entry) and copy.open:
                self._write_again(entry, copy)

    def _settle_copy(self, entry: Entry, copy: Copy) -> None:
        entry.open_copies -= 1
        if entry.open_copies == 0:
            self._owner.copies_settled(entry)

    def _timed_out(self, entry: Entry, copy: Copy) -> None:
        if self._publisher.denied(copy.subject):
            answer = Answer(
                AnswerKind.REFUSED, code="no-permission", text=f"no permission to publish to {copy.shown_subject}"
            )
        else:
            answer = Answer(AnswerKind.BUSY, code="timeout", text=f"no answer in {ANSWER_WAIT:g} s")
        self._trouble(entry, copy, answer)

    def _trouble(self, entry: Entry, copy: Copy, answer: Answer) -> None:
        """A publish was answered with anything but a PubAck, or not at all."""
        copy.awaiting = False
        if answer.kind is AnswerKind.NO_RESPONDERS:
            self._lookups.ask(entry, copy)
            return
        now = self._now()
        constant = copy.target is None or copy.target.constant or answer.of_route
        refused_before = now - copy.refused_at if copy.refused_at else None
        holding = judge(answer, constant=constant, refused_before=refused_before, letter=copy.target is None)
        if holding is Holding.REFUSED:
            text = f"{answer.text}: {copy.shown_size}" if answer.code == "too-large" else answer.text
            self._refuse(entry, copy, answer.code, text)
            return
        copy.tries += 1
        copy.first_failed = copy.first_failed or now
        self._stats.count_retry(answer.code)
        if holding is Holding.HOLD_COPY:
            self._circuit(copy).release(copy, now)
            if answer.kind is AnswerKind.REFUSED:
                copy.refused_at = copy.refused_at or now
            copy.fault = f"{answer.code}: {answer.text}"
            copy.deadline = now + max(1.0, backoff(self._policy, copy.tries, random.random()))
            entry.due = min(entry.due, copy.deadline)
            self._tell_again(entry, copy, answer.code)
            return
        self._hold(entry, copy, answer, route_fault=holding is Holding.HOLD_ROUTE)

    def _tell_again(self, entry: Entry, copy: Copy, code: str) -> None:
        """A copy waits by itself; the answer's text is left out, for its subject is made of the event."""
        sequence, target = entry.delivery.sequence, "" if copy.target is None else copy.target.name
        told = {"event": "event.retried", "route": self._stats.route, "code": code, "step": "publish"}
        text = f"event {sequence} is sent again to target {target}: {code} for the subject it has there"
        told |= told_trace(received(copy.header_block))
        log.warning("%s", text, extra={**told, "sequence": sequence, "target": target})

    def _refuse(self, entry: Entry, copy: Copy, code: str, text: str) -> None:
        """The copy can never be stored; a late word of it may find it waiting for its target."""
        circuit = self._circuit(copy)
        circuit.held.pop(copy, None)
        circuit.release(copy, self._now())
        self._give_up(entry, copy, code, text)

    def _give_up(self, entry: Entry, copy: Copy, code: str, text: str) -> None:
        copy.refuse(code, text)
        self._expect_no_more(copy)
        self._settle_copy(entry, copy)

    def _expect_no_more(self, copy: Copy) -> None:
        """The copy has its fate: what still comes for it is late."""
        for token in copy.tokens:
            self._pending.pop(token, None)
        copy.tokens = ()
        copy.awaiting = False

    def _hold(self, entry: Entry, copy: Copy, answer: Answer, *, route_fault: bool) -> None:
        circuit = self._circuit(copy)
        first = circuit.trip(
            copy, answer.code, answer.text, route_fault=route_fault, now=self._now(), chance=random.random()
        )
        circuit.hold(copy, entry)
        if route_fault or copy.target is None:
            # A target that is busy is no fault of the route; a dead letter that cannot be stored always is.
            name = None if copy.target is None else copy.target.name
            advice = self._publisher.advice(name) if answer.code == "no-stream" else ""
            text = f"{answer.text}; {advice}" if advice else answer.text
            self._faults.set(circuit.title, answer.code, f"{circuit.title}: {text}")
            self._faults.release(circuit.title, healed=False)
        else:
            self._faults.hold(circuit.title, answer.code, answer.text, first=first)
            self._faults.clear(circuit.title)

    def _expire(self, circuit: Circuit, now: float) -> None:
        for copy, entry in list(circuit.held.items()):
            if self._too_old(copy, now):
                del circuit.held[copy]
                if self._window.holds(entry):
                    self._exhausted(entry, copy, f"{circuit.code}: {circuit.text}")

    def _too_old(self, copy: Copy, now: float) -> bool:
        """Whether a copy has failed for longer than the policy allows; a dead letter has no other way out."""
        return copy.target is not None and copy.first_failed > 0 and now - copy.first_failed > self._max_age

    def _exhausted(self, entry: Entry, copy: Copy, text: str) -> None:
        entry.exhausted = "max-age"
        self._give_up(entry, copy, "retries-exhausted", text)
