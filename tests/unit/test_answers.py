"""What a reply to a publish means, and a status message to a pull."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.event import PubAck
from gateway.jetstream.answers import read, status_of
from gateway.ports import Answer, AnswerKind
from tests.unit.build import values

NO_HEADERS = b""


def error(code: int, err_code: int, **more: Any) -> bytes:
    """A stream's error, as the server writes it."""
    told = {"code": code, "err_code": err_code, "description": "why"}
    return json.dumps({"error": told, "stream": "S", "seq": 0, **more}).encode()


@pytest.mark.parametrize(
    ("data", "ack"),
    [
        (b'{"stream":"ORDERS","seq":7}', PubAck("ORDERS", 7)),
        (b'{"stream":"ORDERS", "seq":7,"duplicate": true}', PubAck("ORDERS", 7, True)),
        (b'{"seq":1,"domain":"hub","stream":"S","duplicate":false,"batch":"b","count":3}', PubAck("S", 1)),
        (b'{"stream":"S","seq":18446744073709551615}', PubAck("S", 2**64 - 1)),
        (b'{"stream":"error","seq":7}', PubAck("error", 7)),
        (b'{"stream":"S","seq":7,"domain":"error"}', PubAck("S", 7)),
        ('{"stream":"B\u00c4R","seq":7}'.encode(), PubAck("B\u00c4R", 7)),
    ],
)
@pytest.mark.parametrize("block", [b"", b"NATS/1.0\r\nX: y\r\n\r\n", b"NATS/1.0 503\r\n\r\n"])
def test_a_puback_is_a_stream_and_a_sequence(data: bytes, ack: PubAck, block: bytes) -> None:
    """A duplicate is a success; headers say nothing once there is a body."""
    assert read(block, data) == Answer(AnswerKind.STORED, ack)


NO_PUBACK = [
    b'{"stream":"S","seq":0}', b'{"stream":"S","seq":-1}', b'{"stream":"","seq":7}', b'{"seq":7}', b'{"stream":"S"}',
    b'{"stream":"S","seq":"7"}', b'{"stream":"S","seq":7.5}', b'{"stream":"S","seq":true}', b'{"stream":5,"seq":7}',
    b'{"stream":null,"seq":7}', b'{"stream":"S","seq":7', b'{"stream":"S","seq":7}}', b'["S",7]', b"7", b"+ACK", b"{}",
    b"null", b"OK", b"\xff\xfe", b'{"stream":"\xff","seq":7}', b"[" * 100_000, b'{"x":' * 5000, b" ",
    b'{"error":null}', b'{"error":"no"}', b'{"error":{"code":"x"}}', b'{"error":[]}', b'{"type":"io.nats"}',
]  # fmt: skip


@pytest.mark.parametrize("data", NO_PUBACK, ids=lambda data: repr(data[:30]))
def test_anything_else_is_noise(data: bytes) -> None:
    """Anybody can answer on a subject; only a stream's word settles an event."""
    assert read(NO_HEADERS, data) == Answer(AnswerKind.IGNORED)


@pytest.mark.parametrize(
    ("code", "err_code", "kind", "word"),
    [
        (400, 10054, AnswerKind.REFUSED, "too-large"),
        (400, 10097, AnswerKind.REFUSED, "too-large"),
        (400, 10060, AnswerKind.REFUSED, "wrong-stream"),
        (503, 10077, AnswerKind.BUSY, "stream-full"),
        (400, 10077, AnswerKind.BUSY, "stream-full"),
        (429, 10167, AnswerKind.BUSY, "throttled"),
        (409, 10158, AnswerKind.BUSY, "unavailable"),
        (400, 10071, AnswerKind.REFUSED, "refused"),
        (404, 10059, AnswerKind.REFUSED, "refused"),
        (499, 1, AnswerKind.REFUSED, "refused"),
        (399, 1, AnswerKind.BUSY, "unavailable"),
        (500, 10052, AnswerKind.BUSY, "unavailable"),
        (503, 10008, AnswerKind.BUSY, "unavailable"),
        (400, 10109, AnswerKind.REFUSED, "refused"),
        (400, 10002, AnswerKind.BUSY, "no-resources"),
        (503, 10023, AnswerKind.BUSY, "no-resources"),
        (500, 10028, AnswerKind.BUSY, "no-resources"),
        (500, 10047, AnswerKind.BUSY, "no-resources"),
        (0, 0, AnswerKind.BUSY, "unavailable"),
    ],
)
@pytest.mark.parametrize("seq", [0, 7])
def test_an_error_is_for_good_or_for_now_by_its_code(
    code: int, err_code: int, kind: AnswerKind, word: str, seq: int
) -> None:
    """And an error beside a sequence is no PubAck."""
    assert read(NO_HEADERS, error(code, err_code, seq=seq)) == Answer(kind, code=word, text=f"why ({err_code})")


def test_a_full_subject_is_told_from_a_full_stream_by_the_text() -> None:
    """The server has one number for both."""
    told = {"code": 503, "err_code": 10077, "description": "maximum messages per subject exceeded"}
    assert read(NO_HEADERS, json.dumps({"error": told, "stream": "S", "seq": 0}).encode()).code == "subject-full"


def test_an_error_that_says_little_is_for_now() -> None:
    """What we do not understand must not cost an event."""
    answer = read(NO_HEADERS, b'{"error":{}}')
    assert (answer.kind, answer.code) == (AnswerKind.BUSY, "unavailable")


@pytest.mark.parametrize(
    ("block", "answer"),
    [
        (b"NATS/1.0 503\r\n\r\n", Answer(AnswerKind.NO_RESPONDERS, code="no-responders", text="nobody answers")),
        (b"NATS/1.0 503 No Responders\r\nA: b\r\n\r\n",
         Answer(AnswerKind.NO_RESPONDERS, code="no-responders", text="nobody answers")),
        (b"NATS/1.0 429 Slow\r\n\r\n", Answer(AnswerKind.BUSY, code="throttled", text="the stream has too much to do")),
        (b"NATS/1.0 408 Request Timeout\r\n\r\n", Answer(AnswerKind.BUSY, code="unavailable", text="Request Timeout")),
        (b"NATS/1.0 500\r\n\r\n", Answer(AnswerKind.BUSY, code="unavailable", text="500")),
        (b"NATS/1.0 500 \xff\r\n\r\n", Answer(AnswerKind.BUSY, code="unavailable", text="\ufffd")),
        (b"NATS/1.0\r\nX: y\r\n\r\n", Answer(AnswerKind.IGNORED)),
        (b"NATS/1.0\r\n 503: y\r\n\r\n", Answer(AnswerKind.IGNORED)),
        (b"", Answer(AnswerKind.IGNORED)),
    ],
)  # fmt: skip
def test_an_empty_reply_speaks_in_its_status_line(block: bytes, answer: Answer) -> None:
    assert read(block, b"") == answer


pieces = st.lists(st.sampled_from([b"NATS/1.0", b" ", b"503", b"100", b"\r\n", b"\xff", b"X: y", b"\x00", b"-1"]))
blocks = st.binary(max_size=30) | pieces.map(b"".join)
near = st.fixed_dictionaries({}, optional={"stream": values, "seq": values, "error": values, "duplicate": values})


@given(blocks, st.binary(max_size=40) | near.map(msgspec.json.encode))
def test_no_bytes_raise_and_none_but_a_puback_is_stored(block: bytes, data: bytes) -> None:
    """A reply comes from the network: an exception here would be one in the read loop."""
    answer = read(block, data)
    status_of(block)
    if answer.kind is AnswerKind.STORED:
        told = json.loads(data)
        assert answer.ack == PubAck(told["stream"], told["seq"], told.get("duplicate", False))
        assert told["stream"]
        assert told["seq"] > 0
        assert told.get("error") is None


@pytest.mark.parametrize(
    ("block", "code", "text", "pending"),
    [
        (b"NATS/1.0 404 No Messages\r\n\r\n", 404, "No Messages", None),
        (b"NATS/1.0 409 Message Size Exceeds MaxBytes\r\nNats-Pending-Messages: 3\r\nNats-Pending-Bytes: 9\r\n\r\n",
         409, "Message Size Exceeds MaxBytes", "3"),
        (b"NATS/1.0 100 Idle Heartbeat\r\nnats-pending-messages:  4 \r\n\r\n", 100, "Idle Heartbeat", "4"),
        (b"NATS/1.0 503\r\n\r\n", 503, "", None),
        (b"NATS/1.0 400 Bad \xff\r\n\r\n", 400, "Bad \ufffd", None),
        (b"NATS/1.0\r\nNats-Pending-Messages: 3\r\n\r\n", 0, "", None),
        (b"NATS/1.0 x y\r\nNats-Pending-Messages: 3\r\n\r\n", 0, "", None),
        ("NATS/1.0 \u0664\r\n\r\n".encode(), 0, "", None),
        (b"", 0, "", None),
    ],
)  # fmt: skip
def test_a_status_has_code_text_and_headers(block: bytes, code: int, text: str, pending: str | None) -> None:
    """Code 0 when it is none."""
    found = status_of(block)
    assert found[:2] == (code, text)
    assert found[2].get("Nats-Pending-Messages") == pending
