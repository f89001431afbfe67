"""What a scrape shows, judged by the client library's own parsers."""

from __future__ import annotations

import asyncio
import gzip
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest
from prometheus_client import Counter, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gateway.observe import loop_lag, page
from gateway.observe import metrics as metrics_module
from gateway.observe.catalog import PREFIX, PROCESS_METRICS, ROUTE_METRICS
from gateway.observe.catalog import Metric as CatalogMetric
from gateway.observe.metrics import Metrics
from gateway.runtime.stats import Exemplar, GatewayStats, RouteState, RouteStats
from tests.support.eventually import eventually
from tests.support.metrics_contract import CONTRACT, STANDARD

T = TypeVar("T")


def route_stats(name: str) -> RouteStats:
    parts = (["billing"], ["filter-0-pattern", "transform-0-set"], ["audit-0-stream"], ["no-customer"])
    stats = RouteStats(name, *parts)
    stats.time_steps("audit")
    return stats


def gateway_stats(*routes: str) -> GatewayStats:
    stats = GatewayStats("test", "abc123")
    stats.plugins = [("enrich", "0.3", "loaded")]
    stats.routes = {name: route_stats(name) for name in routes}
    return stats


async def scraped(stats: GatewayStats, openmetrics: bool = False) -> dict[str, Metric]:
    """Families by the name samples have, which for counters and infos differs between the formats."""
    body, content_type = await Metrics(stats).scrape(openmetrics)
    parse = parse_openmetrics if "openmetrics" in content_type else parse_text
    return {family.name: family for family in parse(body.decode())}


def values(families: Iterable[Metric]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


async def value(stats: GatewayStats, name: str, **labels: str) -> float:
    return values((await scraped(stats)).values())[PREFIX + name, frozenset(labels.items())]


async def test_every_metric_of_the_contract_exists_with_its_labels_before_the_first_event() -> None:
    seen: dict[str, set[str]] = {}
    for name, labels in values((await scraped(gateway_stats("a"))).values()):
        base = re.sub(r"_(bucket|count|sum)$", "", name)
        seen.setdefault(base, set()).update(label for label, _ in labels if label != "le")
    own = {name: labels for name, labels in seen.items() if not name.startswith(("process_", "python_gc_"))}
    assert own == {name: labels for name, (_, labels) in CONTRACT.items()}


async def test_the_series_that_can_occur_start_at_zero() -> None:
    found = values((await scraped(gateway_stats("a"))).values())

    def zero(name: str, **labels: str) -> bool:
        return found[PREFIX + name, frozenset({"route": "a", **labels}.items())] == 0

    for outcome in ("published", "filtered", "dropped", "dead_lettered"):
        assert zero("events_total", outcome=outcome)
    assert zero("dead_letters_total", code="no-customer")
    assert zero("dead_letters_total", code="other")
    assert zero("retries_total", code="no-responders")
    assert zero("published_messages_total", target="billing")
    assert zero("step_errors_total", step="decode", code="decode-error")
    assert zero("step_errors_total", step="filter-0-pattern", code="filter-error")
    assert zero("step_errors_total", step="publish", code="too-large")
    assert zero("audit_records_total", sink="audit-0-stream", outcome="failed")
    for step in ("decode", "filter-0-pattern", "transform-0-set", "publish", "audit"):
        assert zero("step_duration_seconds_count", step=step)


async def test_numbers_of_the_stats_are_the_numbers_of_the_page() -> None:
    stats = gateway_stats("a", "b")
    route = stats.routes["b"]
    route.received, route.pending, route.parked, route.circuit_open = 7, 1 << 53, 2, True
    route.state = RouteState.UP
    route.count_step_error("publish", "no-stream")
    stats.connected, stats.reconnects, stats.last_reload_success_time = True, 4, 1790000000.5
    stats.reloads["failure"] = 3
    assert await value(stats, "events_received_total", route="b") == 7
    assert await value(stats, "consumer_pending", route="b") == 1 << 53
    assert await value(stats, "parked_events", route="b") == 2
    assert await value(stats, "circuit_open", route="b") == 1
    assert await value(stats, "route_up", route="b") == 1
    assert await value(stats, "route_up", route="a") == 0
    assert await value(stats, "step_errors_total", route="b", step="publish", code="no-stream") == 1
    assert await value(stats, "nats_connected") == 1
    assert await value(stats, "nats_reconnects_total") == 4
    assert await value(stats, "config_reloads_total", outcome="failure") == 3
    assert await value(stats, "config_last_reload_success_timestamp_seconds") == 1790000000.5
    assert await value(stats, "config_info", digest="abc123") == 1
    assert await value(stats, "plugin_info", plugin="enrich", version="0.3", status="loaded") == 1


async def test_a_histogram_is_cumulative_and_ends_in_its_count() -> None:
    stats = gateway_stats("a")
    for seconds in (0.0001, 0.0005, 0.3, 1000.0):
        stats.routes["a"].duration.observe(seconds)
    name = "event_duration_seconds"
    assert await value(stats, f"{name}_bucket", route="a", le="0.0005") == 2
    assert await value(stats, f"{name}_bucket", route="a", le="0.1") == 2
    assert await value(stats, f"{name}_bucket", route="a", le="60.0") == 3
    assert await value(stats, f"{name}_bucket", route="a", le="+Inf") == 4
    assert await value(stats, f"{name}_count", route="a") == 4
    assert await value(stats, f"{name}_sum", route="a") == pytest.approx(1000.3006)


async def test_both_formats_tell_the_same_and_are_valid() -> None:
    stats = gateway_stats("a", "b")
    stats.routes["a"].lag.observe(0.2)
    text, openmetrics = await scraped(stats), await scraped(stats, openmetrics=True)
    ours = [family for name, family in text.items() if name.startswith(PREFIX)]
    theirs = [family for name, family in openmetrics.items() if name.startswith(PREFIX)]
    assert values(ours) == values(theirs)
    assert openmetrics[f"{PREFIX}build"].type == "info"
    assert text[f"{PREFIX}build_info"].type == "gauge"


@pytest.mark.parametrize(("openmetrics", "kind"), [(False, "text/plain"), (True, "application/openmetrics-text")])
async def test_the_content_type_is_the_page_s(openmetrics: bool, kind: str) -> None:
    body, content_type = await Metrics(gateway_stats()).scrape(openmetrics)
    assert content_type.startswith(kind)
    assert body.endswith(b"# EOF\n") is openmetrics
    assert body.count(b"# EOF") == openmetrics


async def test_label_values_are_escaped() -> None:
    stats = gateway_stats()
    odd = 'say "hi"\\\nthen go'
    stats.routes["a"] = RouteStats("a", [odd])
    for openmetrics in (False, True):
        found = values((await scraped(stats, openmetrics)).values())
        assert (f"{PREFIX}duplicates_total", frozenset({("route", "a"), ("target", odd)})) in found


async def test_a_disabled_route_has_no_series_and_so_no_alert() -> None:
    stats = gateway_stats("on", "off")
    stats.routes["off"].state = RouteState.DISABLED
    body, _ = await Metrics(stats).scrape()
    assert b'route="on"' in body
    assert b'route="off"' not in body


async def test_the_process_and_the_garbage_collector_are_shown() -> None:
    families = await scraped(gateway_stats())
    assert {"process_resident_memory_bytes", "process_open_fds", "python_gc_collections"} <= set(families)
    assert {sample.name for family in families.values() for sample in family.samples} >= STANDARD


async def test_what_plugins_register_is_on_the_page() -> None:
    metrics = Metrics(gateway_stats())
    Counter("event_gateway_plugin_enrich_hits", "Hits.", registry=metrics.registry).inc()
    assert b"event_gateway_plugin_enrich_hits_total 1.0" in (await metrics.scrape())[0]


async def test_gzip_holds_the_same_page() -> None:
    metrics = Metrics(gateway_stats("a"))
    packed, _ = await metrics.scrape(gzip=True)
    plain, _ = await metrics.scrape()
    page_of = re.compile(rb"^event_gateway_.*$", re.M)
    assert page_of.findall(gzip.decompress(packed)) == page_of.findall(plain)


async def test_scrapes_that_meet_share_one_page_and_one_hang_up_ends_none(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[page.Snapshot] = []
    go_on = threading.Event()
    text = page.Snapshot.text

    def slow(self: page.Snapshot, openmetrics: bool) -> str:
        made.append(self)
        assert go_on.wait(5)
        return text(self, openmetrics)

    monkeypatch.setattr(page.Snapshot, "text", slow)
    metrics = Metrics(gateway_stats("a"))
    scrapes = [asyncio.create_task(metrics.scrape()) for _ in range(3)]
    await eventually(lambda: made)
    scrapes[0].cancel()
    go_on.set()
    _, second, third = await asyncio.gather(*scrapes, return_exceptions=True)
    assert not isinstance(second, BaseException)
    assert second is third
    assert len(made) == 1
    await metrics.scrape()
    assert len(made) == 2


async def test_the_page_is_of_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the loop counts while the thread writes belongs to the next page."""
    stats = gateway_stats("a")
    text = page.Snapshot.text

    def late(self: page.Snapshot, openmetrics: bool) -> str:
        stats.routes["a"].duration.observe(1.0)
        stats.routes["a"].count_dead_letter("loop")
        stats.routes["b"] = route_stats("b")
        return text(self, openmetrics)

    monkeypatch.setattr(page.Snapshot, "text", late)
    body, _ = await Metrics(stats).scrape()
    assert b'event_duration_seconds_count{route="a"} 0' in body
    assert b'dead_letters_total{route="a",code="loop"} 0' in body
    assert b'route="b"' not in body


async def test_a_scrape_is_written_beside_the_loop_and_the_loop_only_copies_numbers() -> None:
    """In calls, which no other work on the machine adds to: 200 routes may hold up the loop for some milliseconds."""
    threads: dict[str, int] = {}

    class Watched(page.Snapshot):
        def __init__(self, stats: GatewayStats) -> None:
            threads["copied"] = threading.get_ident()
            super().__init__(stats)

        def text(self, openmetrics: bool) -> str:
            threads["written"] = threading.get_ident()
            return super().text(openmetrics)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics_module, "Snapshot", Watched)
        await Metrics(gateway_stats("a")).scrape(openmetrics=True)
    assert threads["copied"] == threading.get_ident() != threads["written"]

    stats = gateway_stats(*(f"route-{number}" for number in range(200)))
    for route in stats.routes.values():
        for buckets in (route.duration, route.lag):
            buckets.exemplars = [Exemplar("0af7651916cd43dd8448eb211c80319c", 0.25, 1.0)] * 12
    copying, snapshot = calls(lambda: page.Snapshot(stats))
    writing, text = calls(lambda: snapshot.text(openmetrics=True))
    assert text.count("trace_id") == 200 * 24
    metrics = 200 * len(ROUTE_METRICS)
    assert copying < 5 * metrics
    assert writing < text.count("\n") / 2  # a call a line is what the client library takes, and too much


def calls(work: Callable[[], T]) -> tuple[int, T]:
    """How many calls of Python functions some work takes, and what it gives."""
    count = 0

    def count_calls(_frame: object, event: str, _value: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(count_calls)
    try:
        return_value = work()
    finally:
        sys.setprofile(None)
    return count, return_value


async def test_a_blocked_loop_is_seen_as_lag() -> None:
    stats = gateway_stats()
    watcher = asyncio.create_task(loop_lag.watch(stats, 0.01))
    await eventually(lambda: sum(stats.loop_lag.counts) >= 1)
    time.sleep(0.12)  # noqa: ASYNC251 - blocking the loop is the point
    await eventually(lambda: stats.loop_lag.total >= 0.1)
    assert sum(stats.loop_lag.counts[6:]) >= 1
    watcher.cancel()


def test_the_catalog_keeps_its_law_of_names() -> None:
    catalog: list[CatalogMetric[Any]] = [*ROUTE_METRICS, *PROCESS_METRICS]
    for metric in catalog:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", metric.name)
        assert metric.name.endswith("_total") is (metric.kind == "counter")
        assert metric.name.endswith("_info") is (metric.kind == "info")
        assert metric.kind != "histogram" or metric.name.endswith("_seconds")
        assert metric.help.endswith((".", ")"))
    for buckets in (
        route_stats("a").duration,
        route_stats("a").lag,
        *route_stats("a").step_durations.values(),
        gateway_stats().loop_lag,
    ):
        assert len(buckets.counts) <= 12
