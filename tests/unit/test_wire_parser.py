"""The parser of what the server sends: the same messages however the bytes are cut, and nothing but ProtocolError."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nats.errors import ProtocolError

from gateway.jetstream.wire import MAX_CONTROL_LINE, Parser
from tests.unit.routes import awaited

Told = tuple[Any, ...]


class Recorder:
    """Stands in for the Wire: notes in one list what the parser tells it, in order."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.sinks = {b"1": self.sink, b"22": self.sink}

    def sink(self, subject: str, reply: str, header_block: bytes, data: bytes) -> None:
        self.told.append(("sink", subject, reply, header_block, data))
        if data == b"raise":
            raise RuntimeError("a sink of ours failed")

    def on_deaf(self, subject: str) -> None:
        """Subscriptions are not what these tests are about."""

    def on_denied(self, subject: str) -> None:
        self.told.append(("denied", subject))

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self.told.append(("msg", sid, subject, reply, headers, data))

    async def _process_ping(self) -> None:
        self.told.append(("ping",))

    async def _process_pong(self) -> None:
        self.told.append(("pong",))

    async def _process_info(self, info: dict[str, Any]) -> None:
        assert isinstance(info, dict)
        self.told.append(("info", info))

    async def _process_err(self, text: str) -> None:
        self.told.append(("err", text))


def parser_of(recorder: Recorder) -> Parser:
    """A parser that speaks to the recorder."""
    wire: Any = recorder
    return Parser(wire)


def fed(chunks: Iterable[bytes]) -> list[Told]:
    """What comes of these reads."""
    recorder = Recorder()
    parser = parser_of(recorder)
    for chunk in chunks:
        awaited(parser.parse(chunk))
    assert parser.buf == b"", "nothing is left over"
    return recorder.told


BLOCK = b"NATS/1.0 404 No Messages\r\nA: b\r\n\r\n"
CASES: list[tuple[bytes, list[Told]]] = [
    (b"MSG a.b 1 2\r\nhi\r\n", [("sink", "a.b", "", b"", b"hi")]),
    (b"MSG a.b 1 r.1 2\r\nhi\r\n", [("sink", "a.b", "r.1", b"", b"hi")]),
    (b"MSG a 22 0\r\n\r\n", [("sink", "a", "", b"", b"")]),
    (b"MSG a 22 r 0\r\n\r\n", [("sink", "a", "r", b"", b"")]),
    (b"MSG a 1 14\r\n\r\nMSG a 1 2\r\n\r\r\n", [("sink", "a", "", b"", b"\r\nMSG a 1 2\r\n\r")]),
    (b"HMSG a 1 %d %d\r\n%bhi\r\n" % (len(BLOCK), len(BLOCK) + 2, BLOCK), [("sink", "a", "", BLOCK, b"hi")]),
    (b"HMSG a 1 r %d %d\r\n%bhi\r\n" % (len(BLOCK), len(BLOCK) + 2, BLOCK), [("sink", "a", "r", BLOCK, b"hi")]),
    (b"HMSG a 1 r %d %d\r\n%b\r\n" % (len(BLOCK), len(BLOCK), BLOCK), [("sink", "a", "r", BLOCK, b"")]),
    (b"MSG a\xff\x85\xc2\xa0b 1 r\xfe 1\r\nx\r\n", [("sink", "a\udcff\udc85\u00a0b", "r\udcfe", b"", b"x")]),
    (b"MSG a.b 3 2\r\nhi\r\n", [("msg", 3, b"a.b", b"", b"", b"hi")]),
    (b"MSG a.b 3 r 2\r\nhi\r\n", [("msg", 3, b"a.b", b"r", b"", b"hi")]),
    (b"HMSG a 3 r %d %d\r\n%bhi\r\n" % (len(BLOCK), len(BLOCK) + 2, BLOCK), [("msg", 3, b"a", b"r", BLOCK, b"hi")]),
    (b"PING\r\n", [("ping",)]),
    (b"PONG\r\n", [("pong",)]),
    (b"+OK\r\n", []),
    (b'INFO {"max_payload": 5, "x": {}} \r\n', [("info", {"max_payload": 5, "x": {}})]),
    (b"-ERR 'Stale Connection'\r\n", [("err", "stale connection")]),
    (
        b"-ERR 'Permissions Violation for Publish to \"Out.A\"'\r\n",
        [("denied", "Out.A"), ("err", 'permissions violation for publish to "out.a"')],
    ),
    (b"-ERR 'bad \xff'\r\n", [("err", "bad \ufffd")]),
]
STREAM = b"".join(sent for sent, _ in CASES)
MEANT = [told for _, each in CASES for told in each]


@pytest.mark.parametrize(("sent", "meant"), CASES, ids=lambda value: repr(value)[:40])
def test_what_the_server_sends_is_told_as_it_is(sent: bytes, meant: list[Told]) -> None:
    """With and without reply and headers, empty, for a sink of ours or for nats-py's own subscriptions."""
    assert fed([sent]) == meant


def test_a_cut_anywhere_changes_nothing() -> None:
    """TCP knows no messages: every boundary, even within CR LF, comes some day."""
    assert fed([STREAM]) == MEANT
    for at in range(len(STREAM) + 1):
        assert fed([STREAM[:at], STREAM[at:]]) == MEANT
    assert fed(STREAM[at : at + 1] for at in range(len(STREAM))) == MEANT


@given(st.lists(st.integers(0, len(STREAM)), max_size=12), st.permutations(CASES))
def test_any_cuts_of_any_order_change_nothing(cuts: list[int], cases: list[tuple[bytes, list[Told]]]) -> None:
    stream = b"".join(sent for sent, _ in cases)
    places = [0, *sorted(cuts), len(stream)]
    meant = [told for _, each in cases for told in each]
    assert fed(stream[start:end] for start, end in pairwise(places)) == meant


def test_a_huge_payload_comes_whole_in_reads_of_any_size() -> None:
    """Collected, not copied anew with every read, which would take 16 GB of copying here."""
    payload = bytes(range(256)) * 32_768
    sent = b"PING\r\nHMSG a 1 r %d %d\r\n%b%b\r\nPONG\r\n" % (len(BLOCK), len(BLOCK) + len(payload), BLOCK, payload)
    told = fed(sent[at : at + 2048] for at in range(0, len(sent), 2048))
    assert told == [("ping",), ("sink", "a", "r", BLOCK, payload), ("pong",)]


def test_a_sink_that_raises_stops_neither_the_rest_nor_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    """A read loop that ended would leave a connection that is up and deaf."""
    with caplog.at_level(logging.ERROR, "gateway.nats"):
        told = fed([b"MSG a 1 5\r\nraise\r\nMSG b 1 2\r\nhi\r\nPING\r\n"])
    assert told == [("sink", "a", "", b"", b"raise"), ("sink", "b", "", b"", b"hi"), ("ping",)]
    assert [record.getMessage() for record in caplog.records] == ["a sink failed"]


GARBAGE = [
    b"\r\n", b" \r\n", b"HELLO\r\n", b"HTTP/1.1 400 Bad Request\r\n", b"+NO\r\n", b"MSG\r\n", b"MSG a\r\n",
    b"MSG a 1 x\r\nhi\r\n", b"MSG a 1 -17\r\nhi\r\n", b"MSG a 1 -1\r\nhi\r\n", b"MSG a x 2\r\nhi\r\n", b"MSG 0\r\n\r\n",
    b"MSG a 1  \r\nhi\r\n", b"HMSG a 1 x 2\r\nhi\r\n", b"HMSG a 1 -1 2\r\nhi\r\n", b"HMSG a 1 3 2\r\nhi\r\nPING\r\n",
    b"INFO {\r\n", b"INFO []\r\n", b"INFO 5\r\n", b"INFO \xff\r\n", b"INFO\r\n", b"INFO " + b"[" * 100_000 + b"\r\n",
    b"MSG a 1 " + b"9" * 5000 + b"\r\n", b"x" * (MAX_CONTROL_LINE + 1),
]  # fmt: skip


@pytest.mark.parametrize("sent", GARBAGE, ids=lambda sent: repr(sent[:30]))
def test_garbage_is_a_protocol_error(sent: bytes) -> None:
    """nats-py answers that one by connecting anew; any other exception would leave the connection deaf."""
    for chunks in ([sent], [b"PING\r\n" + sent], [sent[:3], sent[3:]]):
        with pytest.raises(ProtocolError):
            fed(chunks)


words = [
    b"MSG",
    b"HMSG",
    b"INFO",
    b"-ERR",
    b"PING",
    b"+OK",
    b" ",
    b" 1",
    b" 22",
    b" 3",
    b" -3",
    b"\r\n",
    b"{}",
    b"'",
    b'"',
]


@given(st.lists(st.binary(max_size=12) | st.lists(st.sampled_from(words), max_size=12).map(b"".join), max_size=4))
@example([b"MSG a 1 -17\r\n"])
def test_no_bytes_raise_anything_else_or_hang(chunks: list[bytes]) -> None:
    parser = parser_of(Recorder())
    try:
        for chunk in chunks:
            awaited(parser.parse(chunk))
    except ProtocolError:
        pass


@pytest.mark.parametrize("half", [b"MSG a 1 10\r\nhal", b"MSG a 1", b"PI", b"MSG a 1 2\r\nhi\r"])
def test_half_a_message_is_forgotten_with_its_connection(half: bytes) -> None:
    """The new connection begins a new message."""
    recorder = Recorder()
    parser = parser_of(recorder)
    awaited(parser.parse(half))
    parser.reset()
    awaited(parser.parse(b"PING\r\n"))
    assert recorder.told == [("ping",)], "at once: nothing is awaited of the old one"
    awaited(parser.parse(STREAM))
    assert recorder.told[1:] == MEANT


def test_a_long_info_of_a_large_cluster_is_taken() -> None:
    """Several reads long, and the limit on a line is for what is no line at all."""
    urls = ",".join(f'"10.0.{number // 256}.{number % 256}:4222"' for number in range(20_000))
    sent = f'INFO {{"connect_urls": [{urls}]}}\r\n'.encode()
    [(kind, info)] = fed(sent[at : at + 65_536] for at in range(0, len(sent), 65_536))
    assert (kind, len(info["connect_urls"])) == ("info", 20_000)


@pytest.mark.parametrize("half", [b"MSG in.a 1 9\r\nhalf", b"HMSG in.a 1 12 14\r\nNATS", b"MSG in."])
def test_half_a_message_behind_the_servers_goodbye_is_no_part_of_the_next_connection(half: bytes) -> None:
    """A server that goes says so between messages: the client moves on while the same read is still being parsed."""
    recorder = Recorder()
    parser = parser_of(recorder)

    async def moves(info: dict[str, Any]) -> None:
        parser.reset()

    recorder._process_info = moves  # type: ignore[method-assign]
    awaited(parser.parse(b"MSG in.a 1 3\r\none\r\n" + b'INFO {"ldm":true}\r\n' + half))
    awaited(parser.parse(b"MSG in.a 1 3\r\ntwo\r\n"))
    assert [told[-1] for told in recorder.told] == [b"one", b"two"]
