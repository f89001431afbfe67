"""Letters read back: what `letters` writes, `redrive` reads, to the byte."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dlq.plan import Judge, Order, Skip, Way
from gateway.dlq.selection import Selection
from gateway.records import StoredMessage
from gateway.routing.letters import Fault, dead_letter, written_name
from gateway.routing.redrive import Letter, Redrive, delivery_of, letter_of, original_block
from gateway.routing.route import CompiledRoute
from tests.unit.routes import CREATED, route_of
from tests.unit.routes import delivery_of as delivered

ROUTE = route_of(name="eu-orders", gateway="west")
FAULT = Fault(step="publish", code="too-large", message="too big", exhausted="attempts", failed_targets=("a", "b.{id}"))


def stored(block: bytes, data: bytes = b"{}", sequence: int = 17) -> StoredMessage:
    return StoredMessage("DLQ", sequence, "dlq.eu-orders", data, block, 1_700_000_100_000_000_000)


def letter(block: bytes = b"", fault: Fault = FAULT, sequence: int = 17, **changed: object) -> Letter:
    """The letter of event 42 of ORDERS with these headers."""
    delivery = delivered(b"\x00\xff", block, subject="orders.created.\udcff", sequence=42)
    copy = dead_letter(ROUTE, ROUTE.ids(CREATED), delivery, fault, 3, 1_700_000_060.5, 1 << 20)
    read = letter_of(stored(copy.header_block, copy.data, sequence))
    assert read is not None
    return msgspec.structs.replace(read, **changed)


def test_everything_a_letter_says_is_read() -> None:
    read = letter(b"NATS/1.0\r\nX: 1\r\n\r\n")
    assert (read.stream, read.sequence, read.place) == ("DLQ", 17, "DLQ/17")
    assert (read.gateway, read.route, read.code, read.step) == ("west", "eu-orders", "too-large", "publish")
    assert (read.message, read.attempts, read.exhausted) == ("too big", 3, "attempts")
    assert read.failed_targets == ("a", "b.{id}")
    assert (read.source_stream, read.source_sequence, read.source_subject) == ("ORDERS", 42, "orders.created.\udcff")
    assert (read.omitted, read.redrives, read.redriven_from) == (False, 0, "")


@pytest.mark.parametrize(
    "instant", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "yesterday", "2026-01-31T12:00:00"]
)
def test_an_instant_that_is_none_is_that_of_the_letter(instant: str) -> None:
    """Anybody can write one, and the next letter must be able to say it again."""
    read = letter(first_seen=instant)
    assert delivery_of(read).stored_ns == read.stored_ns


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (("x" * 255, "y" * 255, "z"), ("x" * 255, "y" * 255, "z")),
        (("a, b", "a"), ("a,b", "a")),
        (tuple(f"{n:0>255}" for n in range(100)), ()),
    ],
    ids=["long", "comma", "too-many"],
)
def test_a_letter_names_every_failed_target_or_none(names: tuple[str, ...], read: tuple[str, ...]) -> None:
    """A name that was cut off would be a target that had its copy, and a redrive would not send it one."""
    found = letter(fault=Fault(step="publish", code="x", message="", failed_targets=names)).failed_targets
    assert found == read
    assert all(written_name(name) in found for name in names) or not found


lines = st.lists(
    st.sampled_from(
        [
            b"X-A: 1",
            b"X-A:  2 ",
            b"no colon",
            b"x: \xff\xfe",
            b"Nats-Msg-Id: m",
            b"nats-rollup:all",
            b"Gateway-Route: evil",
            b"GATEWAY-Hops: 3",
            b"Gateway-Original-Nats-Msg-Id: older",
            b"Gateway-Original-Gateway-Original-X: oldest",
            b"Gateway-Omitted: headers",
            b"Gateway-Source-Sequence: 1",
        ]
    )
)


@given(lines)
def test_the_original_headers_come_back_byte_for_byte(sent: list[bytes]) -> None:
    """However often: a letter of a redriven event holds what the first one held."""
    block = b"NATS/1.0\r\n" + b"".join(line + b"\r\n" for line in sent) + b"\r\n" if sent else b""
    once = letter(block)
    assert original_block(once) == block
    assert original_block(letter(original_block(once))) == block
    delivery = delivery_of(once)
    assert (delivery.data, delivery.subject, delivery.sequence) == (b"\x00\xff", "orders.created.\udcff", 42)
    assert (delivery.deliveries, delivery.stored_ns) == (1, 1_700_000_000_123_000_000)
    assert (once.route, once.source_sequence, once.omitted) == ("eu-orders", 42, False), "no sender speaks for a letter"


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"NATS/1.0\r\n\r\n",
        b"NATS/1.0\r\nGateway-Route: r\r\nGateway-Error-Code: x\r\n\r\n",
        b"NATS/1.0\r\nGateway-Name: g\r\nGateway-Route: r\r\nGateway-Error-Code: x\r\nGateway-Source-Stream: S\r\n"
        b"Gateway-Source-Subject: s\r\nGateway-Source-Sequence: many\r\n\r\n",
        b"NATS/1.0\r\nGateway-Name: g\r\nGateway-Route: r\r\nGateway-Error-Code: x\r\nGateway-Source-Stream: S\r\n"
        b"Gateway-Source-Subject: s\r\nGateway-Source-Sequence: 99999999999999999999\r\n\r\n",
        b"\xff\xfe",
    ],
)
def test_what_no_gateway_wrote_is_no_letter(block: bytes) -> None:
    assert letter_of(stored(block)) is None


def redriving(created: str = "2026-01-01T00:00:00.000000001Z", sequence: int = 17) -> CompiledRoute:
    """The route at work on the letter."""
    redrive = Redrive("DLQ", created)
    redrive.letters[42] = letter(sequence=sequence)
    return msgspec.structs.replace(ROUTE, redrive=redrive)


def test_ids_are_the_letter_s_own_and_the_same_in_every_run() -> None:
    """Nothing of the first way, of another letter, or of a stream made anew is taken for it."""
    name = ROUTE.targets[0].name

    def ids(route: CompiledRoute) -> tuple[str, str, str]:
        made = route.ids("whatever")
        return made.copy(name, 42, 0, None), made.dead_letter(42), made.span(42)

    assert ids(redriving()) == ids(redriving())
    others = [ROUTE, redriving(sequence=18), redriving(created="2026-01-01T00:00:00.000000002Z")]
    assert len({one for route in (redriving(), *others) for one in ids(route)}) == 12
    assert ids(redriving())[0].split(".")[1] == "17", "the letter can be read from the id"


def test_the_next_letter_is_marked_and_keeps_what_was_lost_lost() -> None:
    route = redriving()
    assert route.redrive is not None
    delivery = delivered(b"x", b"NATS/1.0\r\nX: 1\r\n\r\n", sequence=42)

    def next_letter() -> Letter | None:
        return letter_of(stored(dead_letter(route, route.ids(CREATED), delivery, FAULT, 1, 1.0, 1 << 20).header_block))

    following = next_letter()
    assert following is not None
    assert (following.redrives, following.redriven_from, following.source_stream) == (1, "DLQ/17", "ORDERS")
    assert not following.omitted
    route.redrive.letters[42] = letter(omitted=True, source_stream="OLD", redrives=4)
    following = next_letter()
    assert following is not None
    assert (following.redrives, following.source_stream, following.omitted) == (5, "OLD", True)


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ({}, True),
        ({"routes": {"eu-orders"}, "codes": {"too-large"}, "sequences": {17}}, True),
        ({"routes": {"other"}}, False),
        ({"codes": {"bad"}}, False),
        ({"sequences": {18}}, False),
        ({"since_ns": 1_700_000_100_000_000_000}, True),
        ({"since_ns": 1_700_000_100_000_000_001}, False),
        ({"gateway": "east"}, False),
        ({"pattern": lambda body: body == {"n": 1}, "body_of": lambda letter: {"n": 1}}, True),
        ({"pattern": lambda body: False, "body_of": lambda letter: {"n": 1}}, False),
    ],
)
def test_all_that_is_asked_must_hold(asked: dict[str, object], taken: bool) -> None:
    selection = msgspec.structs.replace(Selection(gateway="west"), **asked)
    assert selection.takes(letter()) is taken


TARGET = ROUTE.targets[0].name


@pytest.mark.parametrize(
    ("changed", "order", "objection"),
    [
        ({}, {}, None),
        ({"route": "gone"}, {"force": True}, Skip.NO_ROUTE),
        ({"route": "off"}, {"force": True}, Skip.DISABLED),
        ({"route": "gone"}, {"to_route": "eu-orders"}, None),
        ({"source_stream": "OLD"}, {}, Skip.OTHER_STREAM),
        ({"source_stream": "OLD"}, {"force": True}, None),
        ({"omitted": True}, {}, Skip.OMITTED),
        ({"redrives": 3}, {}, Skip.REDRIVEN),
        ({"redrives": 3}, {"max_redrives": 4}, None),
        ({"redrives": 3}, {"force": True}, None),
        ({"failed_targets": ("gone",)}, {}, None),
        ({"failed_targets": ("gone",)}, {"way": Way.FAILED_TARGETS, "force": True}, Skip.TARGET_GONE),
        ({"failed_targets": (TARGET,)}, {"way": Way.FAILED_TARGETS}, None),
    ],
)
def test_what_stays_stays_for_a_reason(
    changed: dict[str, object], order: dict[str, object], objection: Skip | None
) -> None:
    judge = Judge({"eu-orders": ROUTE}, {"off"}, msgspec.structs.replace(Order(), **order))
    assert judge.objection(letter(**changed)) is objection
