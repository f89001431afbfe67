"""An event that cannot go on: tried again, handed back to the server, or written to the dead letters."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from ..ports import Clock, Publisher, Source
from ..routing.letters import OMITTED, Fault, comes_back, dead_letter
from ..routing.route import CompiledRoute, MessageIds
from ..routing.run import Again, one_line
from ..routing.traces import told_trace, trace_of
from ..routing.verdict import GiveUp, HandOver, after_event_fault
from .faults import PARKED, Faults
from .sender import Sender
from .settling import Settler
from .stats import RouteStats
from .window import Entry, Phase, Window

log = logging.getLogger("gateway.route")


class Failing:
    """Decides what becomes of an event after a fault, and sees that it is done."""

    def __init__(
        self,
        route: CompiledRoute,
        source: Source,
        publisher: Publisher,
        stats: RouteStats,
        window: Window,
        faults: Faults,
        clock: Clock,
        sender: Sender,
        settler: Settler,
        left: Callable[[Entry], None],
    ) -> None:
        """`left` is called after each entry that was handed back."""
        self._route = route
        self._policy = route.config.retry
        self._source = source
        self._publisher = publisher
        self._stats = stats
        self._window = window
        self._faults = faults
        self._now = clock.monotonic
        self._time = clock.time
        self._sender = sender
        self._settler = settler
        self._left = left
        self._ids = route.ids("")
        self._ack_wait = float(route.config.source.ack_wait)

    def start(self, ids: MessageIds, ack_wait: float) -> None:
        """The source is open. A pause longer than `ack_wait` seconds is spent at the server."""
        self._ids = ids
        self._ack_wait = ack_wait

    def again(self, entry: Entry, fault: Again) -> None:
        """A passing fault of the event: pause, hand it over, or give up, as the policy says."""
        now = self._now()
        tries = self._window.tries_of(entry)
        tries.failed += 1
        tries.first = tries.first or now
        self._stats.count_retry(fault.code)
        sequence, stream = entry.delivery.sequence, self._route.origin.stream
        told = {"event": "event.retried", "route": self._route.name, "code": fault.code, "step": fault.step}
        text = f"event {sequence} of {stream} is tried again: {fault.code} in {fault.step}: {one_line(fault.message)}"
        told |= told_trace(trace_of(self._route, self._ids, entry.delivery))
        log.warning("%s", text, extra={**told, "sequence": sequence})
        verdict = after_event_fault(
            self._policy, tries.failed, now - tries.first, fault.after, self._ack_wait, random.random()
        )
        if isinstance(verdict, GiveUp):
            message = f"{fault.code}: {fault.message}"
            over = Fault(step=fault.step, code="retries-exhausted", message=message, exhausted=verdict.exhausted)
            self.fail(entry, over)
        elif isinstance(verdict, HandOver):
            self.hand_back(entry, verdict.seconds)
        else:
            entry.phase = Phase.PAUSED
            entry.due = now + verdict.seconds

    def fail(self, entry: Entry, fault: Fault) -> None:
        """To the dead letters, and only then settled."""
        entry.fault = fault
        entry.step = fault.step
        entry.reason = one_line(fault.message)
        if comes_back(self._route, entry.delivery):
            self._park(entry, fault.code, f"{self._route.dead_letter} comes back to the route, and it failed before")
        else:
            self._post(entry, fault)

    def _post(self, entry: Entry, fault: Fault, *, bare: bool = False) -> None:
        """Write the dead letter and send it."""
        tries = entry.tries
        attempts = (tries.failed if tries is not None else 0) + (0 if fault.exhausted else 1)
        delivery = entry.delivery
        letter = dead_letter(
            self._route,
            self._ids,
            delivery,
            fault,
            max(1, attempts, *(copy.tries for copy in entry.copies)),
            self._time(),
            self._publisher.max_payload,
            bare=bare,
        )
        entry.letter = letter
        entry.phase = Phase.SENDING
        entry.open_copies = 1
        if letter.open:
            self._sender.send(entry, letter)
        else:
            self.letter_refused(entry, letter.code, letter.fault)

    def letter_refused(self, entry: Entry, code: str, text: str) -> None:
        """It does not fit. Without its original headers it may; else it is parked until the longest pause is over."""
        if entry.letter is not None and entry.fault is not None and OMITTED not in entry.letter.header_block:
            self._post(entry, entry.fault, bare=True)
            return
        self._park(entry, code, f"its dead letter does not fit: {text}")

    def _park(self, entry: Entry, code: str, text: str) -> None:
        self._faults.note(PARKED, code, self._settler.park(entry, code, text))
        self.hand_back(entry, float(self._policy.max))

    def hand_back(self, entry: Entry, delay: float) -> None:
        """Give an event back to the server, for `delay` seconds; its tries are remembered."""
        self._source.nak(entry.delivery.token, delay)
        self._window.hand_back(entry)
        self._left(entry)
