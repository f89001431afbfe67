"""Messages nobody planned for: commands of the server in headers, headers to the brim, nothing at all, poison by the
thousand, an event of 60 MB.
"""

from __future__ import annotations

import json
import logging
import random
import resource
import threading
from collections import Counter
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.jetstream.server import EmbeddedServer
from gateway.observe.repeats import Repeats
from tests.conftest import StartGateway
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import LONG, eventually
from tests.support.publisher import Publisher
from tests.support.raw_client import RawClient
from tests.support.servers import restart_with
from tests.support.streams import Stored, count, make_stream, read_message
from tests.support.witness import all_settled, read_all

CONTROLS = {
    "Nats-TTL": "never",
    "Nats-Rollup": "all",
    "Nats-Expected-Last-Sequence": "0",
    "Nats-Expected-Last-Subject-Sequence": "0",
    "Nats-Expected-Stream": "IN",
    "Nats-Msg-Id": "mine",
}


async def test_a_stored_command_reaches_the_server_once(nc: Client) -> None:
    """The premise of the next test: the source obeys these headers and stores them with the message."""
    await make_stream(nc, "IN", ["in.>"], allow_msg_ttl=True, allow_rollup_hdrs=True)
    await nc.jetstream().publish("in.a", b"{}", headers=CONTROLS)
    message = await read_message(nc, "IN", 1)
    assert message is not None
    assert message.headers == CONTROLS


@pytest.mark.fault("control-headers")
async def test_what_commanded_the_source_commands_neither_target_nor_dead_letters(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Passed on, they would purge the target, be refused for ever, or be taken for a duplicate."""
    await make_stream(nc, "IN", ["in.>"], allow_msg_ttl=True, allow_rollup_hdrs=True, allow_msg_schedules=True)
    await make_stream(nc, "OUT", ["out.>"], allow_rollup_hdrs=True)
    await make_stream(nc, "DLQ", ["dlq.>"], allow_rollup_hdrs=True, allow_msg_ttl=True)
    await js.publish("out.old", b"0")
    await js.publish("dlq.old", b"0")
    await js.publish("in.a", b'{"n": 1}', headers=CONTROLS)
    rest = {name: value for name, value in CONTROLS.items() if "Expected" not in name and name != "Nats-Msg-Id"}
    gateway = await run_gateway({"routes": [route(targets=[{"subject": "out.it", "stream": "OUT"}])]})
    await arrived(nc, "OUT", 2)
    await js.publish("in.a", b"{bad", headers=rest)
    _, copy = await arrived(nc, "OUT", 2)
    _, letter = await arrived(nc, "DLQ", 2)
    assert not {"Nats-TTL", "Nats-Rollup", "Nats-Expected-Last-Sequence"} & copy.headers.keys()
    assert copy.headers["Nats-Expected-Stream"] == "OUT"
    kept = {name.removeprefix("Gateway-Original-"): value for name, value in letter.headers.items()}
    assert {name: kept[name] for name in rest} == rest
    assert not rest.keys() & letter.headers.keys()
    await settled(nc)
    assert not gateway.stats().retries["other"]


@pytest.mark.fault("control-headers")
async def test_a_scheduled_message_is_an_event_when_it_is_due(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """What its schedule left in the headers would schedule the copy once more, or be refused."""
    await make_stream(nc, "IN", ["in.>", "plan.>"], allow_msg_schedules=True, allow_msg_ttl=True)
    for name in ("OUT", "DLQ"):
        await make_stream(nc, name, [f"{name.lower()}.>"])
    await run_gateway({"routes": [route(source={"subjects": ["in.>", "plan.>"]})]})
    headers = {"Nats-Schedule": "@at 2020-01-01T00:00:00Z", "Nats-Schedule-Target": "in.due", "X-Keep": "1"}
    await js.publish("plan.a", b'{"n": 1}', headers=headers)

    async def due() -> list[Stored]:
        assert await count(nc, "OUT") == 2
        return await arrived(nc, "OUT", 2)

    for copy in await eventually(due):
        assert copy.headers["X-Keep"] == "1"
        assert not [name for name in copy.headers if name.lower().startswith("nats-sched")]
    assert await count(nc, "DLQ") == 0
    await settled(nc)


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("header-block-full")
async def test_headers_to_the_brim_leave_no_room_for_ours_and_become_a_dead_letter_without_them(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """The server takes 64 KiB - 1 of them and refuses a copy with more, each time it is sent."""
    gateway = await run_gateway({"routes": [route()]})
    block = len(b"NATS/1.0\r\nX: \r\n\r\n")
    with RawClient(nats_server.port) as raw:
        for fill in (65_535 - block, 60_000):
            raw.publish(b"in.a", b'{"n": %d}' % fill, b"X: %b\r\n" % (b"y" * fill))
    (copy,) = await arrived(nc, "OUT", 1)
    assert copy.json == {"n": 60_000}
    assert copy.headers["X"] == "y" * 60_000
    (letter,) = await arrived(nc, "DLQ", 1)
    assert (letter.headers["Gateway-Error-Code"], letter.headers["Gateway-Omitted"]) == ("too-large", "headers")
    assert letter.json == {"n": 65_535 - block}
    await settled(nc)
    assert gateway.app.stats.reconnects == 0


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("empty-event")
@pytest.mark.parametrize("codec", ["json", "raw"])
async def test_an_event_of_nothing_is_an_event(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route, codec: str
) -> None:
    """No bytes are no JSON, which only matters where a step reads them; a header without a value keeps its name."""
    filters = [] if codec == "raw" else [{"pattern": {"a": [1]}}]
    await run_gateway({"routes": [route(codec=codec, filters=filters)]})
    with RawClient(nats_server.port) as raw:
        raw.publish(b"in.a", b"", b"X-Empty:\r\nX-Blank: \r\n")
        raw.publish(b"in.a", b"")
    messages = await arrived(nc, "OUT" if codec == "raw" else "DLQ", 2)
    assert [message.data for message in messages] == [b"", b""]
    assert messages[0].header_block.endswith(b"X-Empty:\r\nX-Blank: \r\n\r\n")
    await settled(nc)


POISON = (
    b"{" * 3,
    b"[" * 100_000,
    b'{"n": 1e400}',
    b'{"n": "\xff\xfe"}',
    b'{"n": ' + b"9" * 5000 + b"}",
    b"\x00",
    b"",
)


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("poison")
async def test_ten_thousand_poison_events_in_a_row_are_ten_thousand_dead_letters(
    nats_server: EmbeddedServer,
    nc: Client,
    run_gateway: RunGateway,
    route: Route,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each with all that is known of it; the good ones between them pass, and the log does not grow with them."""
    caplog.set_level(logging.INFO, "gateway")
    events, chance = 10_000, random.Random(7)
    good = set(chance.sample(range(events), 500))
    sent = [b'{"n": %d}' % n if n in good else POISON[0] + b"%d" % n for n in range(events)]
    for place, nasty in enumerate(POISON):
        sent.insert(place * 700, nasty)
    async with Publisher(nc) as publisher:
        for data in sent:
            await publisher.publish("in.a", data)
        await publisher.settled()
    config = route(
        filters=[{"pattern": {"n": [{"exists": True}]}}], source={"ack-wait": "30s"}, **{"max-in-flight": 256}
    )
    gateway = await run_gateway({"routes": [config]})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await all_settled(nc, "IN", ["gateway-r"], LONG)
    letters = await read_all(nats_server.url, "DLQ")
    assert Counter(letter.data for letter in letters) == Counter(
        data for n, data in enumerate(sent) if not data.startswith(b'{"n": ') or data in POISON
    )
    for letter in letters:
        place = int(letter.headers["Gateway-Source-Sequence"]) - 1
        assert letter.data == sent[place]
        assert letter.headers["Gateway-Error-Code"] == "decode-error"
        assert {"Gateway-Error-Step", "Gateway-Error-Message", "Gateway-First-Seen", "Gateway-Config"} <= set(
            letter.headers
        )
    assert Counter(json.loads(copy.data)["n"] for copy in await read_all(nats_server.url, "OUT")) == Counter(good)
    repeats = Repeats(lambda counted: None, threading.RLock())
    assert sum(map(repeats.passes, caplog.records)) < 20
    repeats.end()
    assert gateway.stats().step_errors[("decode", "decode-error")] == len(letters)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


@pytest.mark.fault("huge-event")
async def test_an_event_of_60_mb_passes_whole_and_so_do_the_small_ones_beside_it(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, gateway_process: StartGateway, route: Route
) -> None:
    """On a server that allows it. A file stream never takes more than 32 MiB, and says that it is full: were it taken
    by its word, the event would hold its target for a day.
    """
    await restart_with(nats_server, nc, "max_payload: 64MB\nmax_pending: 256MB")
    for name in ("IN", "OUT", "DLQ"):
        await make_stream(nc, name, [f"{name.lower()}.>"], storage="memory")
    await make_stream(nc, "FILE", ["file.>"])
    targets = [{"subject": "out.big", "name": "memory"}, {"subject": "file.big", "name": "file"}]
    routes = [
        route("big", source={"subjects": ["in.big"], "ack-wait": "30s"}, targets=targets, codec="raw"),
        route("small", source={"subjects": ["in.small"]}, targets=[{"subject": "out.small"}]),
    ]
    body = random.Random(1).randbytes(1_000_000) * 60
    with RawClient(nats_server.port) as raw:
        raw.publish(b"in.big", body, b"X-Keep: 1\r\n")
    gateway = await gateway_process({"routes": routes})
    for number in range(50):
        await js.publish("in.small", b"%d" % number)
    await js.publish("in.big", b"small")
    await all_settled(nc, "IN", ["gateway-small", "gateway-big"], LONG)
    messages = await read_all(nats_server.url, "OUT")
    assert sorted(int(m.data) for m in messages if m.subject == "out.small") == list(range(50))
    assert [message.data == body for message in messages if message.subject == "out.big"] == [True, False]
    (letter,) = await read_all(nats_server.url, "DLQ")
    assert letter.data == body
    assert letter.headers["Gateway-Error-Code"] == "too-large"
    assert letter.headers["Gateway-Failed-Targets"] == "file"
    assert letter.headers["X-Keep"] == "1"
    assert await count(nc, "FILE") == 1
    assert peak_memory(gateway.pid) < 500 << 20


def peak_memory(pid: int) -> int:
    """Bytes a process has had in memory at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
