"""Routes through the filter `cel`: on a real server, and with every codec that gives it something to read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client

from gateway.delivery import Delivery, Meta
from gateway.event import Event
from gateway.headers import block_of, header_line
from gateway.routing.run import Failed, Passed, Result, Stopped, run
from tests.conftest import StartGateway
from tests.plugins.compiling import compiled
from tests.plugins.folders import FOLDERS
from tests.support.arrivals import arrived, settled

(FOLDER,) = [folder for folder in FOLDERS if folder.plugin == "cel"]
STORED_NS = 1_700_000_000_123_456_789


def went(expression: str, data: bytes, codec: Any = "json", headers: dict[str, str] | None = None) -> Result:
    """What becomes of one message on a route with this filter."""
    (route,), problems = compiled({"codec": codec, "filters": [{"cel": expression}]}, FOLDER.registry)
    assert problems == []
    block = block_of([header_line(name, value) for name, value in (headers or {}).items()])
    delivery = Delivery("in.a", block, data, "$JS.ACK.x", 7, 1, STORED_NS)
    return run(route, Event(route.reader, delivery, Meta(route.origin, delivery, 1)))


async def test_a_route_keeps_what_the_expression_says(
    streams: Client, gateway_process: StartGateway, route: Callable[..., dict[str, Any]]
) -> None:
    """Installed from its folder, found by its entry point: true passes, false and absent are filtered, the rest is a
    dead letter.
    """
    filters = [{"cel": 'data.total > 100 && event.subject == "in.a"'}]
    await gateway_process({"routes": [route(filters=filters)]})
    js = streams.jetstream()
    for number, total in enumerate([b"100", b"100.5", b'"many"', b"null", b"7e3", b"9999999999999999999999"]):
        await js.publish("in.a", b'{"id": "%d", "data": {"total": %b}}' % (number, total))
    await js.publish("in.a", b'{"id": "6", "data": {}}')
    await js.publish("in.b", b'{"id": "7", "data": {"total": 500}}')
    assert [message.json["id"] for message in await arrived(streams, "OUT", 2)] == ["1", "4"]
    (letter,) = await arrived(streams, "DLQ", 1)
    assert letter.json["id"] == "5"
    assert letter.headers["Gateway-Error-Code"] == "cel-value"
    assert letter.headers["Gateway-Error-Step"] == "filter-0-cel"
    await settled(streams)


@pytest.mark.parametrize(
    ("expression", "why"),
    [("data.total > 1", "data.total is absent"), ("data.list > 1", "the types do not fit: _>_(list, int64)")],
)
def test_a_filtered_event_says_why(expression: str, why: str) -> None:
    result = went(expression, b'{"data": {"list": [1]}}')
    assert isinstance(result, Stopped)
    assert result.explain() == why


def test_only_what_the_expression_names_is_decoded() -> None:
    """A value that cannot be decoded does no harm where nobody reads it."""
    data = b'{"data": {"total": 101}, "other": "\xff", "more": 1e999}'
    assert isinstance(went("data.total > 100", data), Passed)
    assert isinstance(went("event.body.data.total > 100", data), Passed)


@pytest.mark.parametrize(
    ("codec", "data", "expression"),
    [
        ("eventbridge", b'{"detail-type": "Paid", "detail": {"n": 2}}', 'event.type == "Paid" && detail.n == 2'),
        ("eventbridge", b'{"detail-type": "Paid"}', 'event.body["detail-type"] == "Paid"'),
        ("msgpack", msgspec.msgpack.encode({"blob": b"\xff", "n": 1}), 'blob == b"\\377" && n == 1'),
        ("raw", b"hello", 'event.body == b"hello" && string(event.body).startsWith("he")'),
        ("json", b"[1, 2]", "event.body.size() == 2"),
        ("json", b'{"time": "2026-05-01T10:00:00+02:00"}', 'event.time == timestamp("2026-05-01T08:00:00Z")'),
        ("json", b"{}", 'event.headers["x-a"] == "1" && event.id == "IN:7" && event.correlation_id == "IN:7"'),
    ],
)
def test_it_reads_what_every_codec_gives(codec: str, data: bytes, expression: str) -> None:
    assert isinstance(went(expression, data, codec, {"X-A": "1"}), Passed)


@pytest.mark.parametrize("data", [b'{"data": {"total": "4111"}}', b'{"data": {"total": [4111]}}'])
def test_no_word_of_the_event_is_in_a_dead_letter(data: bytes) -> None:
    result = went("data.total", data)
    assert isinstance(result, Failed)
    assert (result.code, result.message) == ("cel-not-boolean", "the expression gave neither true nor false")


def test_check_says_where_in_the_file_and_where_in_the_expression() -> None:
    fields = {"filters": [{"cel": "a > 1"}, {"cel": "data.total >"}, {"cel": 7}]}
    (wrong_type,) = compiled(fields, FOLDER.registry)[1]
    assert "routes[0].filters[2].cel: expected a string, found integer" in wrong_type
    fields["filters"].pop()
    (problem,) = compiled(fields, FOLDER.registry)[1]
    assert "routes[0].filters[1].cel: line 1, column 13: Syntax error" in problem
    assert "hint: here: data.total >-->" in problem
