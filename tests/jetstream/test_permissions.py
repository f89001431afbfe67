"""The whole gateway under exactly the permissions that `gateway permissions` prints: all of it works, none is idle."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.cli.permissions import server_config
from gateway.jetstream import pin
from gateway.jetstream.permissions import Kind, Need, Only, needs
from gateway.jetstream.server import EmbeddedServer
from gateway.routing.compile import compile_config
from gateway.subjects import covers
from tests.jetstream.conftest import RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.proxy import Frame, Proxy
from tests.support.running import RunningGateway, read_config, registry_with
from tests.support.servers import gateway_url, restart_with
from tests.support.streams import api, make_stream

_VIOLATION = re.compile(r'(?:Publish|Subscription) Violation - .*?(?:Subject|subject) "?([^"\s]+)')
ALL_LINES = os.environ.get("PERMISSIONS_ALL") == "1"
"""Take away every line in turn, not only a few of each kind: two minutes."""


def config(url: str, **nats: Any) -> dict[str, Any]:
    """Every feature that asks something of NATS, in one route."""
    return {
        "nats": {"servers": [url], "inbox-prefix": "_GW.inbox", **nats},
        "streams": [
            {"name": "OUT", "subjects": ["out.>"], "provision": "create"},
            {"name": "DLQ", "subjects": ["dlq.>"], "provision": "create"},
            {"name": "AUDIT", "subjects": ["audit.>"]},
        ],
        "routes": [
            {
                "name": "r",
                "source": {"stream": "IN", "subjects": ["in.>"], "ack-wait": "2s"},
                "retry": {"initial": "100ms", "max": "200ms", "jitter": 0},
                "transforms": [{"enrich": {"bucket": "b", "key": "{key}", "into": "value", "on-missing": "reject"}}],
                "targets": [
                    {"subject": "out.{$subject.1}.{$route}", "name": "templated", "headers": {"X-Key": "{key}"}},
                    {"subject": "named.it", "name": "named", "stream": "NAMED"},
                ],
                "audits": [{"stream": {"subject": "audit.{$route}"}}],
            }
        ],
    }


def needed(parsed: dict[str, Any], *only: Only) -> list[Need]:
    """What the config needs on a server of this kind."""
    whole = read_config(parsed, registry := registry_with([]))
    return [need for need in needs(whole, compile_config(whole, registry)[0]) if need.only in (None, *only)]


def server_with(found: list[Need], parsed: dict[str, Any], more: str = "") -> str:
    """The server's config: `gw` has what is printed, whoever says no name may do everything."""
    printed = server_config(read_config(parsed, registry_with([])), found, [])
    return f"""{more}
    authorization {{ users: [ {{ user: all, password: all }}, {{ user: gw, password: gw, {printed} }} ] }}
    no_auth_user: all
    """


def violations(server: EmbeddedServer) -> list[str]:
    """The subjects the server has refused to anybody."""
    return _VIOLATION.findall(server.log_file.read_text(errors="replace"))


async def prepare(nc: Client, js: JetStreamContext) -> None:
    """What the gateway does not make itself."""
    await make_stream(nc, "IN", ["in.>"])
    await make_stream(nc, "NAMED", ["named.>"])
    await make_stream(nc, "AUDIT", ["audit.>"])
    await js.publish("audit.r", b"what was there before is looked through")
    bucket = await js.create_key_value(bucket="b")
    await bucket.put("k", b'"old"')


async def use_everything(nc: Client, js: JetStreamContext, gateway: RunningGateway) -> None:
    """Events that go every way there is, until all of it has happened."""
    await js.publish("in.a", b'{"key": "k"}')
    assert (await arrived(nc, "OUT", 1))[0].json["value"] == "old"
    bucket = await js.key_value("b")
    await bucket.put("k", b'"new"')
    # Enough for the server to ask whether the watch keeps up.
    await asyncio.gather(*(bucket.put(f"x{at}", bytes(10_000)) for at in range(400)))
    await js.publish("in.b", b'{"key": "none"}')
    await arrived(nc, "DLQ", 1)
    assert "error" not in await api(nc, "STREAM.DELETE.NAMED")
    await js.publish("in.c", b'{"key": "k"}')
    copies = await arrived(nc, "OUT", 2)
    assert (copies[1].subject, copies[1].json["value"]) == ("out.c.r", "new")
    await eventually(lambda: gateway.stats().circuit_open, what="the target without its stream is held")
    await make_stream(nc, "NAMED", ["named.>"])
    await arrived(nc, "NAMED", 1)
    await settled(nc)
    assert len(await arrived(nc, "AUDIT", 5)) == 5, "what was there, a start, and one record an event"


FORMS: list[Any] = [
    pytest.param("", {}, (Only.SHORT_ACKS,), id="as-usual"),
    pytest.param("feature_flags { js_ack_fc_v2: true }", {}, (Only.LONG_ACKS,), id="long-acks"),
    pytest.param("jetstream { domain: hub }", {"domain": "hub"}, (Only.SHORT_ACKS, Only.OF_THE_DOMAIN), id="domain"),
]


@pytest.mark.parametrize(("more", "nats", "only"), FORMS)
async def test_the_whole_gateway_works_under_what_is_printed_and_uses_every_line_of_it(
    nats_server: EmbeddedServer,
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    more: str,
    nats: dict[str, Any],
    only: tuple[Only, ...],
) -> None:
    """Nothing is refused, nothing is asked for beyond it, and no line is there that it does without."""
    found = needed(config(nats_server.url, **nats), *only)
    await restart_with(nats_server, nc, server_with(found, config(nats_server.url, **nats), more))
    await prepare(nc, js)
    used: set[tuple[Kind, str]] = set()

    def note(frame: Frame) -> bool:
        if frame.upward and frame.subject:
            # A server takes its own domain out of a subject before it looks at permissions.
            subject = frame.subject.replace("$JS.hub.API.$KV.", "$KV.").replace("$JS.hub.API.", "$JS.API.")
            used.add((Kind.SUBSCRIBE if frame.verb == "SUB" else Kind.PUBLISH, subject))
        return True

    async with Proxy(nats_server.port) as proxy:
        proxy.passes = note
        gateway = await run_gateway(config(proxy.url.replace("//", "//gw:gw@"), **nats))
        await use_everything(nc, js, gateway)
        # The record of another replica is read with the next look, which a new connection brings.
        await js.publish("$KV.gateway-gateway.replica.other", b'{"instance": "other", "config": "x", "born": 1}')
        proxy.cut()
        read = (Kind.PUBLISH, "$JS.API.STREAM.MSG.GET.KV_gateway-gateway")
        await eventually(lambda: read in used, what="the other replica is seen")
        await gateway.stop()
    assert violations(nats_server) == []
    for kind, subject in used:
        assert any(need.kind is kind and covers(need.subject, subject) for need in found), (kind, subject)
    idle = [
        need.subject
        for need in found
        if not any(kind is need.kind and covers(need.subject, subject) for kind, subject in used)
    ]
    assert idle == [], "printed, and not needed"


LINES = [need.subject for need in needed(config("nats://127.0.0.1:4222"), Only.SHORT_ACKS)]
SAMPLE = ("_GW.inbox.>", "$JS.API.CONSUMER.MSG.NEXT.IN.gateway-r", "$JS.ACK.IN.gateway-r.>")


@pytest.mark.parametrize("line", LINES if ALL_LINES else SAMPLE)
async def test_without_any_line_of_it_something_is_refused_and_can_be_seen(
    nats_server: EmbeddedServer,
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    line: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    parsed = config(gateway_url(nats_server))
    found = needed(parsed, Only.SHORT_ACKS)
    assert line in [need.subject for need in found]
    less = [need for need in found if need.subject != line]
    await restart_with(nats_server, nc, server_with(less, parsed))
    await prepare(nc, js)
    gateway = await run_gateway(parsed, wait=False)
    events = asyncio.create_task(_try(lambda: use_everything(nc, js, gateway)))
    try:
        refused = await eventually(
            lambda: [subject for subject in violations(nats_server) if covers(line, subject)], 30, f"{line} is refused"
        )
        assert refused
        if line in SAMPLE:
            await eventually(lambda: "no permission to " in caplog.text, what="the log says so")
    finally:
        events.cancel()
        await asyncio.gather(events, return_exceptions=True)


async def _try(what: Callable[[], Any]) -> None:
    """Until it fails: with a line taken away, it does somewhere."""
    try:
        await what()
    except AssertionError:
        return


@pytest.mark.parametrize("ordering", ["strict", {"key": "key"}])
async def test_an_ordered_route_goes_from_a_crashed_replica_to_the_next_under_what_is_printed(
    nats_server: EmbeddedServer,
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    monkeypatch: pytest.MonkeyPatch,
    ordering: Any,
) -> None:
    """The pin is taken, kept, taken over and given up; a strict route sets its durable back, and no other may."""
    monkeypatch.setattr(pin, "TIMEOUT", 1.0)
    monkeypatch.setattr(pin, "RENEWAL", 0.2)
    whole = config(gateway_url(nats_server))
    plain = {"ordering": ordering, "targets": [{"subject": "out.it"}], "transforms": [], "audits": []}
    # Strict does not wait for it, and would have no reason to set back anything once it is over.
    ack_wait = "30s" if ordering == "strict" else "2s"
    plain["source"] = {"stream": "IN", "subjects": ["in.>"], "ack-wait": ack_wait}
    parsed = {**whole, "routes": [whole["routes"][0] | plain]}
    found = needed(parsed, Only.SHORT_ACKS)
    await restart_with(nats_server, nc, server_with(found, parsed))
    await make_stream(nc, "IN", ["in.>"])
    await make_stream(nc, "AUDIT", ["audit.>"])
    await make_stream(nc, "OUT", ["out.>"], max_msgs=1, discard="new")
    one = await run_gateway(parsed)
    for n in range(8):
        await js.publish("in.a", b'{"n": %d, "key": "k"}' % n)
    await eventually(lambda: in_flight_at_least(nc, 4), what="the first replica holds events")
    used: set[str] = set()

    def note(frame: Frame) -> bool:
        if frame.upward and frame.subject:
            used.add(frame.subject)
        return True

    async with Proxy(nats_server.port) as proxy:
        proxy.passes = note
        nats = {**parsed["nats"], "servers": [proxy.url.replace("//", "//gw:gw@")]}
        two = await run_gateway({**parsed, "nats": nats})
        await one.crash()
        assert "error" not in await api(nc, "STREAM.UPDATE.OUT", {"name": "OUT", "subjects": ["out.>"]})
        copies = await arrived(nc, "OUT", 8)
        assert [copy.json["n"] for copy in copies] == list(range(8))
        await two.stop()
    assert violations(nats_server) == []
    assert "$JS.API.CONSUMER.UNPIN.IN.gateway-r" in used
    reset = "$JS.API.CONSUMER.RESET.IN.gateway-r"
    assert (reset in used, reset in {need.subject for need in found}) == (ordering == "strict",) * 2


async def test_what_a_wider_filter_leaves_out_is_counted_under_what_is_printed(
    nats_server: EmbeddedServer,
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await make_stream(nc, "IN", ["in.>"])
    await make_stream(nc, "OUT", ["out.>"])
    await make_stream(nc, "DLQ", ["dlq.>"])
    source = {"stream": "IN", "subjects": ["in.a"], "manage": "update"}
    parsed = {
        "nats": {"servers": [gateway_url(nats_server)]},
        "routes": [{"name": "r", "source": source, "targets": [{"subject": "out.x"}]}],
    }
    await restart_with(nats_server, nc, server_with(needed(parsed, Only.SHORT_ACKS), parsed))
    first = await run_gateway(parsed)
    for subject in ("in.b", "in.b", "in.a"):
        await js.publish(subject, b"{}")
    await arrived(nc, "OUT", 1)
    await settled(nc)
    await first.stop()
    source["subjects"] = ["in.>"]
    await run_gateway(parsed)
    (said,) = logged(caplog, "durable.skips")
    assert said.skipped == 2
    assert not violations(nats_server)


async def in_flight_at_least(nc: Client, events: int) -> bool:
    """Whether the durable has given out so many that are not settled."""
    return await in_flight(nc) >= events
