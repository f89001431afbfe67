"""Redrive: events in dead letters sent again, none lost, none doubled, and what stays stays for a reason."""

from __future__ import annotations

from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Filter, Reject
from gateway.dlq.plan import Skip, Way
from gateway.dlq.redrive import Shop
from gateway.dlq.ways import redriving
from gateway.jetstream.server import EmbeddedServer
from gateway.records import StoredMessage
from gateway.routing.redrive import Letter, letter_of
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.letters import body_of, headers_of, numbers, send_again, write_letters
from tests.support.running import read_config, registry_with
from tests.support.streams import (
    api,
    count,
    make_stream,
    read_message,
    read_stream,
    stream_state,
)


class Bad(Filter, name="bad"):
    """Reject everything."""

    codes = ("bad",)

    def accepts(self, event: Event) -> bool:
        raise Reject("bad", "it is bad")


async def test_an_event_goes_out_as_it_came_in_and_its_letter_is_removed(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, streams: None
) -> None:
    """From the first way to the second: only the step that failed is another one."""
    gateway = await run_gateway({"routes": [route(filters=["bad"])]}, Bad)
    await js.publish("in.a", b'{"n": 7}', headers={"X-One": "1", "Nats-Msg-Id": "mine"})
    await arrived(nc, "DLQ", 1)
    await settled(nc)
    await gateway.stop()
    redriven = await send_again(nats_server.url, {"routes": [route()]})
    assert redriven.good
    (copy,) = await arrived(nc, "OUT", 1)
    assert copy.data == b'{"n": 7}'
    assert copy.headers["X-One"] == "1"
    assert copy.headers["Gateway-Causation-Id"] == "mine", "the sender's id is the event's id again"
    assert copy.headers["Gateway-Redrive"] == "DLQ/1"
    assert copy.headers["Gateway-Redrives"] == "1"
    assert not [name for name in copy.headers if name.startswith("Gateway-Original") or name == "Gateway-Route"]
    assert await count(nc, "DLQ") == 0
    assert await count(nc, "IN") == 1, "the source is not touched"


@pytest.mark.parametrize("window", ["2m", "100ms"])
async def test_no_duplicate_window_swallows_what_a_target_had_before(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, window: str
) -> None:
    """Inside the window and outside: the second way has ids of its own."""
    for name in ("IN", "DLQ"):
        await make_stream(nc, name, [f"{name.lower()}.>"])
    nanoseconds = 120_000_000_000 if window == "2m" else 100_000_000
    await make_stream(nc, "OUT", ["out.>"], duplicate_window=nanoseconds)
    targets = [{"name": "out", "subject": "out.it"}, {"name": "far", "subject": "out.{to}"}]
    gateway = await run_gateway({"routes": [route(targets=targets)]})
    await js.publish("in.a", b'{"n": 1, "to": "a.b"}')
    await arrived(nc, "DLQ", 1)
    (before,) = await arrived(nc, "OUT", 1)
    await settled(nc)
    await gateway.stop()
    targets[1]["subject"] = "out.{to|token}"
    redriven = await send_again(nats_server.url, {"routes": [route(targets=targets)]})
    assert redriven.good
    messages = await arrived(nc, "OUT", 3)
    assert sorted(message.subject for message in messages) == ["out.a_b", "out.it", "out.it"]
    assert len({message.headers["Nats-Msg-Id"] for message in messages}) == 3
    assert before.headers["Nats-Msg-Id"] in {message.headers["Nats-Msg-Id"] for message in messages}


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize("ordering", ["strict", {"key": "key"}])
async def test_letters_of_an_ordered_route_keep_their_order(
    nats_server: EmbeddedServer, nc: Client, route: Route, ordering: Any
) -> None:
    """Among themselves; what went through in the meantime is ahead of them."""
    await write_letters(nc, 30)
    redriven = await send_again(nats_server.url, {"routes": [route(ordering=ordering)]})
    assert redriven.good
    assert numbers(await read_stream(nc, "OUT")) == list(range(1, 31))
    assert await count(nc, "DLQ") == 0


@pytest.mark.usefixtures("streams")
async def test_only_the_targets_that_failed_get_it(nats_server: EmbeddedServer, nc: Client, route: Route) -> None:
    """The others have it; a letter that names none failed before anything was sent, and goes to all."""
    targets = [{"name": name, "subject": f"out.{name}"} for name in ("one", "two", "three")]
    await write_letters(nc, 2, gateway_failed_targets="two, three")
    await write_letters(nc, 1, first=3)
    await write_letters(nc, 1, first=4, gateway_failed_targets="two, gone")
    redriven = await send_again(nats_server.url, {"routes": [route(targets=targets)]}, way=Way.FAILED_TARGETS)
    sent = sorted((message.json["n"], message.subject) for message in await read_stream(nc, "OUT"))
    assert sent == [
        (1, "out.three"),
        (1, "out.two"),
        (2, "out.three"),
        (2, "out.two"),
        (3, "out.one"),
        (3, "out.three"),
        (3, "out.two"),
    ]
    assert redriven.plans[0].skipped == {Skip.TARGET_GONE: 1}
    assert numbers(await read_stream(nc, "DLQ")) == [4]


@pytest.mark.usefixtures("streams")
async def test_what_fails_again_has_a_new_letter_that_knows_its_first_source(
    nats_server: EmbeddedServer, nc: Client, route: Route
) -> None:
    config = {"routes": [route(filters=["bad"])]}
    await write_letters(nc, 1, first=42)
    redriven = await send_again(nats_server.url, config, Bad)
    assert (redriven.tally.dead_lettered, redriven.good) == (1, False)
    (letter,) = await read_stream(nc, "DLQ")
    assert letter.seq == 2
    named = letter.headers
    assert (named["Gateway-Source-Stream"], named["Gateway-Source-Sequence"]) == ("IN", "42")
    assert named["Gateway-First-Seen"] == "2026-01-31T12:00:00.123Z"
    assert (named["Gateway-Redrive"], named["Gateway-Redrives"]) == ("DLQ/1", "1")
    for _ in range(2):
        await send_again(nats_server.url, config, Bad)
    (letter,) = await read_stream(nc, "DLQ")
    assert letter.headers["Gateway-Redrives"] == "3"


@pytest.mark.usefixtures("streams")
async def test_a_loop_ends_after_three_times(nats_server: EmbeddedServer, nc: Client, route: Route) -> None:
    """Unless it is forced."""
    config = {"routes": [route(filters=["bad"])]}
    await write_letters(nc, 1, gateway_redrives="3")
    await write_letters(nc, 1, first=2, gateway_original_gateway_redrives="3")
    redriven = await send_again(nats_server.url, config, Bad)
    assert redriven.plans[0].skipped == {Skip.REDRIVEN: 2}
    assert (await stream_state(nc, "DLQ"))["last_seq"] == 2, "nothing was sent"
    redriven = await send_again(nats_server.url, config, Bad, force=True)
    assert redriven.tally.dead_lettered == 2
    assert [letter.headers["Gateway-Redrives"] for letter in await read_stream(nc, "DLQ")] == ["4", "4"]


@pytest.mark.usefixtures("streams")
async def test_back_to_a_source_that_fails_it_again_ends_with_the_letters_there_were(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """A gateway runs at the same time and writes letters under our hands."""
    config = {"routes": [route(filters=["bad"])]}
    await write_letters(nc, 200)
    await run_gateway(config, Bad)
    redriven = await send_again(nats_server.url, config, Bad, way=Way.SOURCE)
    assert (redriven.tally.letters, redriven.tally.published) == (200, 200)
    letters = await arrived(nc, "DLQ", 200)
    assert sorted(numbers(letters)) == list(range(1, 201))
    assert {letter.headers["Gateway-Original-Gateway-Redrives"] for letter in letters} == {"1"}
    assert letters[0].seq > 200


@pytest.mark.usefixtures("streams")
async def test_the_source_gets_its_event_back_under_its_subject_with_its_headers(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """A control header of the sender is not obeyed twice; the letter goes, and the route takes the event."""
    headers = {
        "x_one": "1",
        "gateway_original_nats_msg_id": "mine",
        "gateway_original_nats_expected_last_sequence": "0",
        "gateway_original_gateway_correlation_id": "c",
        "gateway_source_subject": "in.some.where",
    }
    await write_letters(nc, 1, **headers)
    await run_gateway({"routes": [route()]})
    redriven = await send_again(nats_server.url, {"routes": [route()]}, way=Way.SOURCE)
    assert redriven.good
    (event,) = await arrived(nc, "IN", 1)
    assert (event.subject, event.data) == ("in.some.where", body_of(1))
    assert event.headers["X-One"] == "1"
    assert event.headers["Gateway-Correlation-Id"] == "c"
    assert "Nats-Expected-Last-Sequence" not in event.headers
    assert event.headers["Nats-Msg-Id"] != "mine"
    await arrived(nc, "OUT", 1)
    assert await count(nc, "DLQ") == 0


@pytest.mark.usefixtures("streams")
async def test_what_the_source_cannot_take_keeps_its_letter_as_it_is(
    nats_server: EmbeddedServer, nc: Client, route: Route
) -> None:
    """Its letter says why it failed; another one would say only that this did not help."""
    await write_letters(nc, 1, gateway_original_gateway_hops="99")
    await write_letters(nc, 1, first=2)
    redriven = await send_again(nats_server.url, {"routes": [route()]}, way=Way.SOURCE)
    assert (redriven.tally.kept, redriven.tally.published) == ({"loop": 1}, 1)
    (letter,) = await read_stream(nc, "DLQ")
    assert (letter.seq, letter.headers["Gateway-Error-Code"]) == (1, "bad")


async def letter_at(nc: Client, sequence: int) -> Letter:
    """What a letter says; its stream is DLQ."""
    stored = await read_message(nc, "DLQ", sequence)
    assert stored is not None
    letter = letter_of(StoredMessage("DLQ", stored.seq, stored.subject, stored.data, stored.header_block, 1))
    assert letter is not None
    return letter


async def sent_before(nats_server: EmbeddedServer, nc: Client, config: dict[str, Any], sequence: int) -> None:
    """Publish what a run that was killed before it removed the letter has published."""
    registry = registry_with(())
    shop = Shop(read_config({"nats": {"servers": [nats_server.url]}, "http": "off", **config}, registry), registry)
    created = (await api(nc, "STREAM.INFO.DLQ"))["created"]
    route = redriving(shop.routes["r"], Way.ROUTE, "DLQ", created)
    assert route.redrive is not None
    letter = await letter_at(nc, sequence)
    route.redrive.letters[letter.source_sequence] = letter
    message_id = route.ids("").copy("out", letter.source_sequence, 0, None)
    await nc.jetstream().publish("out.it", letter.data, headers={"Nats-Msg-Id": message_id})


@pytest.mark.usefixtures("streams")
async def test_what_a_run_before_sent_is_not_doubled(nats_server: EmbeddedServer, nc: Client, route: Route) -> None:
    """It is seen in its stream, then its letter goes."""
    config = {"routes": [route()]}
    await write_letters(nc, 2)
    await sent_before(nats_server, nc, config, 2)
    redriven = await send_again(nats_server.url, config)
    assert (redriven.tally.proved, redriven.good) == (1, True)
    assert sorted(numbers(await read_stream(nc, "OUT"))) == [1, 2]
    assert await count(nc, "DLQ") == 0


@pytest.mark.usefixtures("streams")
async def test_a_duplicate_that_is_not_there_keeps_its_letter(
    nats_server: EmbeddedServer, nc: Client, route: Route
) -> None:
    """A stream remembers ids longer than messages; removed for its word, the letter would be the event's last."""
    config = {"routes": [route()]}
    await write_letters(nc, 2)
    await sent_before(nats_server, nc, config, 2)
    await api(nc, "STREAM.PURGE.OUT")
    redriven = await send_again(nats_server.url, config)
    assert redriven.tally.kept == {"unproved": 1}
    assert redriven.tally.examples == {"unproved": ["DLQ/2"]}
    assert not redriven.good
    assert numbers(await read_stream(nc, "DLQ")) == [2]
    assert numbers(await read_stream(nc, "OUT")) == [1]


@pytest.mark.usefixtures("streams")
async def test_what_a_filter_ends_stays_in_its_letter(nats_server: EmbeddedServer, nc: Client, route: Route) -> None:
    """Nobody else has it."""
    await write_letters(nc, 3)
    config = {"routes": [route(filters=[{"pattern": {"n": [2]}}])]}
    redriven = await send_again(nats_server.url, config)
    assert redriven.tally.kept == {"filtered": 2}
    assert numbers(await read_stream(nc, "DLQ")) == [1, 3]
    assert numbers(await read_stream(nc, "OUT")) == [2]


@pytest.mark.usefixtures("streams")
async def test_dedupe_does_not_filter_an_event_for_its_own_first_way(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    dedupe = {"dedupe": {"key": "n"}}
    gateway = await run_gateway({"routes": [route(filters=[dedupe, "bad"])]}, Bad)
    await js.publish("in.a", b'{"n": 1}')
    await arrived(nc, "DLQ", 1)
    await settled(nc)
    assert (await send_again(nats_server.url, {"routes": [route(filters=[dedupe])]})).good
    await arrived(nc, "OUT", 1)
    await gateway.stop()


@pytest.mark.usefixtures("streams")
async def test_what_stays_is_told_with_the_reason(nats_server: EmbeddedServer, nc: Client, route: Route) -> None:
    await write_letters(nc, 1, gateway_route="gone")
    await write_letters(nc, 1, first=2, gateway_route="off")
    await write_letters(nc, 1, first=3, gateway_source_stream="ELSEWHERE")
    await write_letters(nc, 1, first=4, gateway_omitted="headers")
    await write_letters(nc, 1, first=5, gateway_name="west")
    await nc.jetstream().publish("dlq.r", b'{"n": 6}', headers={"Gateway-Route": "r"})
    await nc.jetstream().publish("dlq.r", b'{"n": 7}')
    await write_letters(nc, 1, first=8)
    config = {"routes": [route(), route("off", enabled=False)]}
    redriven = await send_again(nats_server.url, config)
    (plan,) = redriven.plans
    assert plan.skipped == {Skip.NO_ROUTE: 1, Skip.DISABLED: 1, Skip.OTHER_STREAM: 1, Skip.OMITTED: 1}
    assert plan.examples[Skip.NO_ROUTE] == ["DLQ/1"]
    assert (plan.no_letters, plan.of_others) == (2, {"west": 1})
    assert numbers(await read_stream(nc, "OUT")) == [8]
    assert numbers(await read_stream(nc, "DLQ")) == [1, 2, 3, 4, 5, 6, 7]
    redriven = await send_again(nats_server.url, config, force=True)
    assert sorted(numbers(await read_stream(nc, "OUT"))) == [3, 4, 8]
    redriven = await send_again(nats_server.url, config, to_route="r", routes=("gone",))
    assert redriven.good
    assert sorted(numbers(await read_stream(nc, "OUT"))) == [1, 3, 4, 8]


def test_headers_of_tests_are_those_of_a_letter() -> None:
    """Else the tests here would prove nothing."""
    block = "NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers_of(3).items()) + "\r\n"
    letter = letter_of(StoredMessage("DLQ", 1, "dlq.r", b"", block.encode()))
    assert letter is not None
    assert (letter.route, letter.code, letter.source_sequence) == ("r", "bad", 3)
