"""The lane of an ordered route: what arrives begins when its order says so, and only while this replica is active."""

from __future__ import annotations

from ..config.model import KeyOrdering
from ..event import Delivery
from ..ports import Answer, Clock, OrderedSource, Publisher, Source, SourceInfo
from ..routing.route import CompiledRoute
from .journey import Journey
from .lane import Lane
from .ordered_journey import OrderedJourney
from .ordering import Ordering
from .stats import RouteStats
from .window import Entry, Phase
from .worker import Workers


class OrderedLane(Lane):
    """A lane with an order in place of its queue."""

    def __init__(
        self,
        route: CompiledRoute,
        source: Source,
        publisher: Publisher,
        stats: RouteStats,
        clock: Clock,
        instance: str = "",
        workers: Workers | None = None,
        journey: type[Journey] = OrderedJourney,
    ) -> None:
        """`source` is an OrderedSource; see Lane for the rest."""
        assert isinstance(source, OrderedSource)
        super().__init__(route, source, publisher, stats, clock, instance, workers, journey)
        self._free = False
        self._may = super()._may_begin
        ordering = route.config.ordering
        path = ordering.key if isinstance(ordering, KeyOrdering) else None
        self.order = Ordering(route, path, source, self.window, self.faults, clock, self)
        source.follow(self.order.pinned)
        assert isinstance(self._journey, OrderedJourney)
        self._journey.order_by(path, self.order.done)
        self.begin = self._journey.begin
        """Start an event on its way."""
        self.answered = self._answered

    # ------------------------------------------------------------------ life, called by the supervisor

    def start(self, info: SourceInfo) -> None:
        """The source is open: see what is pending before anything begins."""
        super().start(info)
        if not self._draining:
            self.order.start(info.ack_wait)

    def pause(self) -> None:
        """The source is not open: what arrives waits."""
        super().pause()
        self.order.stop()

    def begin_drain(self, *, succeeded: bool = False) -> None:
        """Take nothing more; what has not begun, or waits for its next try, goes back too: it holds up a replica."""
        self.order.stop()
        self.hand_back_idle()
        super().begin_drain(succeeded=succeeded)

    def hand_back_idle(self) -> None:
        """Give back what nothing is under way for: it has not begun, waits for its next try, or for its targets."""
        for entry in list(self.window.entries.values()):
            if entry.phase in (Phase.WAITING, Phase.PAUSED) or self._sender.holds(entry):
                self._journey.hand_back(entry, 0.0)

    def close(self) -> None:
        """Let go of everything; nothing is settled by this."""
        self.order.stop()
        super().close()

    # ------------------------------------------------------------------ called by the edge

    def delivered(self, delivery: Delivery) -> None:
        """A message arrived, for the first time or again."""
        self._wake_up()
        super().delivered(delivery)
        if self._waiting:
            self.order.arrived(self._waiting.popleft())

    def _answered(self, token: int, answer: Answer) -> None:
        self._wake_up()
        self._sender.answered(token, answer)

    def _wake_up(self) -> None:
        """After a pause longer than ack-wait the server has given everything away, perhaps to a replica at work on it.

        The sweep sees that too, but what is read first after a pause may be what came before it.
        """
        now = self._now()
        asleep = now - self._last_sweep
        if asleep > self._ack_wait:
            self._last_sweep = now
            self._forget(f"this process stood still for {asleep:.0f} s, longer than ack-wait")

    # ------------------------------------------------------------------ called by the sweep, and by the order

    def sweep(self) -> None:
        """Everything that depends on time."""
        super().sweep()
        if self._ready and self._publisher.connected and not self._draining:
            self.order.sweep(self._now())

    def _waits(self) -> bool:
        """It is never swept seldom: its order looks at the time too, with an empty window."""
        return False

    def refill(self) -> None:
        """Ask for more, once this replica is active."""
        source, window = self._source, self.window
        if not self.order.open or not self._ready or self._draining:
            return
        self._spare = self.order.behind
        if source.too_large and not source.wanted and window.size < self._max_bytes and not self._sender.any_open:
            # It comes beside what waits behind a key, which may wait for long.
            source.pull(1, None)
            return
        super().refill()

    def may_begin(self) -> bool:
        """Whether the rate, and the room, allow another event now."""
        return self._may()

    def _may_begin(self) -> bool:
        """Nothing begins as it arrives."""
        return False

    def _work_off(self) -> None:
        self.order.work_off()

    def go_on(self) -> None:
        """Begin more of what may begin, after a turn of the loop."""
        self._wake_up()
        self.order.work_off()

    def drop(self, why: str) -> None:
        """Let go of everything in flight: it comes again."""
        self._forget(why)

    def _forget(self, why: str) -> None:
        super()._forget(why)
        self.order.forget()

    def _left(self, entry: Entry | None = None) -> None:
        if entry is not None:
            self.order.done(entry)
        super()._left(entry)
