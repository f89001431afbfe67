"""Codecs: what they read, partly and whole, what they refuse, what they write."""

from __future__ import annotations

import datetime
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.components.codecs.eventbridge import EventBridge
from gateway.components.codecs.json import Json
from gateway.components.codecs.msgpack import MsgPack
from gateway.components.codecs.raw import Raw
from gateway.errors import ConfigProblem, DecodeError, EncodeError
from gateway.headers import NO_HEADERS, Headers
from gateway.missing import MISSING
from gateway.plugin import Codec
from tests.unit.build import bodies, keys, make, make_event, values

JSON: Codec = make(Json)
EVENTBRIDGE: Codec = make(EventBridge)
MSGPACK: Codec = make(MsgPack)
RAW: Codec = make(Raw)
PARTIAL = [JSON, EVENTBRIDGE, MSGPACK]
DEEP = b"[" * 5000 + b"]" * 5000


def written_json(pairs: list[tuple[str, Any]], escaped: bool) -> bytes:
    """An object with duplicate keys, spaces and `\\uXXXX` in its keys, as no encoder of ours writes it."""
    fields = []
    for key, value in pairs:
        text = "".join(f"\\u{ord(c):04x}" for c in key).encode() if escaped else msgspec.json.encode(key)[1:-1]
        fields.append(b'"%s" :\n%s' % (text, msgspec.json.encode(value)))
    return b" {" + b" , ".join(fields) + b"}\t"


pairs = st.lists(st.tuples(keys, values), max_size=6)
wanted = st.frozensets(keys, max_size=4)


@given(pairs, wanted, st.booleans())
def test_partial_json_is_the_whole_on_every_key(fields: list[tuple[str, Any]], some: frozenset[str], odd: bool) -> None:
    """Whatever the steps declared, duplicate and escaped keys included: each key has the value of a whole decode."""
    data = written_json(fields, odd)
    whole = JSON.decode(data, NO_HEADERS, "")
    for event in (make_event(data, JSON, keys=some), make_event(data, JSON, keys=some).replace(subject="x")):
        for key in [*some, *whole, "nope"]:
            assert event.top(key) == whole.get(key, MISSING)
        assert event.body == whole
        assert event.attributes == JSON.attributes(whole, NO_HEADERS)
    assert make_event(data, JSON, keys=some).body == whole


@given(bodies, wanted)
def test_partial_msgpack_is_the_whole_on_every_key(body: dict[str, Any], some: frozenset[str]) -> None:
    """The same over MessagePack, where integers have 64 bits."""
    body = msgspec.json.decode(msgspec.json.encode(body), type=dict[str, Any])
    try:
        data = MSGPACK.encode(body, NO_HEADERS).data
    except ValueError:
        return
    event = make_event(data, MSGPACK, keys=some)
    for key in [*some, *body]:
        assert event.top(key) == body[key] if key in body else event.top(key) is MISSING
    assert make_event(data, MSGPACK, keys=some).body == body


MALFORMED = [
    b"", b" ", b"{", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,}', b"[1,]", b"nul", b"NaN", b"01", b"1.", b'"', b"'a'",
    b'{"a":1} x', b"{} {}", b"\xef\xbb\xbf{}", b"\xff\xfe", b"\x00", b"\x81\xa1", b'{"a":"\x01"}', b'{"a":"\\x"}',
    b'{"a":"\\ud800"}', b'{"\xff":1}', DEEP[:5000], DEEP, b'{"z":' + DEEP + b"}", b"[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("data", MALFORMED, ids=lambda data: repr(data[:16]))
@pytest.mark.parametrize("some", [None, frozenset(), frozenset("a"), frozenset("z")])
def test_malformed_json_is_a_decode_error(data: bytes, some: frozenset[str] | None) -> None:
    """At the latest when the body is read as a whole, and never anything else."""
    with pytest.raises(DecodeError, match=r"^json: "):
        assert make_event(data, JSON, keys=some).body


@pytest.mark.parametrize("codec", [*PARTIAL, RAW], ids=lambda codec: codec.name)
@given(data=st.binary(max_size=60), some=st.none() | wanted)
def test_no_bytes_raise_anything_but_a_decode_error(codec: Codec, data: bytes, some: frozenset[str] | None) -> None:
    """Binary noise."""
    _read_all(codec, data, some)


@given(bodies, st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=3)), min_size=1, max_size=4), wanted)
def test_no_damage_to_a_payload_raises_anything_else(
    body: dict[str, Any], cuts: list[tuple[int, bytes]], some: frozenset[str]
) -> None:
    """Valid payloads with bytes replaced, inserted or cut off."""
    for codec, data in ((JSON, msgspec.json.encode(body)), (MSGPACK, _msgpack_or_nothing(body))):
        damaged = data
        for at, piece in cuts:
            damaged = damaged[:at] + piece + damaged[at + 1 :]
        _read_all(codec, damaged, some)
        _read_all(codec, data[: cuts[0][0]], some)


@pytest.mark.parametrize("head", [b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"])
@pytest.mark.parametrize("before", [b"", b"\x81\xa1a", b"\x81\xa1z"])
def test_a_length_that_lies_costs_no_memory(head: bytes, before: bytes) -> None:
    """Four bytes cannot make the gateway reserve gigabytes."""
    with pytest.raises(DecodeError):
        assert make_event(before + head + b"\xff\xff\xff\xff", MSGPACK, keys=frozenset("a")).body


def _msgpack_or_nothing(body: Any) -> bytes:
    try:
        return MSGPACK.encode(body, NO_HEADERS).data
    except ValueError:
        return b""


def _read_all(codec: Codec, data: bytes, some: frozenset[str] | None) -> None:
    """Read an event every way there is; only DecodeError may come out."""
    reads = ("id", "type", "source", "time", "correlation_id", "body", "view", "encodable")
    for name in reads:
        try:
            event = make_event(data, codec, keys=some)
            getattr(event, name)
            event.get("a.b")
            event.delete("b").id  # noqa: B018 # reading is what is tried
        except DecodeError as error:
            assert len(error.message) < 120  # noqa: PT017 # not raising is fine as well


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'"\xff"', "a text is not UTF-8"),
        (b'"secret-\xff"', "a text is not UTF-8"),
        (b"1e400", "out of range"),
        (b"9" * 5000, "out of range"),
        (b'{"secret":{"x":-1e999}}', "out of range"),
    ],
)
def test_what_is_malformed_only_when_read_is_refused_then(value: bytes, text: str) -> None:
    """Harmless where nobody reads it, a decode error where a step does, and everywhere with strict."""
    data = b'{"id":"7","bad":' + value + b"}"
    event = make_event(data, keys=frozenset({"good"}))
    assert event.id == "7"
    assert event.set("good", 1).id == "7"
    for read in (
        lambda: event.get("bad"),
        lambda: event.body,
        lambda: event.set("bad.x", 1),
        lambda: event.set("good", 1).body,
    ):
        with pytest.raises(DecodeError, match=text) as caught:
            read()
        assert "secret" not in caught.value.message
    for codec, some in ((JSON, frozenset({"bad"})), (JSON, None), (make(Json, {"strict": True}), frozenset[str]())):
        with pytest.raises(DecodeError, match=text):
            make_event(data, codec, keys=some)


def test_a_decode_error_names_the_place() -> None:
    """The key a step reads, or the byte where the syntax ends."""
    with pytest.raises(DecodeError, match=r"out of range - at `\$\.a\[\.\.\.\]`"):
        make_event(b'{"a":{"b":1e400}}', keys=frozenset({"a"}))
    with pytest.raises(DecodeError, match=r"trailing comma in object \(byte 7\)"):
        make_event(b'{"a":1,}')


def test_what_nobody_reads_is_sent_on_byte_for_byte() -> None:
    """Even when it could not be read."""
    data = b'{"id":"7","bad":"\xff\xff","big":1e400,"float":1.500, "a":1}'
    changed = make_event(data).set("a", 2)
    assert JSON.encode(changed.encodable, NO_HEADERS).data == (
        b'{"id":"7","bad":"\xff\xff","big":1e400,"float":1.500,"a":2}'
    )


@pytest.mark.parametrize("data", [b"[1]", b'"x"', b"5", b"null", b"true"])
def test_json_takes_any_value_and_eventbridge_only_objects(data: bytes) -> None:
    """A body that is no object is read whole."""
    event = make_event(data)
    assert event.body == msgspec.json.decode(data)
    assert event.id == "ORDERS:7"
    for some in (None, frozenset("a")):
        with pytest.raises(DecodeError, match="not an object"):
            make_event(data, EVENTBRIDGE, keys=some)


def test_attributes_are_at_the_top_unless_the_config_says_otherwise() -> None:
    """`json` and `eventbridge` differ in the type."""
    body = {"id": "1", "type": "T", "detail-type": "D", "source": "s", "time": "2026-01-01T00:00:00Z"}
    event = make_event(body)
    assert (event.id, event.type, event.source, event.time_text) == ("1", "T", "s", "2026-01-01T00:00:00Z")
    assert make_event(body, EVENTBRIDGE).type == "D"
    codec = make(Json, {"id": "order.id", "type": "$headers.X-GitHub-Event", "source": None, "correlation-id": "c.0"})
    event = make_event({"order": {"id": 5}, "source": "s", "c": ["x"]}, codec, {"x-github-event": "push"})
    assert (event.id, event.type, event.source, event.correlation_id) == ("5", "push", None, "x")


@pytest.mark.parametrize(
    ("value", "known"),
    [
        ("x", "x"),
        (7, "7"),
        (1.5, "1.5"),
        (2**70, str(2**70)),
        ("", None),
        (None, None),
        (True, None),
        ([1], None),
        ({}, None),
    ],
)
def test_an_id_is_a_text_or_number(value: object, known: str | None) -> None:
    """Anything else says nothing, and the stream's sequence stands in."""
    assert make_event({"id": value}).id == (known or "ORDERS:7")


@given(values)
def test_attributes_come_to_terms_with_any_body(body: Any) -> None:
    """Also where every attribute has a strange type."""
    for codec in PARTIAL:
        assert isinstance(codec.attributes(body, NO_HEADERS).id, str | None)
        same = dict.fromkeys(("id", "type", "source", "time"), body)
        assert isinstance(codec.attributes(same, NO_HEADERS).time, str | None)


@pytest.mark.parametrize("path", ["$subject.1", "$id", "$route"])
def test_an_attribute_cannot_lead_elsewhere(path: str) -> None:
    """Body or headers: a codec sees nothing else."""
    with pytest.raises(ConfigProblem, match="cannot tell an attribute") as caught:
        make(Json, {"correlation-id": path})
    assert caught.value.path == ("correlation-id",)


@given(values)
def test_json_and_msgpack_read_what_they_wrote(body: Any) -> None:
    """The round trip changes neither type nor value."""
    assert JSON.decode(JSON.encode(body, NO_HEADERS).data, NO_HEADERS, "") == body
    if data := _msgpack_or_nothing(body):
        assert MSGPACK.decode(data, NO_HEADERS, "") == body


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, b"x", bytearray(b"x"), "\ud800", CYCLE, object(), {None: 1}, {b"k": 1}]
)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: {"a": v}, lambda v: {"a": [1, {"b": (v,)}]}])
def test_json_refuses_what_it_cannot_say(value: object, wrap: Any) -> None:
    """NaN would be read back as null and bytes as text: an error is the honest answer."""
    with pytest.raises((EncodeError, ValueError, TypeError)):
        JSON.encode(wrap(value), NO_HEADERS)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, CYCLE, object(), "\ud800"])
def test_msgpack_refuses_what_it_cannot_say(value: object) -> None:
    """More than 64 bits, and what has no end."""
    with pytest.raises((EncodeError, ValueError, TypeError)):
        MSGPACK.encode({"a": value}, NO_HEADERS)


def test_msgpack_keeps_bytes_and_turns_timestamps_to_text() -> None:
    """And sends on untouched what nobody read."""
    stamp = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    data = msgspec.msgpack.encode({"at": stamp, "b": b"\xff", "n": math.inf, "in": {"at": [stamp], "b": b"x"}})
    event = make_event(data, MSGPACK)
    assert event.get("at") == "2026-01-02T00:00:00Z"
    assert event.get("b") == b"\xff"
    assert event.get("in") == {"at": ["2026-01-02T00:00:00Z"], "b": b"x"}
    assert event.get("n") == math.inf
    unread = make_event(data, MSGPACK).set("x", 1)
    assert msgspec.msgpack.decode(MSGPACK.encode(unread.encodable, NO_HEADERS).data)["at"] == stamp


def test_other_extension_types_are_refused_where_they_are_read() -> None:
    """They have no plain form."""
    data = msgspec.msgpack.encode({"id": "1", "e": msgspec.msgpack.Ext(5, b"x")})
    assert make_event(data, MSGPACK).id == "1"
    with pytest.raises(DecodeError, match="extension type 5"):
        make_event(data, MSGPACK).get("e")


def test_msgpack_keys_that_are_no_text_stay_as_they_are() -> None:
    """No path leads to them; the rest of the object can be read."""
    event = make_event(msgspec.msgpack.encode({1: "x", "a": {2: "y"}}), MSGPACK)
    assert event.body == {1: "x", "a": {2: "y"}}
    assert event.get("1", MISSING) is MISSING
    assert event.get("a") == {2: "y"}


@given(st.binary())
def test_raw_is_the_bytes(data: bytes) -> None:
    """No path leads into them."""
    event = make_event(data, RAW, headers={"Nats-Msg-Id": "m"})
    assert event.body == data
    assert event.get("a", MISSING) is MISSING
    assert event.id == "m"
    assert RAW.encode(data, NO_HEADERS).data == data


def test_raw_writes_bytes_and_text_only() -> None:
    """Anything else would need a format."""
    assert RAW.encode("é", Headers()).data == b"\xc3\xa9"
    for value in ({}, 5, None, [b"x"]):
        with pytest.raises(EncodeError, match="neither bytes nor text"):
            RAW.encode(value, NO_HEADERS)


def test_a_codec_s_errors_begin_with_its_own_name() -> None:
    """A dead letter of codec eventbridge that speaks of json sends its reader to the wrong line."""
    codec: Codec = make(EventBridge)
    with pytest.raises(DecodeError, match=r"^eventbridge: JSON is malformed"):
        codec.decode(b"{]", NO_HEADERS, "a")


@pytest.mark.parametrize("body", [b"x", {"a": [b"x"]}])
def test_bytes_that_json_cannot_say_are_named_in_the_dead_letter(body: Any) -> None:
    """The error is one for readers, so its text is kept; an unexpected one would lose it."""
    with pytest.raises(EncodeError, match="the body holds bytes, which JSON cannot say: use codec msgpack or raw"):
        JSON.encode(body, NO_HEADERS)
