"""The codec cloudevents: what it reads in both modes, what it refuses, what it writes."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.components.codecs.cloudevents import CloudEvents
from gateway.errors import DecodeError, EventError
from gateway.event import Encoded, Event
from gateway.headers import Headers
from tests.unit.build import make, make_event, values

CODEC: CloudEvents = make(CloudEvents)
BINARY: CloudEvents = make(CloudEvents, {"mode": "binary"})
STRUCTURED: CloudEvents = make(CloudEvents, {"mode": "structured"})
STRUCTURED_TYPE = {"Content-Type": "application/cloudevents+json"}
ENVELOPE = {"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "order.placed"}
HEADERS = {f"ce-{name}": value for name, value in ENVELOPE.items()}
JSON_HEADERS = {**HEADERS, "ce-datacontenttype": "application/json"}
NOTHING = Headers()


def read(data: bytes, headers: Mapping[str, str] = {}, codec: CloudEvents = CODEC) -> Any:
    """The whole body."""
    return codec.decode(data, Headers(headers), "in.a")


def structured(envelope: Any) -> bytes:
    """An envelope as a sender writes it."""
    return json.dumps(envelope).encode()


def reread(written: Encoded) -> Any:
    """What a reader makes of what was written."""
    return read(written.data, written.headers)


# ---------------------------------------------------------------------- reading


def test_both_modes_give_the_same_body() -> None:
    data = {"total": 1, "lines": [None, "é"]}
    envelope = {**ENVELOPE, "datacontenttype": "application/json", "subject": "o-1", "data": data}
    headers = {**JSON_HEADERS, "CE-Subject": "o-1"}
    assert read(structured(envelope), STRUCTURED_TYPE) == envelope
    assert read(structured(data), headers) == envelope
    assert read(structured(envelope)) == envelope, "older senders say nothing"


@pytest.mark.parametrize(
    ("media", "payload", "member"),
    [
        ("application/json", b' {"a": 1.0e0}\n', {"data": {"a": 1.0}}),
        ("text/JSON; charset=utf-8", b"[1]", {"data": [1]}),
        ("application/vnd.shop+json", b"null", {"data": None}),
        ("text/plain", b"[1]", {"data": "[1]"}),
        ("application/xml", "<é/>".encode(), {"data": "<é/>"}),
        ("text/plain", b"\xff", {"data_base64": "/w=="}),
        ("text/plain; charset=latin-1", b"\xe9", {"data_base64": "6Q=="}),
        ("application/json; charset=utf-16", b"[\x001\x00]\x00", {"data_base64": "WwAxAF0A"}),
        ("application/octet-stream", b"[1]", {"data_base64": "WzFd"}),
        ("application/json", b"", {}),
        (None, b' {"a": 1.0e0}\n', {"data": {"a": 1.0}}),
        (None, b"hello", {"data_base64": "aGVsbG8="}),
        (None, b"\x00\xff", {"data_base64": "AP8="}),
        (None, b"", {}),
    ],
)
def test_a_payload_becomes_data_by_its_media_type(media: str | None, payload: bytes, member: dict[str, Any]) -> None:
    headers = HEADERS if media is None else {**HEADERS, "ce-datacontenttype": media}
    body = read(payload, headers)
    assert {name: value for name, value in body.items() if name.startswith("data") and name != "datacontenttype"} == (
        member
    )
    again = read(CODEC.encode(body, Headers(headers)).data, headers)
    assert again == body
    untouched = make_event(payload, CODEC, headers).set("subject", "s")
    written = CODEC.encode(untouched.encodable, untouched.headers)
    assert written.data == payload, "data that nobody read leaves as it came"
    assert written.headers["ce-subject"] == "s"


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ("a%20b%22%25", 'a b"%'),
        ("Euro%20%E2%82%AC%20%f0%9f%98%80", "Euro € 😀"),
        ("plain text, not encoded: é", "plain text, not encoded: é"),
        ('"quoted \\"text\\" %41"', 'quoted "text" A'),
        ('"', '"'),
        ("%2525", "%25"),
    ],
)
def test_header_values_are_decoded_once(sent: str, value: str) -> None:
    assert read(b"", {**HEADERS, "ce-subject": sent})["subject"] == value


def test_deviations_of_other_senders_are_understood() -> None:
    """Content-Type in place of ce-datacontenttype, names in any case, a structured type with parameters."""
    assert read(b'"x"', {**HEADERS, "content-type": "application/json"}) == {
        **ENVELOPE,
        "datacontenttype": "application/json",
        "data": "x",
    }
    assert read(b"", {name.upper(): value for name, value in HEADERS.items()}) == ENVELOPE
    assert read(structured(ENVELOPE), {"CONTENT-TYPE": "Application/CloudEvents; charset=utf-8"}) == ENVELOPE
    assert read(structured({**ENVELOPE, "n": 5, "b": True}), {}) == {**ENVELOPE, "n": 5, "b": True}


def test_a_null_attribute_is_absent_and_null_data_is_data() -> None:
    envelope = {**ENVELOPE, "subject": None, "data": None}
    assert read(structured(envelope), STRUCTURED_TYPE) == {**ENVELOPE, "data": None}


def test_structured_wins_over_ce_headers() -> None:
    assert read(structured(ENVELOPE), {**STRUCTURED_TYPE, "ce-id": "stale", "ce-specversion": "9"}) == ENVELOPE


def without(name: str, source: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in source.items() if key != name}


REFUSED: list[tuple[bytes, dict[str, str], str]] = [
    *((b"", without(f"ce-{name}", HEADERS), f"{name} is missing") for name in ("id", "source", "type")),
    (b"", without("ce-specversion", HEADERS), "no header ce-specversion"),
    (b"", {**HEADERS, "ce-specversion": "0.3"}, "specversion is not 1.0"),
    (b"", {**HEADERS, "ce-id": ""}, "id is no text, or an empty one"),
    (b"", {**HEADERS, "ce-source": "secret%"}, "source has a % that begins no percent-encoding"),
    (b"", {**HEADERS, "ce-source": "secret%zz"}, "source has a %"),
    (b"", {**HEADERS, "ce-mine": "secret%C0%A0"}, "an extension is not UTF-8"),
    (b"", {**HEADERS, "ce-mine": "secret\udcff"}, "an extension is not UTF-8"),
    (b"", {**HEADERS, "ce-secret_name": "x"}, "the name of an attribute"),
    (b"", {**HEADERS, "ce-": "x"}, "the name of an attribute"),
    (b"", {**HEADERS, "ce-data": "x"}, "the name of the data"),
    (b"secret", JSON_HEADERS, "JSON is malformed"),
    (b"secret", {}, "no header ce-specversion"),
    (b"{}", {}, "no header ce-specversion"),
    (b"{}", STRUCTURED_TYPE, "specversion is missing"),
    (b"[1]", STRUCTURED_TYPE, "the payload is no object"),
    (b"", STRUCTURED_TYPE, "the payload is empty"),
    (b"{", STRUCTURED_TYPE, "truncated"),
    (structured([ENVELOPE]), {"Content-Type": "application/cloudevents-batch+json"}, "only application/cloudevents"),
    (b"<e/>", {"Content-Type": "application/cloudevents+xml"}, "only application/cloudevents"),
    (structured({**ENVELOPE, "id": 5}), {}, "id is no text"),
    (structured({**ENVELOPE, "specversion": 1.0}), {}, "specversion is no text"),
    (structured({**ENVELOPE, "time": 5}), {}, "time is no text"),
    (structured({**ENVELOPE, "secret": {"a": 1}}), {}, "an extension is no text or whole number"),
    (structured({**ENVELOPE, "secret": 1.5}), {}, "an extension is no text or whole number"),
    (structured({**ENVELOPE, "secretName": "x"}), {}, "the name of an attribute"),
    (structured({**ENVELOPE, "data": 1, "data_base64": ""}), {}, "both data and data_base64"),
    (structured({**ENVELOPE, "data_base64": "secret!"}), {}, "data_base64 is no base64"),
    (structured({**ENVELOPE, "data_base64": 5}), {}, "data_base64 is no base64"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "headers", "text"), REFUSED)
def test_what_is_no_cloudevent_is_a_decode_error_without_event_data(
    data: bytes, headers: dict[str, str], text: str
) -> None:
    with pytest.raises(DecodeError, match=f"^cloudevents: .*{text}") as caught:
        read(data, headers)
    assert "secret" not in str(caught.value)


@given(st.binary(max_size=80), st.dictionaries(st.sampled_from([*HEADERS, "ce-x", "Content-Type"]), st.text()))
def test_no_message_raises_anything_but_a_decode_error(data: bytes, headers: dict[str, str]) -> None:
    for sent in (headers, {**HEADERS, **headers}, {**STRUCTURED_TYPE, **headers}):
        with contextlib.suppress(DecodeError):
            read(data, sent)


# ---------------------------------------------------------------------- decoded as far as it is read


def test_data_stays_raw_until_somebody_reads_it() -> None:
    payload = b'{"big": 1e999, "n": 1.0e0}'
    event = make_event(payload, CODEC, JSON_HEADERS)
    assert type(event.encodable["data"]) is msgspec.Raw
    assert event.id == "e-1"
    with pytest.raises(DecodeError):
        _ = event.body
    with pytest.raises(DecodeError):
        make_event(payload, make(CloudEvents, {"strict": True}), JSON_HEADERS)
    declared = make_event(b'{"n": 1}', CODEC, JSON_HEADERS, keys=frozenset({"data"}))
    assert declared.view["data"] == {"n": 1}


def test_attributes_come_from_the_envelope() -> None:
    headers = {**HEADERS, "ce-time": "2026-01-31T12:00:00Z", "ce-correlationid": "c-1"}
    event = make_event(b"", CODEC, headers)
    assert (event.id, event.type, event.source, event.correlation_id) == ("e-1", "order.placed", "/shop", "c-1")
    assert event.time is not None
    assert event.time.year == 2026
    assert event.set("id", "e-2").id == "e-2", "the envelope, not the header that was"


@pytest.mark.parametrize("path", ["data.order.id", "$headers.X-Corr", "corr"])
def test_a_correlation_id_is_where_the_config_says(path: str) -> None:
    codec = make(CloudEvents, {"correlation-id": path})
    headers = {**JSON_HEADERS, "X-Corr": "c-9", "ce-corr": "c-9"}
    assert make_event(b'{"order": {"id": "c-9"}}', codec, headers).correlation_id == "c-9"


# ---------------------------------------------------------------------- writing


def changed(event: Event, codec: CloudEvents = CODEC) -> Encoded:
    return codec.encode(event.encodable, event.headers)


def test_an_event_is_written_in_the_mode_it_came_in() -> None:
    binary = changed(make_event(b"[1]", CODEC, JSON_HEADERS).set("subject", "a b"))
    assert binary == Encoded(b"[1]", {**JSON_HEADERS, "ce-subject": "a%20b"})
    for headers in (STRUCTURED_TYPE, {}):
        written = changed(make_event(structured({**ENVELOPE, "data": [1]}), CODEC, headers).set("subject", "s"))
        assert written == Encoded(msgspec.json.encode({**ENVELOPE, "subject": "s", "data": [1]}), STRUCTURED_TYPE)


def test_the_config_may_say_another_mode() -> None:
    binary = make_event(b"[1]", STRUCTURED, JSON_HEADERS)
    assert STRUCTURED.rewrites(binary.headers)
    assert json.loads(changed(binary, STRUCTURED).data) == {
        **ENVELOPE,
        "datacontenttype": "application/json",
        "data": [1],
    }
    came = make_event(structured({**ENVELOPE, "n": 5, "b": False, "data": [1]}), BINARY, STRUCTURED_TYPE)
    assert BINARY.rewrites(came.headers)
    assert changed(came, BINARY) == Encoded(b"[1]", {**HEADERS, "ce-n": "5", "ce-b": "false",
                                                     "ce-datacontenttype": "application/json"})  # fmt: skip
    assert STRUCTURED.rewrites(NOTHING), "what came without a header gets one"
    assert not any(codec.rewrites(Headers(STRUCTURED_TYPE)) for codec in (CODEC, STRUCTURED))
    assert not any(codec.rewrites(Headers(HEADERS)) for codec in (CODEC, BINARY))


def test_an_envelope_of_another_codec_is_written_structured() -> None:
    body = {"id": "1", "source": "s", "type": "t", "subject": None, "data": {"a": 1}}
    assert CODEC.encode(body, NOTHING) == Encoded(
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":1}}', STRUCTURED_TYPE
    )


def test_bytes_are_base64_in_an_envelope_and_themselves_in_a_payload() -> None:
    body = {**ENVELOPE, "data": b"\x00\xff"}
    assert json.loads(CODEC.encode(body, NOTHING).data)["data_base64"] == "AP8="
    assert BINARY.encode(body, NOTHING) == Encoded(b"\x00\xff", HEADERS)


UNWRITABLE: list[tuple[Any, str]] = [
    ([1], "the body is no object"),
    ({}, "id is missing or empty"),
    ({**ENVELOPE, "type": None}, "type is missing or empty"),
    ({**ENVELOPE, "id": 5}, "id is no text"),
    ({**ENVELOPE, "specversion": "0.3"}, "specversion is not 1.0"),
    ({**ENVELOPE, "subject": ""}, "subject is empty"),
    ({**ENVELOPE, "time": "yesterday"}, "time is no RFC 3339 time"),
    ({**ENVELOPE, "time": "2026-13-01T00:00:00Z"}, "time is no RFC 3339 time"),
    ({**ENVELOPE, "x": "a\nb"}, "an extension holds a control character"),
    ({**ENVELOPE, "x": "\ufffe"}, "an extension holds a control character"),
    ({**ENVELOPE, "x": 2**31}, "an extension is a whole number beyond 32 bits"),
    ({**ENVELOPE, "x": 1.5}, "an extension is no text, whole number"),
    ({**ENVELOPE, "x": [1]}, "an extension is no text, whole number"),
    ({**ENVELOPE, "X": "1"}, "has a name that is not lower-case"),
    ({**ENVELOPE, "data": 1, "data_base64": "AA=="}, "both data and data_base64"),
    ({**ENVELOPE, "data_base64": "?"}, "data_base64 is no base64"),
    ({**ENVELOPE, "datacontenttype": "text/plain", "data": {"a": 1}}, "the data is no text"),
    ({**ENVELOPE, "datacontenttype": "text/plain; charset=utf-16", "data": "a"}, "another character set"),
    ({**ENVELOPE, "data": {"a": b"1"}}, "the body holds bytes"),
    ({**ENVELOPE, "data": float("nan")}, "NaN"),
]


@pytest.mark.parametrize("codec", [BINARY, STRUCTURED], ids=lambda codec: codec.config.mode)
@pytest.mark.parametrize(("body", "text"), UNWRITABLE)
def test_what_would_be_no_cloudevent_is_a_clear_encode_error(codec: CloudEvents, body: Any, text: str) -> None:
    with pytest.raises(EventError, match=text) as caught:
        codec.encode(body, NOTHING)
    assert caught.value.code == "encode-error"


# ---------------------------------------------------------------------- round trips

texts = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=12)
extensions = st.dictionaries(
    st.from_regex(r"x[a-z0-9]{0,8}", fullmatch=True),
    texts | st.integers(-(2**31), 2**31 - 1) | st.booleans(),
    max_size=4,
)
data_members = st.one_of(
    st.just({}),
    values.map(lambda value: {"data": value}),
    values.map(lambda value: {"data": value, "datacontenttype": "application/json"}),
    texts.map(lambda text: {"data": text, "datacontenttype": "text/plain"}),
    st.binary(min_size=1, max_size=20).map(
        lambda data: {"data_base64": base64.b64encode(data).decode(), "datacontenttype": "application/octet-stream"}
    ),
)
envelopes = st.builds(
    lambda required, optional, more, data: {**ENVELOPE, **required, **optional, **more, **data},
    st.fixed_dictionaries({"id": texts, "source": texts, "type": texts}),
    st.fixed_dictionaries({}, optional={"subject": texts, "time": st.just("2026-01-31T12:00:00.5+02:00")}),
    extensions,
    data_members,
)


@given(envelopes)
def test_an_envelope_survives_structured_mode(envelope: dict[str, Any]) -> None:
    assert reread(STRUCTURED.encode(envelope, NOTHING)) == envelope


@given(envelopes)
def test_an_envelope_survives_binary_mode(envelope: dict[str, Any]) -> None:
    """But for the types of extensions, which are texts in headers, and a media type that had to be said."""
    written = BINARY.encode(envelope, NOTHING)
    assert all(value.isascii() and value.isprintable() and " " not in value for value in written.headers.values())
    expected = {
        name: json.dumps(value) if name.startswith("x") and type(value) is not str else value
        for name, value in envelope.items()
    }
    if "data" in envelope:
        expected.setdefault("datacontenttype", "application/json")
    assert reread(written) == expected
    assert reread(STRUCTURED.encode(reread(written), NOTHING)) == expected


@given(
    st.binary(max_size=60), st.sampled_from([None, "application/json", "text/plain", "image/png", "text/x;charset=x"])
)
def test_a_payload_survives_a_change_of_attributes_byte_for_byte(payload: bytes, media: str | None) -> None:
    headers = HEADERS if media is None else {**HEADERS, "ce-datacontenttype": media}
    try:
        event = make_event(payload, CODEC, headers)
    except DecodeError:
        assert media == "application/json"
        return
    written = changed(event.set("type", "other"))
    assert written.data == payload
    assert written.headers == {**headers, "ce-type": "other"}
