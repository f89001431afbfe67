"""What the time of a step is, and that a route that does not ask for it has none of it in its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway import Codec, Drop, Event, Reject
from gateway.delivery import Delivery
from gateway.errors import DecodeError
from gateway.plugin import Component
from gateway.runtime.journey import Journey
from gateway.runtime.stats import RouteStats
from gateway.runtime.timing import TimedJourney, TimedOrderedJourney, journey_for, time_steps, timed
from tests.unit.lanes import ManualClock, TestBed
from tests.unit.routes import STORED_NS, filter_, route_of, transform

ON = "step-durations: true"


def deliver(bed: TestBed, data: bytes = b'{"n": 1}') -> None:
    bed.source.sequence += 1
    sequence = bed.source.sequence
    bed.lane.delivered(Delivery("orders.created", b"", data, str(sequence), sequence, 1, STORED_NS))


def found(bed: TestBed) -> dict[str, tuple[int, float]]:
    """How often and how long, by step, of those that were observed."""
    durations = bed.stats.step_durations
    return {step: (sum(b.counts), round(b.total, 9)) for step, b in durations.items() if sum(b.counts)}


def taking(seconds: float, answer: Callable[[Event], Any] = lambda event: event) -> tuple[list[TestBed], Any]:
    """A step that takes so long by the clock of the bed that is put into the list."""
    beds: list[TestBed] = []

    def step(event: Event) -> Any:
        beds[0].clock.now += seconds
        return answer(event)

    return beds, step


def bed_with(
    beds: list[TestBed], *steps: type[Component], more: str = ON, codecs: tuple[type[Codec], ...] = ()
) -> TestBed:
    made = TestBed(route_of(*steps, more=more, codecs=codecs), 0)
    made.start()
    beds.append(made)
    return made


def test_every_step_has_its_time_under_its_label() -> None:
    """Together they are where an event's time went."""
    beds, slow = taking(0.25)
    check = filter_(lambda event: slow(event) is event)
    bed = bed_with(beds, check, transform(slow))
    assert set(bed.stats.step_durations) == {"decode", "filter-0-check", "transform-0-change", "publish"}
    assert found(bed) == {}
    deliver(bed)
    bed.clock.now += 3.0
    bed.publisher.answer()
    assert bed.source.settled == ["1"]
    assert found(bed) == {
        "decode": (1, 0.0),
        "filter-0-check": (1, 0.25),
        "transform-0-change": (1, 0.25),
        "publish": (1, 3.0),
    }
    assert bed.stats.duration.total == pytest.approx(3.5)


@pytest.mark.parametrize("data", [b'{"n": 1}', b"[1]", b"7", b"no JSON"])
@pytest.mark.parametrize("strict", ["", "codec: {json: {strict: true}}"], ids=["as far as read", "strict"])
def test_decoding_is_observed_once_an_event(data: bytes, strict: str) -> None:
    """Also where a first look at the keys finds no object, and the whole is decoded after it."""
    bed = bed_with([], more=f"{ON}\nfilters: [pattern: {{n: [1]}}]\n{strict}")
    deliver(bed, data)
    assert found(bed)["decode"] == (1, 0.0)


def test_copies_that_cannot_be_made_are_no_time_of_publish() -> None:
    """Their dead letter is sent, and that is no step of the route."""
    bed = bed_with([], transform(lambda event: [event.replace(key="same"), event.replace(key="same")]))
    deliver(bed)
    bed.clock.now += 9.0
    bed.publisher.answer()
    assert bed.stats.outcomes["dead_lettered"] == 1
    assert found(bed) == {"decode": (1, 0.0), "transform-0-change": (1, 0.0)}


def test_the_codecs_own_time_is_decode() -> None:
    beds, slow = taking(0.125)

    class Slow(Codec, name="slow"):
        def decode(self, data: bytes, headers: Any, subject: str) -> Any:
            slow(None)  # type: ignore[arg-type]
            if data == b"bad":
                raise DecodeError("no")
            return {"n": 1}

    bed = bed_with(beds, more=f"{ON}\ncodec: slow", codecs=(Slow,))
    deliver(bed)
    deliver(bed, b"bad")
    assert found(bed)["decode"] == (2, 0.25)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(lambda _: Drop("old"), "dropped"), (lambda _: [], "dead_lettered")],
    ids=["drops", "breaks the contract"],
)
def test_a_step_that_ends_the_event_has_its_time_and_what_follows_has_none(answer: Any, outcome: str) -> None:
    beds, slow = taking(0.5, answer)
    bed = bed_with(beds, transform(slow, "first"), transform(lambda event: event, "second"))
    deliver(bed)
    bed.clock.now += 9.0
    bed.publisher.answer()
    assert bed.stats.outcomes[outcome] == 1
    assert found(bed) == {"decode": (1, 0.0), "transform-0-first": (1, 0.5)}


def test_a_step_that_raises_has_its_time() -> None:
    def refuse(_: Event) -> Any:
        raise Reject("too-old", "no")

    beds, slow = taking(0.5, refuse)
    bed = bed_with(beds, transform(slow))
    deliver(bed)
    assert found(bed)["transform-0-change"] == (1, 0.5)


def test_a_held_target_shows_in_the_time_of_publish() -> None:
    """From the copies being made until the last of them is stored: pauses are what a slow target costs."""
    bed = bed_with([])
    bed.publisher.refuses = {"billing.orders"}
    deliver(bed)
    bed.run(20.0)
    assert found(bed) == {"decode": (1, 0.0)}
    bed.publisher.refuses = set()
    bed.run(120.0)
    assert bed.source.settled == ["1"]
    count, seconds = found(bed)["publish"]
    assert count == 1
    assert seconds >= 20.0


def test_what_the_server_took_back_is_not_observed() -> None:
    """Its time goes on in another process, and ends there."""
    bed = bed_with([])
    deliver(bed)
    bed.lane.disconnected_for(1000.0)
    bed.publisher.answer()
    deliver(bed)
    bed.clock.now += 1.0
    bed.publisher.answer()
    assert found(bed)["publish"] == (1, 1.0)


def test_a_route_that_does_not_ask_is_compiled_as_if_there_were_no_such_thing() -> None:
    """Nothing is called for an event that would not be called without; the parts are the very same objects."""
    route = route_of(filter_(lambda _: True), transform(lambda event: event))
    stats = RouteStats("orders", ["billing"], [step.label for step in route.steps])
    assert timed(route, stats, ManualClock().monotonic) is route
    assert journey_for(route, stats) is Journey
    assert stats.step_durations == {}


@pytest.mark.parametrize(("more", "kind"), [("", TimedJourney), ("ordering: strict", TimedOrderedJourney)])
def test_ordered_routes_are_timed_too(more: str, kind: type[Journey]) -> None:
    route = route_of(more=f"{ON}\n{more}")
    stats = RouteStats("orders", ["billing"])
    time_steps(route, stats)
    assert journey_for(route, stats) is kind


@pytest.mark.parametrize(("mode", "there"), [("required", True), ("best-effort", False)])
def test_only_an_audit_that_is_waited_for_takes_an_events_time(mode: str, there: bool) -> None:
    route = route_of(more=f"{ON}\naudits: [log]\naudit-mode: {mode}")
    stats = RouteStats("orders", ["billing"])
    time_steps(route, stats)
    assert ("audit" in stats.step_durations) is there


def test_a_reload_goes_on_with_the_steps_that_stay() -> None:
    """Counters never fall; a step of another name begins at zero."""
    before = RouteStats("orders", ["billing"], ["filter-0-check", "transform-0-old"])
    before.time_steps()
    for buckets in before.step_durations.values():
        buckets.observe(1.0)
    after = RouteStats("orders", ["billing"], ["filter-0-check", "transform-0-new"])
    after.time_steps("audit")
    after.continue_from(before)
    counts = {step: sum(buckets.counts) for step, buckets in after.step_durations.items()}
    assert counts == {"decode": 1, "filter-0-check": 1, "transform-0-new": 0, "publish": 1, "audit": 0}
    without = RouteStats("orders", ["billing"])
    without.continue_from(after)
    assert without.step_durations == {}
