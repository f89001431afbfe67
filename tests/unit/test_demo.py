"""The demo's parts that need no server: orders, counts, table."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import logging

import pytest

from gateway.demo.orders import ACCIDENTS, shop
from gateway.demo.run import _application
from gateway.demo.screen import Lines, Live
from gateway.demo.table import Table, count_all, percentile, shown
from gateway.runtime.stats import Buckets, GatewayStats, RouteState, RouteStats


def stats_of(**routes: tuple[int, int, int, int]) -> GatewayStats:
    stats = GatewayStats("demo", "")
    for name, (received, published, filtered, dead) in routes.items():
        route = RouteStats(name, ["a", "b"], [], [])
        route.state = RouteState.UP
        route.received = received
        route.published["a"], route.published["b"] = published - published // 2, published // 2
        route.outcomes["filtered"], route.outcomes["dead_lettered"] = filtered, dead
        stats.routes[name] = route
    return stats


async def test_its_config_can_be_asked_for() -> None:
    """The admin API shows the one that runs, with the demo's own server."""
    shown = _application(None, "nats://127.0.0.1:1").effective()
    assert shown["nats"]["servers"] == ["nats://127.0.0.1:1"]
    assert len(shown["routes"]) == 4


def test_the_shop_repeats_itself() -> None:
    def without_time(data: bytes) -> bytes:
        before, _, after = data.partition(b'"time":"')
        return before + after.partition(b'"')[2]

    first, second = (itertools.islice(shop(3), 400) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert (one.subject, one.kind, without_time(one.data)) == (other.subject, other.kind, without_time(other.data))


def test_every_accident_happens_within_six_times_25_messages() -> None:
    kinds = [message.kind for message in itertools.islice(shop(), 150)]
    assert [kind for kind in kinds if kind in ACCIDENTS] == list(ACCIDENTS)
    assert all(kinds[number - 1] in ACCIDENTS for number in range(25, 151, 25))


def test_orders_that_are_no_accident_have_the_shape_of_eventbridge() -> None:
    for message in itertools.islice(shop(), 200):
        if message.kind in ACCIDENTS:
            continue
        event = json.loads(message.data)
        assert message.subject == f"orders.{message.kind}"
        assert event["detail-type"] == f"Order{message.kind.capitalize()}"
        assert {"version", "id", "source", "account", "time", "region", "resources", "detail"} <= set(event)
        assert event["detail"]["data"]["orderId"].startswith("o-")


def test_the_line_has_each_word_before_its_count() -> None:
    stats = stats_of(one=(1000, 1500, 200, 10), two=(200, 600, 100, 2))
    assert count_all(stats).line == "received 1200 published 2100 filtered 300 dead-lettered 12"


def test_what_a_transform_dropped_counts_as_filtered() -> None:
    stats = stats_of(one=(5, 0, 2, 0))
    stats.routes["one"].outcomes["dropped"] = 3
    assert count_all(stats).filtered == 5


@pytest.mark.parametrize(
    ("amounts", "share", "expected"),
    [
        ([], 0.99, None),
        ([0.5] * 100, 0.5, 0.5),
        ([0.5] * 100, 1.0, 1.0),
        ([0.5] * 99 + [3.0], 0.99, 1.0),
        ([0.5] * 98 + [3.0] * 2, 0.99, 3.0),
        ([99.0], 0.99, 4.0),
    ],
)
def test_a_percentile_is_interpolated_within_its_bucket(
    amounts: list[float], share: float, expected: float | None
) -> None:
    buckets = Buckets((1.0, 2.0, 4.0))
    for amount in amounts:
        buckets.observe(amount)
    assert percentile(buckets, share) == expected


@pytest.mark.parametrize(("seconds", "text"), [(0.0008, "0.8 ms"), (0.0123, "12 ms"), (0.9, "900 ms"), (3.14, "3.1 s")])
def test_times_are_shown_in_the_unit_they_have(seconds: float, text: str) -> None:
    assert shown(seconds) == text


def test_the_table_shows_rates_since_the_last_look() -> None:
    table = Table(["heading"])
    stats = stats_of(one=(100, 60, 40, 0))
    assert "0/s" in table.lines(stats, 0)[3]
    stats.routes["one"].received = 150
    lines = table.lines(stats, 0.5)
    assert lines[0] == "heading"
    assert lines[2].split() == ["route", "received", "published", "filtered", "dead-lettered", "rate", "p99", "lag"]
    assert lines[3].split() == ["one", "150", "60", "40", "0", "100/s"]
    assert lines[4].split() == ["all", "150", "60", "40", "0", "100/s"]


def test_a_route_that_is_down_says_why() -> None:
    stats = stats_of(one=(0, 0, 0, 0))
    stats.routes["one"].state, stats.routes["one"].reason = RouteState.DOWN, "there is no stream ORDERS"
    assert "  down: there is no stream ORDERS" in Table([]).lines(stats, 1)


def test_the_table_fits_a_small_terminal() -> None:
    stats = stats_of(**{"a-route-with-a-name-that-goes-on-and-on-and-on": (10**5, 10**5, 10**5, 10**5)})
    lines = Table([]).lines(stats, 1, width=80)
    assert max(map(len, lines)) <= 80
    assert "a-route-with-a-name" in lines[2]


async def test_a_reader_that_goes_away_ends_the_demo() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    stop = asyncio.Event()
    screen = Lines(Gone(), io.StringIO())
    screen.open(stats_of(), "", None)
    await asyncio.wait_for(screen.show(stop), 10)
    assert stop.is_set()


async def test_the_terminal_shows_warnings_under_the_table_and_sums_up() -> None:
    out, stop = io.StringIO(), asyncio.Event()
    screen = Live(out)
    screen.open(stats_of(one=(2, 1, 1, 0)), "nats://host:4222", "http://host:1")
    logging.getLogger("gateway").warning("stream is full")
    stop.set()
    await screen.show(stop)
    screen.close(sent=2)
    text = out.getvalue()
    assert "nats://host:4222" in text
    assert "http://host:1/metrics" in text
    assert text.count("warning: stream is full") == 2
    assert text.endswith("received 2 published 1 filtered 1 dead-lettered 0\n")
    drawn = text.index("\x1b[", text.index("\x1b[J") + 1)
    assert int(text[drawn + 2 : text.index("A", drawn)]) == text[:drawn].count("\n")
