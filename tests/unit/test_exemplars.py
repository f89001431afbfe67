"""Which traces the histograms remember, and where they are shown."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gateway.delivery import Delivery
from gateway.observe.metrics import Metrics
from gateway.runtime import settling
from gateway.runtime.exemplars import LOOK
from gateway.runtime.stats import Exemplar, GatewayStats, TracedBuckets
from tests.unit.lanes import TestBed
from tests.unit.routes import STORED_NS, route_of

TRACE, OTHER_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"


def block(trace: str, flags: str = "01", name: str = "traceparent") -> bytes:
    return f"NATS/1.0\r\nX-Shop: eu\r\n{name}: 00-{trace}-00f067aa0ba902b7-{flags}\r\n\r\n".encode()


@pytest.fixture
def bed() -> TestBed:
    made = TestBed(route_of(), 0)
    made.start()
    return made


def settle(bed: TestBed, header_block: bytes, seconds: float = 0.0) -> None:
    """One event comes, and is settled after so long."""
    bed.source.sequence += 1
    sequence = bed.source.sequence
    stored = STORED_NS + round((bed.clock.time() - 1_700_000_000.123456789) * 1e9)
    bed.lane.delivered(Delivery("orders.created", header_block, b"{}", str(sequence), sequence, 1, stored))
    bed.clock.now += seconds
    bed.publisher.answer()
    assert bed.source.settled[-1] == str(sequence)


def kept(buckets: TracedBuckets) -> list[Exemplar]:
    return [exemplar for exemplar in buckets.exemplars if exemplar is not None]


def test_the_trace_of_an_event_is_kept_in_the_bucket_it_falls_in(bed: TestBed) -> None:
    """So that from a slow bucket one click leads to a slow event."""
    settle(bed, block(TRACE), 0.3)
    duration, lag = bed.stats.duration, bed.stats.lag
    place = duration.bounds.index(0.5)
    found = duration.exemplars[place]
    assert found is not None
    assert (found.trace_id, found.time) == (TRACE, bed.clock.time())
    assert found.amount == pytest.approx(0.3)
    assert duration.counts[place] == 1
    assert [exemplar.trace_id for exemplar in kept(lag)] == [TRACE]
    assert lag.exemplars[lag.bounds.index(0.5)] is not None


@pytest.mark.parametrize(
    "header_block",
    [
        b"",
        b"NATS/1.0\r\nX-Shop: eu\r\n\r\n",
        block(TRACE, "00"),
        block("0" * 32),
        block("no-hex"),
        b"NATS/1.0\r\ntraceparent\r\n\r\n",
        b"NATS/1.0\r\ntraceparent: \xff\xfe\r\n\r\n",
        b"\x00",
        block(OTHER_TRACE)[:-2] + block(TRACE).removeprefix(b"NATS/1.0\r\n"),
    ],
    ids=[
        "no headers",
        "no trace",
        "not recorded",
        "zeros",
        "no hexadecimal",
        "no colon",
        "no UTF-8",
        "no block",
        "two",
    ],
)
def test_what_is_no_recorded_trace_is_no_exemplar_and_no_trouble(bed: TestBed, header_block: bytes) -> None:
    """An exemplar that leads nowhere is worse than none; and an event is settled whatever its headers say."""
    settle(bed, header_block)
    assert kept(bed.stats.duration) == kept(bed.stats.lag) == []
    assert sum(bed.stats.duration.counts) == 1


def test_the_headers_name_is_in_any_case(bed: TestBed) -> None:
    settle(bed, block(TRACE, name="TraceParent"))
    assert [exemplar.trace_id for exemplar in kept(bed.stats.duration)] == [TRACE]


def test_a_busy_bucket_asks_now_and_then_only_and_a_rare_one_every_time(
    bed: TestBed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes it cheap: looking for a trace takes longer than settling an event."""
    looked: list[bytes] = []
    exemplify = settling.exemplify

    def counted(header_block: bytes, *more: object) -> None:
        looked.append(header_block)
        exemplify(header_block, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(settling, "exemplify", counted)
    for _ in range(50):
        settle(bed, b"")
    assert looked == []
    settle(bed, block(TRACE))
    for _ in range(50):
        settle(bed, block(OTHER_TRACE))
    assert len(looked) == 1
    assert [exemplar.trace_id for exemplar in kept(bed.stats.duration)] == [TRACE]
    settle(bed, block(OTHER_TRACE), 2.0)
    assert [exemplar.trace_id for exemplar in kept(bed.stats.duration)] == [TRACE, OTHER_TRACE]
    bed.clock.now += LOOK
    settle(bed, block(OTHER_TRACE))
    assert [exemplar.trace_id for exemplar in kept(bed.stats.duration)] == [OTHER_TRACE, OTHER_TRACE]


async def test_only_openmetrics_shows_them(bed: TestBed) -> None:
    """The older format has no place for them: a scraper would refuse the whole page."""
    settle(bed, block(TRACE), 0.3)
    stats = GatewayStats("test", "abc")
    stats.routes = {"orders": bed.stats}
    plain, _ = await Metrics(stats).scrape()
    assert TRACE not in plain.decode()
    assert {family.name for family in parse_text(plain.decode())} >= {"event_gateway_event_duration_seconds"}
    page, _ = await Metrics(stats).scrape(openmetrics=True)
    found = {
        (sample.name, sample.labels["le"]): sample.exemplar
        for family in parse_openmetrics(page.decode())
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert set(found) == {
        ("event_gateway_event_duration_seconds_bucket", "0.5"),
        ("event_gateway_event_lag_seconds_bucket", "0.5"),
    }
    for exemplar in found.values():
        assert exemplar.labels == {"trace_id": TRACE}
        assert exemplar.value == pytest.approx(0.3)
        assert float(exemplar.timestamp) == pytest.approx(bed.clock.time(), abs=0.001)
        assert sum(len(part) for label in exemplar.labels.items() for part in label) <= 128


def test_a_reloaded_route_keeps_its_exemplars(bed: TestBed) -> None:
    settle(bed, block(TRACE))
    after = TestBed(route_of(), 0).stats
    after.continue_from(bed.stats)
    assert [exemplar.trace_id for exemplar in kept(after.duration)] == [TRACE]
