"""CloudEvents through a running route: both modes, changes of mode and codec, headers that would contradict."""

from __future__ import annotations

import json
from typing import Any

import pytest
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived
from tests.support.raw_client import RawClient
from tests.support.streams import Stored

pytestmark = pytest.mark.usefixtures("streams")

PAYLOAD = b'{ "total" : 1.0e0 }\n'
BINARY = (
    b"CE-SpecVersion: 1.0\r\nce-id: e%201\r\nce-source:/shop\r\nce-type: order.placed\r\n"
    b"ce-datacontenttype: application/json\r\nX-Other: 1\r\n"
)
STRUCTURED = b'{"specversion":"1.0", "id":"e 1","source":"/shop","type":"order.placed","data":{ "total" : 1.0e0 }}'
CLOUDEVENTS = b"content-type: application/cloudevents+json\r\n"


def passed_on(message: Stored) -> dict[str, str]:
    """The headers that are not the gateway's own; each name once."""
    pairs = [(name, value) for name, value in message.header_pairs if not name.startswith(("Nats-", "Gateway-"))]
    assert len({name.lower() for name, _ in pairs}) == len(pairs)
    return dict(pairs)


async def test_what_nothing_changes_passes_as_it_came(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    fields: dict[str, Any] = {
        "codec": "cloudevents",
        "filters": [{"meta": {"$type": ["order.placed"], "$id": ["e 1"]}}, {"pattern": {"data": {"total": [1]}}}],
        "targets": [{"subject": "out.{type|token}", "name": "out"}],
    }
    await run_gateway({"routes": [route(**fields)]})
    with RawClient(nats_server.port) as raw:
        raw.publish(b"in.a", PAYLOAD, BINARY)
        raw.publish(b"in.a", STRUCTURED, CLOUDEVENTS + b"ce-id: stale\r\n")
        raw.publish(b"in.a", STRUCTURED)
    binary, structured, bare = await arrived(nc, "OUT", 3)
    assert binary.data == PAYLOAD
    assert binary.header_block.endswith(BINARY + b"\r\n")
    assert structured.data == bare.data == STRUCTURED
    assert passed_on(structured) == {"content-type": "application/cloudevents+json", "ce-id": "stale"}
    assert passed_on(bare) == {}
    assert {message.subject for message in (binary, structured, bare)} == {"out.order_placed"}
    assert {message.headers["Gateway-Causation-Id"] for message in (binary, structured, bare)} == {"e 1"}


async def test_a_changed_event_keeps_its_mode_and_has_one_truth(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """No header of the sender's survives that says otherwise than the new event."""
    await run_gateway(
        {"routes": [route(codec="cloudevents", transforms=[{"set": {"id": "n-1"}}, {"remove": ["old"]}])]}
    )
    with RawClient(nats_server.port) as raw:
        raw.publish(b"in.a", PAYLOAD, BINARY + b"ce-old: 1\r\nContent-Type: text/plain\r\n")
        raw.publish(b"in.a", STRUCTURED, CLOUDEVENTS + b"ce-id: stale\r\nce-specversion: 1.0\r\n")
    binary, structured = await arrived(nc, "OUT", 2)
    assert binary.data == PAYLOAD, "only attributes were changed"
    assert passed_on(binary) == {
        "X-Other": "1",
        "ce-specversion": "1.0",
        "ce-id": "n-1",
        "ce-source": "/shop",
        "ce-type": "order.placed",
        "ce-datacontenttype": "application/json",
    }
    assert structured.json["id"] == "n-1"
    assert b'"data":{ "total" : 1.0e0 }' in structured.data
    assert passed_on(structured) == {"Content-Type": "application/cloudevents+json"}


async def test_each_target_has_the_mode_or_codec_it_wants(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """The route's own `mode` holds for events that nothing changed, too."""
    targets = [
        {"subject": "out.structured", "name": "s"},
        {"subject": "out.binary", "name": "b", "codec": {"cloudevents": {"mode": "binary"}}},
        {"subject": "out.json", "name": "j", "codec": "json"},
    ]
    await run_gateway({"routes": [route(codec={"cloudevents": {"mode": "structured"}}, targets=targets)]})
    with RawClient(nats_server.port) as raw:
        raw.publish(b"in.a", PAYLOAD, BINARY)
    made = {message.subject: message for message in await arrived(nc, "OUT", 3)}
    envelope = {**json.loads(STRUCTURED), "datacontenttype": "application/json"}
    structured, binary, plain = made["out.structured"], made["out.binary"], made["out.json"]
    assert structured.json == envelope
    assert passed_on(structured) == {"X-Other": "1", "Content-Type": "application/cloudevents+json"}
    assert binary.json == {"total": 1.0}
    assert passed_on(binary)["ce-id"] == "e%201"
    assert plain.json == envelope
    assert passed_on(plain) == {"X-Other": "1"}


async def test_an_event_of_another_codec_becomes_a_cloudevent_or_a_dead_letter_that_says_why(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    fields = {
        "transforms": [
            {"set": {"id": "{$id}", "source": "/shop", "data": {"total": "{total}"}}},
            {"remove": ["total"]},
        ],
        "targets": [{"subject": "out.it", "name": "out", "codec": "cloudevents"}],
    }
    await run_gateway({"routes": [route(**fields)]})
    with RawClient(nats_server.port) as raw:
        raw.publish(
            b"in.a", b'{"type": "order.placed", "total": 5}', b"Content-Type: application/json\r\nNats-Msg-Id: m\r\n"
        )
        raw.publish(b"in.a", b'{"total": 5}')
    [made] = await arrived(nc, "OUT", 1)
    assert made.json == {
        "specversion": "1.0",
        "id": "m",
        "source": "/shop",
        "type": "order.placed",
        "data": {"total": 5},
    }
    assert passed_on(made) == {"Content-Type": "application/cloudevents+json"}
    [letter] = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == "encode-error"
    assert letter.headers["Gateway-Error-Message"] == "cloudevents: type is missing or empty"


async def test_what_is_no_cloudevent_is_dead_lettered_as_it_came(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route(codec="cloudevents")]})
    with RawClient(nats_server.port) as raw:
        raw.publish(b"in.a", b"x", b"ce-specversion: 1.0\r\nce-id: %zz\r\nce-source: s\r\nce-type: t\r\n")
    [letter] = await arrived(nc, "DLQ", 1)
    assert letter.data == b"x"
    assert letter.headers["ce-id"] == "%zz"
    assert letter.headers["Gateway-Error-Code"] == "decode-error"
    assert letter.headers["Gateway-Error-Message"] == "cloudevents: id has a % that begins no percent-encoding"
