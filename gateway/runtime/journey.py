"""An event's way through a route: steps, copies, dead letter, audit, and the settling at the end of each.

Every way through ends in `_settle`, in a hand-over to the server, or in the window. The order is what keeps events:
the source is settled only after a stream has said that it holds the copies, or the dead letter.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from ..errors import DecodeError
from ..event import Event, Meta, Outcome
from ..ports import Clock, Publisher, Source
from ..routing.letters import Fault
from ..routing.outputs import copies, hops_of
from ..routing.route import CompiledRoute
from ..routing.run import Again, Failed, Passed, Result, StepInterrupted, Stopped, Suspended, one_line, run
from ..routing.verdict import CRASH_LOOP
from .auditing import Auditor
from .failing import Failing
from .faults import Faults
from .sender import Sender
from .settling import Settler
from .stats import RouteStats
from .steps import interrupted, resume
from .waiting import StepRunner
from .window import Entry, Phase, Window
from .worker import Workers

log = logging.getLogger("gateway.route")


class Journey:
    """Takes entries of the window to their end. Called on the event loop; `begin` never raises."""

    sender_type = Sender
    failing_type = Failing

    def __init__(
        self,
        route: CompiledRoute,
        source: Source,
        publisher: Publisher,
        stats: RouteStats,
        window: Window,
        faults: Faults,
        clock: Clock,
        instance: str,
        left: Callable[[Entry], None],
        verify: Callable[[], None],
        workers: Workers,
    ) -> None:
        """`left` is called after each entry that left; `verify` opens the source again: `start` or `forget` follows."""
        self.route = route
        self._publisher = publisher
        self._stats = stats
        self._window = window
        self._now = clock.monotonic
        self._audits = bool(route.audits)
        self._keeps_events = self._audits or route.has_memory
        self._tasks: set[asyncio.Task[None]] = set()
        self._ids = route.ids("")
        self._runner = StepRunner(faults, float(route.config.timeout), workers)
        self.auditor = Auditor(route, stats, faults, clock, instance, self.audited, workers)
        self.sender = self.sender_type(route, publisher, stats, window, faults, clock, self)
        self.settler = Settler(route, source, stats, window, clock, left, verify)
        self._settle = self.settler.settle
        self._failing = self.failing_type(
            route, source, publisher, stats, window, faults, clock, self.sender, self.settler, left
        )
        self._fail, self._again = self._failing.fail, self._failing.again
        self.hand_back = self._failing.hand_back
        """Give an event back to the server, for so many seconds; its tries are remembered."""

    def start(self, created: str, ack_wait: float) -> None:
        """The source is open: its stream's creation time goes into every id, and `ack_wait` is the consumer's."""
        self._ids = self.route.ids(created)
        self._failing.start(self._ids, ack_wait)
        self.auditor.start(created)
        for entry in self.settler.unsettled():
            self.audited(entry)

    def forget(self) -> None:
        """The server has given everything in flight away."""
        self.sender.forget()
        self.auditor.forget()
        self.settler.forget()
        for task in self._tasks:
            task.cancel()

    def close(self) -> None:
        """Let go of everything; nothing is settled by this."""
        for task in self._tasks:
            task.cancel()
        self.auditor.close()

    def spawn(self, coroutine_factory: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run something the route owns and cancels when it closes."""
        task = asyncio.get_running_loop().create_task(coroutine_factory())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------------ the steps

    def begin(self, entry: Entry) -> None:
        """No fault of this program may stop the lane either: the event stays in the window and is tried again."""
        try:
            self._process(entry)
        except BaseException:  # noqa: BLE001 - nothing here waits, so that none of them is a cancellation of ours
            self._stumble(entry)

    def _stumble(self, entry: Entry) -> None:
        """Begin an event anew after a fault of this program, being handled; its ids make a repeat harmless."""
        told = {"event": "route.internal-error", "route": self.route.name}
        log.exception("internal error", extra=told)
        if not self._window.holds(entry):
            return
        self.sender.let_go(entry)
        try:
            self._again(entry, Again("internal", "other", "internal error of the gateway"))
        except Exception:
            log.exception("internal error over the dead letter, too", extra=told)
            entry.phase = Phase.PAUSED
            entry.due = self._now() + float(self.route.config.retry.max)

    def _process(self, entry: Entry) -> None:
        delivery = entry.delivery
        entry.phase = Phase.STEPS
        tries = self._window.history.get(delivery.sequence) if self._window.history else None
        entry.tries = tries
        if tries is None and delivery.deliveries > CRASH_LOOP:
            self._fail(
                entry, Fault(step="receive", code="crash-loop", message=f"delivered {delivery.deliveries} times")
            )
            return
        if delivery.header_block and hops_of(delivery.header_block) >= self.route.max_hops:
            self._fail(entry, Fault(step="receive", code="loop", message=f"passed {self.route.max_hops} gateways"))
            return
        event = entry.event
        if event is None or tries is not None:
            attempt = 1 if tries is None else tries.failed + 1
            try:
                event = Event(self.route.reader, delivery, Meta(self.route.origin, delivery, attempt))
            except DecodeError as error:
                self._stats.count_step_error("decode", error.code)
                self._fail(entry, Fault(step="decode", code=error.code, message=error.message))
                return
            entry.event = event
        result: Result
        try:
            result = run(self.route, event)
        except StepInterrupted as error:
            result = interrupted(error)
        self._after(entry, result)

    def _after(self, entry: Entry, result: Result) -> None:
        """What follows from what the steps made of it."""
        if isinstance(result, Passed):
            self._publish(entry, result.events)
        elif isinstance(result, Stopped):
            entry.outcome = result.outcome
            entry.step = result.step.label
            if self.route.audits:
                entry.reason = one_line(result.explain())
            self._finish(entry)
        elif isinstance(result, Suspended):
            self.spawn(lambda: self._wait_for(entry, result))
        elif isinstance(result, Failed):
            self._stats.count_step_error(result.step, result.code)
            self._fail(entry, Fault(step=result.step, code=result.code, message=result.message))
        else:
            self._stats.count_step_error(result.step, result.code)
            self._again(entry, result)

    async def _wait_for(self, entry: Entry, paused: Suspended) -> None:
        """Wait for an async or blocking step; what comes too late, after the event was given away, is let go."""
        answer = await self._runner.run(paused)
        if self._window.holds(entry) and entry.phase is Phase.STEPS:
            try:
                self._after(
                    entry, answer if isinstance(answer, (Again, Failed)) else resume(self.route, paused, answer.value)
                )
            except BaseException:  # noqa: BLE001
                self._stumble(entry)

    def _publish(self, entry: Entry, events: list[Event]) -> None:
        assert entry.event is not None
        try:
            made = copies(self.route, self._ids, entry.delivery, entry.event, events, self._publisher.max_payload)
        except DecodeError as error:
            made = Failed("decode", error.code, error.message)
        if isinstance(made, Failed):
            self._stats.count_step_error(made.step, made.code)
            self._fail(entry, Fault(step=made.step, code=made.code, message=made.message))
            return
        if len(events) > 1:
            self._window.note_split(entry, sum(copy.size for copy in made))
        if not self._keeps_events:
            # A thousand decoded bodies that nobody reads any more push what is worked on out of the processor's cache.
            entry.event = None
        entry.phase = Phase.SENDING
        entry.copies = made
        to_send = [copy for copy in made if not copy.code]
        if self._window.stored:
            to_send = self._window.missing(to_send)
        entry.open_copies = len(to_send)
        if not to_send:
            self.copies_settled(entry)
        for copy in to_send:
            self.sender.send(entry, copy)

    def copies_settled(self, entry: Entry) -> None:
        """Every copy is stored or given up; or the dead letter is."""
        try:
            self._all_settled(entry)
        except Exception:  # noqa: BLE001
            self._stumble(entry)

    def _all_settled(self, entry: Entry) -> None:
        letter = entry.letter
        if letter is not None:
            if letter.ack is None:
                self._failing.letter_refused(entry, letter.code, letter.fault)
                return
            entry.outcome = Outcome.DEAD_LETTERED
            self._finish(entry)
            return
        failed = [copy for copy in entry.copies if copy.code]
        if not failed:
            entry.outcome = Outcome.PUBLISHED
            self._finish(entry)
            return
        first = failed[0]
        names = tuple(dict.fromkeys(copy.target.name for copy in failed if copy.target is not None))
        for copy in failed:
            self._stats.count_step_error("publish", copy.code)
        self._fail(
            entry,
            Fault(
                step="publish", code=first.code, message=first.fault, exhausted=entry.exhausted, failed_targets=names
            ),
        )

    def _finish(self, entry: Entry) -> None:
        """Its fate is stored: audit it if asked, then settle."""
        if self._audits:
            entry.phase = Phase.AUDITING
            self.auditor.add(entry)
        else:
            self._settle(entry)

    def audited(self, entry: Entry) -> None:
        if self._window.holds(entry):
            try:
                self._settle(entry)
            except Exception:  # noqa: BLE001
                self._stumble(entry)
