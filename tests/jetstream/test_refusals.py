"""A target that refuses one copy for good: the other targets are still sent, and one dead letter names the failed."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from tests.jetstream.conftest import Restricted, Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.streams import count, make_stream

pytestmark = pytest.mark.usefixtures("streams")

GOOD = {"subject": "out.good", "name": "good"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals are believed after half a second instead of ten, answers overdue after one instead of four."""
    monkeypatch.setattr("gateway.routing.verdict.REFUSAL_CONFIRMED_AFTER", 0.5)
    monkeypatch.setattr("gateway.runtime.sender.ANSWER_WAIT", 1.0)


async def test_one_letter_names_every_failed_target_and_the_others_get_their_copy(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    targets = [
        {"subject": "out.{a}", "name": "first"},
        GOOD,
        {"subject": "out.{b}", "name": "second"},
        {"subject": "out.header", "name": "third", "headers": {"X-A": "{a}"}},
    ]
    gateway = await run_gateway({"routes": [route(targets=targets)]})
    await js.publish("in.a", b'{"a": "bad\\r\\nX: 1", "b": "b a d"}')
    assert [message.subject for message in await arrived(nc, "OUT", 1)] == ["out.good"]
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Failed-Targets"] == "first, second, third"
    assert letter.headers["Gateway-Error-Step"] == "publish"
    assert letter.headers["Gateway-Error-Code"] == "unsafe-subject"
    await settled(nc)
    stats = gateway.stats()
    assert stats.outcomes == {"published": 0, "filtered": 0, "dropped": 0, "dead_lettered": 1}
    assert stats.step_errors["publish", "unsafe-subject"] == 2
    assert stats.step_errors["publish", "unsafe-header"] == 1


@pytest.mark.parametrize(
    "value",
    [
        "a.b",
        "*",
        ">",
        "a b",
        "",
        "a\tb",
        "a\r\nPUB x 0\r\n\r\n",
        "\x00",
        "x" * 1025,
        None,
        1.5,
        {"a": 1},
        ["a"],
        "\x7f",
    ],
)
async def test_an_event_cannot_inject_into_a_subject(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, value: Any
) -> None:
    await run_gateway({"routes": [route(targets=[{"subject": "out.x.{value}", "name": "bad"}])]})
    await js.publish("in.a", json.dumps({"value": value}).encode())
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == "unsafe-subject"
    await settled(nc)
    assert await count(nc, "OUT") == 0


@pytest.mark.parametrize("value", ["$JS", "$SYS", "_INBOX", "$KV"])
async def test_an_event_cannot_reach_the_servers_own_subjects(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, value: str
) -> None:
    await run_gateway({"routes": [route(targets=[{"subject": "{value}.API.STREAM.DELETE.IN", "name": "bad"}])]})
    await js.publish("in.a", json.dumps({"value": value}).encode())
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == "unsafe-subject"
    assert await count(nc, "IN") == 1


async def test_a_token_template_makes_any_value_one_legal_token(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route(targets=[{"subject": "out.{value|token}", "name": "t"}])]})
    await js.publish("in.a", b'{"value": "a.b *>\\r\\n$"}')
    (message,) = await arrived(nc, "OUT", 1)
    assert message.subject == "out.a_b_____$"


async def test_too_large_with_its_headers_is_refused_before_the_server_cuts_the_connection(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """nats-server closes the connection of whoever sends more than max_payload, and every route with it."""
    targets = [{"subject": "out.big", "name": "big", "headers": {"X-Fill": "x" * 2000}}, GOOD]
    gateway = await run_gateway({"routes": [route(targets=targets)]})
    body = b'"' + b"x" * ((1 << 20) - 1200) + b'"'
    await js.publish("in.a", body)
    assert [message.subject for message in await arrived(nc, "OUT", 1)] == ["out.good"]
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.data == body
    assert letter.headers["Gateway-Error-Code"] == "too-large"
    assert letter.headers["Gateway-Failed-Targets"] == "big"
    await settled(nc)
    assert gateway.app.stats.reconnects == 0


@pytest.mark.fault("target-too-small")
async def test_too_large_for_its_stream_is_refused_too(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await make_stream(nc, "SMALL", ["small.>"], max_msg_size=500)
    await run_gateway({"routes": [route(targets=[{"subject": "small.x", "name": "small"}, GOOD])]})
    await js.publish("in.a", b'"' + b"x" * 1000 + b'"')
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == "too-large"
    said = re.search(r"exceeds .*: (\d+) bytes, (\d+) of them headers", letter.headers["Gateway-Error-Message"])
    assert said is not None
    assert int(said[1]) - int(said[2]) == 1002
    await arrived(nc, "OUT", 1)
    await settled(nc)


@pytest.mark.fault("target-deleted")
async def test_no_stream_for_a_templated_subject_is_believed_after_ten_seconds_and_holds_up_nobody(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says at once that it waits, without what the event made of the subject."""
    targets = [{"subject": "{to}.x", "name": "to"}, GOOD]
    gateway = await run_gateway({"routes": [route(targets=targets, source={"ack-wait": "5s"})]})
    began = time.monotonic()
    for to in ("nowhere", "out", "nowhere"):
        await js.publish("in.a", b'{"to": "%b"}' % to.encode())
    assert sorted(m.subject for m in await arrived(nc, "OUT", 4)) == ["out.good"] * 3 + ["out.x"]
    assert time.monotonic() - began < 10, "a subject without a stream must not delay the others"
    assert await count(nc, "DLQ") == 0
    lines = logged(caplog, "event.retried")
    assert {(line.__dict__["code"], line.__dict__["target"]) for line in lines} == {("no-stream", "to")}
    assert not any("nowhere" in line.getMessage() for line in lines)
    for letter in await arrived(nc, "DLQ", 2):
        assert letter.headers["Gateway-Error-Code"] == "no-stream"
        assert letter.headers["Gateway-Failed-Targets"] == "to"
        assert letter.headers["Gateway-Error-Message"] == "no stream takes {to}.x", "no data of the event"
    assert "nowhere" not in caplog.text
    assert time.monotonic() - began >= 10
    await settled(nc)
    assert gateway.stats().received == 3, "kept with in-progress meanwhile"
    assert gateway.stats().up


async def test_a_stream_that_appears_in_time_still_gets_its_copy(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(targets=[{"subject": "{to}.x", "name": "to"}])]})
    await js.publish("in.a", b'{"to": "late"}')
    await eventually(lambda: gateway.stats().retries["no-stream"] >= 1)
    await make_stream(nc, "LATE", ["late.>"])
    await arrived(nc, "LATE", 1)
    await settled(nc)
    assert await count(nc, "DLQ") == 0


@pytest.mark.usefixtures("quick")
@pytest.mark.fault("target-wrong-stream")
async def test_the_wrong_stream_behind_a_templated_subject_is_a_refusal(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    targets = [{"subject": "{to}.x", "name": "to", "stream": "OUT"}]
    await run_gateway({"routes": [route(targets=targets)]})
    await js.publish("in.a", b'{"to": "dlq"}')
    await js.publish("in.a", b'{"to": "out"}')
    await arrived(nc, "OUT", 1)
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == "wrong-stream"
    assert letter.subject == "dlq.r"
    await settled(nc)


@pytest.mark.usefixtures("quick")
@pytest.mark.fault("target-no-permission")
async def test_no_permission_for_a_templated_subject_is_a_refusal(
    nc: Client, js: JetStreamContext, restricted: Restricted, route: Route
) -> None:
    await restricted.forbid("out.secret.>")
    gateway = await restricted.run({"routes": [route(targets=[{"subject": "out.{to}.x", "name": "to"}])]})
    for to in ("secret", "open"):
        await js.publish("in.a", b'{"to": "%b"}' % to.encode())
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == "no-permission"
    assert letter.headers["Gateway-Error-Message"] == "no permission to publish to out.{to}.x"
    assert [message.subject for message in await arrived(nc, "OUT", 1)] == ["out.open.x"]
    await settled(nc)
    assert gateway.stats().up
    assert gateway.app.stats.reconnects == 0


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("token", ["back\\\\slash", '\\"quoted\\"', "zero\u200bwidth", "\u00e9", "\\\\"])
async def test_no_permission_is_understood_however_the_server_writes_the_subject(
    nc: Client, js: JetStreamContext, restricted: Restricted, route: Route, token: str
) -> None:
    """It quotes it as Go does; not understood, it is a time-out, and one event holds its target for a day."""
    await restricted.forbid("out.secret.>")
    await restricted.run({"routes": [route(targets=[{"subject": "out.secret.{to}", "name": "to"}])]})
    await js.publish("in.a", f'{{"to": "{token}"}}'.encode())
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == "no-permission"
    await settled(nc)
