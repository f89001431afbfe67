"""Components that raise, answer nonsense, or try to end the process: the event is dead-lettered, the lane goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Attributes, Codec, Encoded, Event, Filter, Reject, Retry, Settings, Transform
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled

pytestmark = pytest.mark.usefixtures("streams")

SECRET = "4111-1111"


def misbehave(how: str, event: Event) -> Any:
    """What the event's `do` says: raise it, or answer it."""
    if how == "reject":
        raise Reject("too-poor", "has no money")
    if how == "reject-undeclared":
        raise Reject("surprise", "who knows")
    if how == "reject-odd":
        raise Reject("a\r\nGateway-Evil: 1\ud800", "b\r\nGateway-Worse: 2\ud800\x00")
    if how == "raise":
        raise ValueError(f"card {event.get('card')}")
    if how == "key":
        return {}[event.get("card")]
    if how == "recursion":
        return misbehave(how, event)
    if how == "exit":
        raise SystemExit(3)
    if how == "cancelled":
        raise asyncio.CancelledError
    return {"none": None, "one": 1, "text": "yes", "empty": [], "list": [event, 7], "dict": {}}[how]


class BadFilter(Filter, name="bad-filter"):
    """Do what the event says."""

    codes = ("too-poor",)

    def accepts(self, event: Event) -> bool:
        how = event.get("do")
        return True if how == "fine" else misbehave(how, event)


class BadTransform(Transform, name="bad-transform"):
    """Do what the event says."""

    codes = ("too-poor",)

    def apply(self, event: Event) -> Event:
        how = event.get("do")
        return event if how == "fine" else misbehave(how, event)


class BadAsyncFilter(Filter, name="bad-async-filter"):
    """Do what the event says, in a coroutine."""

    codes = ("too-poor",)

    async def accepts(self, event: Event) -> bool:
        how = event.get("do")
        return True if how == "fine" else misbehave(how, event)


class BadAsyncTransform(Transform, name="bad-async-transform"):
    """Do what the event says, in a coroutine."""

    codes = ("too-poor",)

    async def apply(self, event: Event) -> Event:
        how = event.get("do")
        return event if how == "fine" else misbehave(how, event)


class BadBlockingTransform(BadTransform, name="bad-blocking-transform"):
    """Do what the event says, in a thread."""

    blocking = True


STEPS = {
    "filter": ("filters", BadFilter),
    "async-filter": ("filters", BadAsyncFilter),
    "transform": ("transforms", BadTransform),
    "async-transform": ("transforms", BadAsyncTransform),
    "blocking-transform": ("transforms", BadBlockingTransform),
}
RAISES = ["raise", "key", "recursion", "exit", "cancelled"]
ANSWERS = ["none", "one", "text", "empty", "list", "dict"]


@pytest.mark.parametrize("kind", STEPS)
async def test_a_component_that_breaks_the_contract_costs_its_event_only(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, kind: str
) -> None:
    where, component = STEPS[kind]
    gateway = await run_gateway({"routes": [route(**{where: [component.name]})]}, component)
    # An async step that is cancelled from inside is tried again like one that ran out of time.
    faults = [how for how in RAISES + ANSWERS if not (how == "cancelled" and "async" in kind)]
    for how in faults:
        await js.publish("in.a", b'{"do": "%b", "card": "%b"}' % (how.encode(), SECRET.encode()))
    await js.publish("in.a", b'{"do": "fine"}')
    await arrived(nc, "OUT", 1)
    letters = await arrived(nc, "DLQ", len(faults))
    for letter in letters:
        code = "filter-error" if where == "filters" else "transform-error"
        assert letter.headers["Gateway-Error-Code"] == code, letter
        assert letter.headers["Gateway-Error-Step"] == f"{where[:-1]}-0-{component.name}"
        assert SECRET not in letter.header_block.decode(), "an error text may hold event data"
    by_fault = {letter.json["do"]: letter.headers["Gateway-Error-Message"] for letter in letters}
    assert by_fault["raise"].startswith("ValueError in tests/jetstream/test_faulty_components.py:")
    assert by_fault["exit"].startswith("SystemExit in tests/jetstream/test_faulty_components.py:")
    await settled(nc)
    assert gateway.stats().up


@pytest.mark.parametrize("kind", STEPS)
async def test_a_reject_is_dead_lettered_under_its_own_code(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, kind: str
) -> None:
    where, component = STEPS[kind]
    gateway = await run_gateway({"routes": [route(**{where: [component.name]})]}, component)
    for how in (b"reject", b"reject-undeclared", b"reject-odd"):
        await js.publish("in.a", b'{"do": "%b"}' % how)
    letters = {letter.json["do"]: letter.headers for letter in await arrived(nc, "DLQ", 3)}
    assert letters["reject"]["Gateway-Error-Code"] == "too-poor"
    assert letters["reject"]["Gateway-Error-Message"] == "has no money"
    assert letters["reject-undeclared"]["Gateway-Error-Code"] == "surprise"
    odd = letters["reject-odd"]
    assert not {"Gateway-Evil", "Gateway-Worse"} & set(odd), "a component must not write headers through its code"
    assert odd["Gateway-Error-Message"].isascii()
    await settled(nc)
    dead = gateway.stats().dead_letters
    assert (dead["too-poor"], dead["other"]) == (1, 2), "codes nobody declared are one series"
    assert "surprise" not in dead


class RejectingCodec(Codec, name="odd-codec"):
    """A codec that reads bytes its own way and fails where its config says."""

    class Config(Settings):
        fails: str

    config: Config

    def decode(self, data: bytes, headers: Mapping[str, str], subject: str) -> Any:
        if self.config.fails == "decode" and data == b"bad":
            raise KeyError(SECRET)
        return data.decode()

    def encode(self, body: Any, headers: Mapping[str, str]) -> Encoded:
        if self.config.fails == "encode" and body == "bad!":
            raise KeyError(SECRET)
        return Encoded(body.encode())

    def attributes(self, body: Any, headers: Mapping[str, str]) -> Attributes:
        if self.config.fails == "attributes" and body == "bad":
            raise KeyError(SECRET)
        return Attributes(id=body)


class Shout(Transform, name="shout"):
    """Change the body, so that it is encoded again."""

    def apply(self, event: Event) -> Event:
        return event.replace(body=event.body + "!")


@pytest.mark.parametrize(
    ("fails", "code"), [("decode", "decode-error"), ("attributes", "decode-error"), ("encode", "encode-error")]
)
async def test_a_codec_that_raises_costs_its_event_only(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, fails: str, code: str
) -> None:
    fields = {"codec": {"odd-codec": {"fails": fails}}, "transforms": ["shout"]}
    await run_gateway({"routes": [route(**fields)]}, RejectingCodec, Shout)
    await js.publish("in.a", b"bad")
    await js.publish("in.a", b"good")
    assert [message.data for message in await arrived(nc, "OUT", 1)] == [b"good!"]
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == code
    assert letter.data == b"bad"
    assert SECRET not in letter.header_block.decode()
    await settled(nc)


class BadPause(Filter, name="bad-pause"):
    """Ask for another try after what is no number."""

    def accepts(self, event: Event) -> bool:
        raise Retry(after="soon")  # type: ignore[arg-type]


async def test_a_pause_that_is_no_number_is_a_fault_of_the_component(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route(filters=["bad-pause"])]}, BadPause)
    await js.publish("in.a", b"1")
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == "filter-error"
    assert letter.headers["Gateway-Error-Message"] == "Retry(after=...) takes seconds, not a str"


class AlwaysExits(Filter, name="always-exits"):
    """Try to end the process."""

    def accepts(self, event: Event) -> bool:
        raise SystemExit(1)


async def test_a_broken_route_does_not_stop_its_neighbour(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    good = route("good", targets=[{"subject": "out.good"}])
    bad = route("bad", filters=["always-exits"], targets=[{"subject": "out.bad"}])
    await run_gateway({"routes": [bad, good]}, AlwaysExits)
    for number in range(50):
        await js.publish("in.a", b"%d" % number)
    messages = await arrived(nc, "OUT", 50)
    assert {message.subject for message in messages} == {"out.good"}
    letters = await arrived(nc, "DLQ", 50)
    assert {letter.subject for letter in letters} == {"dlq.bad"}
    await settled(nc, "good")
    await settled(nc, "bad")
