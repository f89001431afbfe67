"""What is not changed passes byte for byte: body, headers, subjects; what commands the server does not."""

from __future__ import annotations

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Transform
from gateway.jetstream.server import EmbeddedServer
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.raw_client import RawClient
from tests.support.streams import Stored

pytestmark = pytest.mark.usefixtures("streams")

BODIES = [
    b'{ "a" : 1.0e0 ,\t"b":[ 1,2 ] }\n',
    b'{"a": 1, "a": 2, "z": 0.10000000000000000001}',
    b'{"big": 123456789012345678901234567890, "esc": "\\u0041\\/", "e": "\xc3\xa9"}',
    b"\n\n[1]\n",
    b'"' + b"x" * 200_000 + b'"',
]
ODD_HEADERS = (
    b"X-Twice: 1\r\nX-Twice: 2\r\nx-twice:3\r\n"
    b"X-Spaces:   both   \r\nX-Empty:\r\nX-Bytes: \xff\xfe\x80\r\nX-Utf: \xc3\xa9\r\n"
    b"k(x): odd\r\nStatus: 404\r\nDescription: no\r\nX-Colon: a:b: c\r\n\xc3\xa9: name\r\n"
)


def passed_on(message: Stored) -> bytes:
    """The header lines that are not ours."""
    lines = message.header_block.split(b"\r\n")[1:-2]
    return b"".join(line + b"\r\n" for line in lines if not line.startswith((b"Nats-", b"Gateway-")))


async def test_an_unchanged_body_is_the_bytes_it_came_in(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    filters = [{"meta": {"$id": [{"prefix": "IN:"}]}}]
    await run_gateway({"routes": [route(filters=filters, targets=[{"subject": "out.{a|or:x|token}", "name": "out"}])]})
    for body in BODIES:
        await js.publish("in.a", body)
    assert [message.data for message in await arrived(nc, "OUT", len(BODIES))] == BODIES


@pytest.mark.parametrize("codec", ["raw", "msgpack"])
async def test_binary_bodies_pass(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, codec: str
) -> None:
    bodies = [b"\x80", b"\xc0", b"\x81\xa1a\xc4\x02\xff\x00"]
    if codec == "raw":
        bodies += [b"", b"\x00\r\n\xff", bytes(range(256)) * 100, b"MSG x 1 0\r\n\r\nPING\r\n"]
    await run_gateway({"routes": [route(codec=codec)]})
    for body in bodies:
        await js.publish("in.a", body)
    assert [message.data for message in await arrived(nc, "OUT", len(bodies))] == bodies
    await settled(nc)


@pytest.mark.fault("odd-headers")
async def test_headers_pass_byte_for_byte_and_in_order(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """Names a client library refuses, values that are not UTF-8, repeated names: none of our business."""
    await run_gateway({"routes": [route()]})
    with RawClient(nats_server.port) as raw:
        raw.publish(b"in.a", b"{}", ODD_HEADERS)
        raw.publish(b"in.a", b"{}", b"")
        raw.publish(b"in.a", b"{}")
    first, second, third = await arrived(nc, "OUT", 3)
    assert passed_on(first) == ODD_HEADERS
    assert passed_on(second) == passed_on(third) == b""
    await settled(nc)


@pytest.mark.fault("control-headers")
async def test_control_headers_stay_behind_in_any_case(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """A Nats-TTL would be refused by the target, a Nats-Rollup would purge it, a Gateway- header would lie."""
    await run_gateway({"routes": [route()]})
    with RawClient(nats_server.port) as raw:
        raw.publish(
            b"in.a",
            b"{}",
            b"NATS-Msg-Id: mine\r\nnats-foo: all\r\nX-Keep: 1\r\n"
            b"gateway-Route: forged\r\nGateway-Causation-Id: forged\r\n",
        )
    (message,) = await arrived(nc, "OUT", 1)
    assert passed_on(message) == b"X-Keep: 1\r\n"
    names = [name for name, _ in message.header_pairs]
    assert names == ["Nats-Msg-Id", "Gateway-Hops", "Gateway-Correlation-Id", "Gateway-Causation-Id", "X-Keep"]
    assert message.headers["Nats-Msg-Id"] != "mine"
    assert message.headers["Gateway-Causation-Id"] == "mine", "the event's id is what its sender called it"


async def test_a_target_sets_and_removes_headers(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    headers = {"X-Set": "{kind}-{$headers.x-old}", "X-Gone": None, "X-None": "{absent}", "x-over": "new"}
    await run_gateway({"routes": [route(targets=[{"subject": "out.x", "headers": headers}])]})
    with RawClient(nats_server.port) as raw:
        raw.publish(b"in.a", b'{"kind": "k"}', b"X-Old: o\r\nX-Gone: 1\r\nx-gone: 2\r\nX-Over: old\r\nX-None: sent\r\n")
    (message,) = await arrived(nc, "OUT", 1)
    assert passed_on(message) == b"X-Old: o\r\nX-Set: k-o\r\nx-over: new\r\n"


class Touch(Transform, name="touch"):
    """Set a header, and leave the body alone."""

    def apply(self, event: Event) -> Event:
        return event.replace(headers={**event.headers, "X-Touched": "1"})


async def test_a_transform_that_changes_headers_keeps_the_body_bytes_and_the_other_headers(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route(transforms=["touch"])]}, Touch)
    with RawClient(nats_server.port) as raw:
        raw.publish(b"in.a", BODIES[0], b"X-Bytes: \xff\xfe\r\nNats-Foo: 1\r\n")
    (message,) = await arrived(nc, "OUT", 1)
    assert message.data == BODIES[0]
    assert passed_on(message) == b"X-Bytes: \xff\xfe\r\nX-Touched: 1\r\n"


@pytest.mark.parametrize("token", [b"\xc3\xa9", b"\xff\xfe", b"a\x0bb", b"a\x0cb", b"a\x85b", b"a\x00b", b"\x1c"])
@pytest.mark.fault("odd-headers")
async def test_an_odd_subject_is_no_poison(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route, token: bytes
) -> None:
    """The server lets any byte but space, tab and line ends into a subject; it must not cut our connection short."""
    gateway = await run_gateway({"routes": [route(filters=[{"meta": {"$subject": [{"prefix": "in."}]}}])]})
    with RawClient(nats_server.port) as raw:
        raw.publish(b"in." + token, b"1")
        raw.publish(b"in." + token, b"3", b"X: 1\r\n")
        raw.publish(b"in.plain", b"2", b"X: 1\r\n")
    await settled(nc)
    assert [message.data for message in await arrived(nc, "OUT", 3)] == [b"1", b"3", b"2"]
    assert gateway.app.stats.reconnects == 0
