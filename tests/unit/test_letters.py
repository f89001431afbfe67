"""Dead letters: the original beside what went wrong, and what they leave out to fit."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery import Delivery
from gateway.headers import MAX_BLOCK
from gateway.routing.letters import OMITTED, Fault, dead_letter
from gateway.routing.outputs import Copy
from gateway.routing.route import MessageIds
from tests.unit.routes import CREATED, delivery_of, fields_of, route_of

ROUTE = route_of(name="eu-orders", gateway="west")
IDS = MessageIds(ROUTE, CREATED)
DATA = b"\x00 not even json \xff"
NOW = 1_700_000_060.5
FAULT = Fault(step="publish", code="too-large", message="too big", exhausted="attempts", failed_targets=("a", "b.{id}"))


def letter(
    delivery: Delivery | None = None, fault: Fault = FAULT, max_payload: int = 1 << 20, bare: bool = False
) -> Copy:
    """The letter of one event."""
    return dead_letter(ROUTE, IDS, delivery or delivery_of(DATA), fault, 3, NOW, max_payload, bare=bare)


def block_of(*lines: bytes) -> bytes:
    """A header block as a sender wrote it."""
    return b"NATS/1.0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def own_and_original(copy: Copy) -> tuple[dict[bytes, bytes], list[bytes]]:
    """The gateway's headers, and the lines that follow the last of them."""
    lines = copy.header_block.removesuffix(b"\r\n\r\n").split(b"\r\n")[1:]
    last = next(index for index, line in enumerate(lines) if line.startswith(b"Gateway-Config: "))
    own = dict(fields_of(b"\r\n".join((b"NATS/1.0", *lines[: last + 1])) + b"\r\n\r\n"))
    return own, lines[last + 1 :]


def test_a_letter_says_what_went_wrong_where_and_how_often_it_was_tried() -> None:
    """Every header of the contract; operators and `redrive` build on them."""
    made = letter(delivery_of(DATA, subject="orders.created.\udcff", sequence=42))
    own, original = own_and_original(made)
    assert own == {
        b"Nats-Msg-Id": IDS.dead_letter(42).encode(),
        b"Gateway-Name": b"west",
        b"Gateway-Route": b"eu-orders",
        b"Gateway-Error-Code": b"too-large",
        b"Gateway-Error-Step": b"publish",
        b"Gateway-Error-Message": b"too big",
        b"Gateway-Attempts": b"3",
        b"Gateway-Exhausted": b"attempts",
        b"Gateway-Failed-Targets": b"a, b.{id}",
        b"Gateway-Source-Stream": b"ORDERS",
        b"Gateway-Source-Sequence": b"42",
        b"Gateway-Source-Subject": b"orders.created.\xff",
        b"Gateway-First-Seen": b"2023-11-14T22:13:20.123Z",
        b"Gateway-Last-Seen": b"2023-11-14T22:14:20.500Z",
        b"Gateway-Config": ROUTE.config_digest.encode(),
    }
    assert re.fullmatch(r"[!-~]+", ROUTE.config_digest)
    assert original == []
    assert next(iter(own)) == b"Nats-Msg-Id", "older servers take the first place where the name stands"


def test_a_letter_goes_to_the_route_s_own_subject_with_the_original_bytes() -> None:
    made = letter()
    assert (made.subject, made.target, made.message_id, made.open) == ("dlq.eu-orders", None, IDS.dead_letter(7), True)
    assert made.data == DATA
    assert made.size == len(made.header_block) + len(DATA)


def test_what_does_not_apply_is_left_out() -> None:
    own, _ = own_and_original(letter(fault=Fault(step="decode", code="decode-error", message="")))
    assert not {b"Gateway-Exhausted", b"Gateway-Failed-Targets", b"Gateway-Error-Message"} & set(own)


SENT = [
    (b"X-A: 1", b"X-A: 1"),
    (b"X-A: 2", b"X-A: 2"),
    (b"x-b:\xff\xfe  ", b"x-b:\xff\xfe  "),
    (b"no colon", b"no colon"),
    (b"traceparent: 00-x", b"traceparent: 00-x"),
    (b"Nats-Msg-Id: m", b"Gateway-Original-Nats-Msg-Id: m"),
    (b"nats-rollup:all", b"Gateway-Original-nats-rollup:all"),
    (b"  NATS-TTL : 1", b"Gateway-Original-NATS-TTL : 1"),
    (b"\nNats-Rollup: all", b"Gateway-Original-Nats-Rollup: all"),
    (b"Gateway-Route: evil", b"Gateway-Original-Gateway-Route: evil"),
    (b"Gateway-Original-Nats-Msg-Id: older", b"Gateway-Original-Gateway-Original-Nats-Msg-Id: older"),
]


def test_original_headers_are_kept_byte_for_byte_and_commands_under_another_name() -> None:
    """Duplicates and order too; what the server or a gateway would obey must not take effect a second time."""
    _, original = own_and_original(letter(delivery_of(DATA, block_of(*(sent for sent, _ in SENT)))))
    assert original == [kept for _, kept in SENT]


pieces = st.sampled_from([b"Nats-", b"gateway-", b"X", b" ", b":", b"\n", b"\r", b"\r\n", b"\xff"])


@given(st.lists(pieces).map(b"".join))
def test_no_original_header_stays_a_command(noise: bytes) -> None:
    own, original = own_and_original(letter(delivery_of(DATA, b"NATS/1.0\r\n" + noise + b"\r\n\r\n")))
    assert own[b"Gateway-Route"] == b"eu-orders"
    for line in original:
        assert not line.strip().lower().startswith(b"nats-")
        if line.lower().strip().startswith(b"gateway-"):
            assert line.startswith(b"Gateway-Original-")


@given(st.text() | st.text("a\r\n\x00\u00e9\u2028", max_size=700))
def test_the_message_is_one_line_of_printable_ascii(text: str) -> None:
    """At most 512 bytes, whatever an exception or a plugin says; code and step are no different."""
    own, _ = own_and_original(letter(fault=Fault(step=text or "x", code=text or "x", message=text)))
    for name in (b"Gateway-Error-Message", b"Gateway-Error-Code", b"Gateway-Error-Step"):
        assert re.fullmatch(rb"[ -~]{0,512}", own.get(name, b""))


def test_very_many_failed_targets_are_not_named() -> None:
    """Cut short, the list would say of the others that they have the event."""
    names = ("t" * 255,) * 99
    own, _ = own_and_original(letter(fault=Fault(step="publish", code="x", message="m", failed_targets=names)))
    assert b"Gateway-Failed-Targets" not in own


def omitted(copy: Copy) -> bool:
    """Whether the letter is without its original headers, and says so."""
    assert (OMITTED in copy.header_block) == (b"X-Original: 1" not in copy.header_block)
    assert (OMITTED in copy.header_block) == copy.header_block.endswith(b"\r\nGateway-Omitted: headers\r\n\r\n")
    fields_of(copy.header_block)
    return OMITTED in copy.header_block


def test_a_letter_that_does_not_fit_goes_without_its_original_headers() -> None:
    """To the byte: the original headers stay as long as everything fits."""
    delivery = delivery_of(DATA, block_of(b"X-Original: 1", b"X: " + b"x" * 1000))
    whole = letter(delivery)
    assert not omitted(whole)
    assert not omitted(letter(delivery, max_payload=whole.size))
    short = letter(delivery, max_payload=whole.size - 1)
    assert omitted(short)
    assert short.open
    assert short.data == DATA
    assert own_and_original(short)[0] == own_and_original(whole)[0]


@pytest.mark.parametrize("over", [0, 1])
def test_a_header_block_over_the_server_s_limit_is_omitted_too(over: int) -> None:
    empty = letter(delivery_of(DATA, block_of(b"X-Original: 1", b"X: ")))
    filling = b"x" * (MAX_BLOCK - len(empty.header_block) + over)
    made = letter(delivery_of(DATA, block_of(b"X-Original: 1", b"X: " + filling)))
    assert omitted(made) == bool(over)
    assert over or len(made.header_block) == MAX_BLOCK


def test_a_bare_letter_has_no_original_headers_although_they_fit() -> None:
    """A stream may take less than the server does."""
    assert omitted(letter(delivery_of(DATA, block_of(b"X-Original: 1")), bare=True))


def test_a_letter_whose_body_alone_is_too_large_comes_back_refused() -> None:
    """The lane parks its event."""
    delivery = delivery_of(DATA, block_of(b"X-Original: 1", b"X: " + b"x" * 1000))
    size = letter(delivery, bare=True).size
    assert letter(delivery, max_payload=size).open
    refused = letter(delivery, max_payload=size - 1)
    assert omitted(refused)
    assert (refused.code, refused.open) == ("too-large", False)
    assert refused.fault == f"{size} bytes with the gateway's headers, the server takes {size - 1}"
