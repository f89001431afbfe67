"""Copies: whose headers they carry, which bytes, and when they can never be published."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gateway import Codec, Encoded, Secret, Settings
from gateway.event import Attributes
from gateway.headers import MAX_BLOCK, Headers
from gateway.routing.outputs import Copy, hops_of
from gateway.routing.route import CompiledRoute
from tests.unit.routes import copies_of, delivery_of, fields_of, route_of, transform

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OWN = [b"Nats-Msg-Id", b"Gateway-Hops", b"Gateway-Correlation-Id", b"Gateway-Causation-Id"]
"""What every copy begins with."""


def block_of(*lines: bytes) -> bytes:
    """A header block as a sender wrote it."""
    return b"NATS/1.0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def one_copy(route: CompiledRoute, data: bytes = b'{"id": "e-1"}', block: bytes = b"", **more: Any) -> Copy:
    """The only copy of an event."""
    [copy] = copies_of(route, delivery_of(data, block), **more)
    return copy


def passed_on(*lines: bytes, route: CompiledRoute | None = None) -> list[bytes]:
    """The header lines of a copy beside the gateway's own, byte for byte."""
    block = one_copy(route or route_of(), block=block_of(*lines)).header_block
    version, *written = block.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert version == b"NATS/1.0"
    assert [line.partition(b":")[0] for line in written[:4]] == OWN
    return written[4:]


def value(copy: Copy, name: bytes) -> bytes:
    """The one header of that name."""
    [found] = [text for known, text in fields_of(copy.header_block) if known.lower() == name.lower()]
    return found


KEPT = [
    b"X-A: 1", b"X-A: 2", b"x-a:3", b"X-B:", b"X-C:   spaces  ", b" X-D : odd", b"X-E: \xff\xfe\x80",
    b"no colon at all", b"X-F: a\nb", b"X-G: \x00", b"XNats-Y: 1", b"X-Gateway-Y: 1", b"NatsY: 1", b": no name",
]  # fmt: skip


def test_the_sender_s_headers_travel_on_byte_for_byte() -> None:
    """Duplicates, order, spaces, case, what is not UTF-8 and what is no header at all."""
    assert passed_on(*KEPT) == KEPT


@pytest.mark.parametrize(
    "name", [b"Nats-Rollup", b"nats-rollup", b"NATS-TTL", b" Nats-Rollup", b"\tnats-rollup ", b"\nNats-Rollup",
             b"\rNats-Rollup", b"Nats-", b"Gateway-Route", b"gATEWAY-x", b"Gateway-Original-Nats-Msg-Id"],
)  # fmt: skip
@pytest.mark.parametrize("ending", [b": all", b":all", b" : all", b""])
def test_control_headers_stay_behind_however_they_are_spelled(name: bytes, ending: bytes) -> None:
    """A sender must not be able to command the server or the next gateway through us."""
    assert passed_on(b"X-A: 1", name + ending, b"X-B: 2") == [b"X-A: 1", b"X-B: 2"]


def test_a_target_s_headers_replace_and_remove_the_sender_s_in_any_case() -> None:
    """Every one of a name, those with odd spaces too; a value that is absent takes the sender's away as well."""
    rules = '[{subject: b, headers: {X-A: "new {id}", X-Gone: null, X-Absent: "{nope}", X-Or: "{nope|or:none}"}}]'
    sent = [b"x-a: 1", b"X-A : 2", b"X-GONE: 1", b" x-gone: 2", b"X-Absent: 1", b"X-Kept: 1"]
    assert passed_on(*sent, route=route_of(targets=rules)) == [b"X-Kept: 1", b"X-A: new e-1", b"X-Or: none"]


class Stamped(Codec, name="stamped"):
    """Adds headers of its own."""

    def decode(self, data: bytes, headers: Headers, subject: str) -> Any:
        return {}

    def encode(self, body: Any, headers: Headers) -> Encoded:
        return Encoded(b"made", {"Content-Type": "x/made", "X-Codec": "1"})


def test_a_codec_s_headers_replace_the_sender_s_and_a_target_s_replace_both() -> None:
    targets = "[{subject: b, codec: stamped, headers: {x-codec: 'the target', X-A: null}}]"
    route = route_of(codecs=[Stamped], targets=targets)
    sent = [b"content-type: application/json", b"X-CODEC: 0", b"X-A: 1", b"X-B: 1"]
    assert passed_on(*sent, route=route) == [b"X-B: 1", b"Content-Type: x/made", b"x-codec: the target"]


class Format(Codec, name="format"):
    """Owns headers, and writes anew what came in another form."""

    owns = ("f-", "X-Form")

    def decode(self, data: bytes, headers: Headers, subject: str) -> Any:
        return {}

    def encode(self, body: Any, headers: Headers) -> Encoded:
        return Encoded(b"made", {"F-A": "made"})

    def rewrites(self, headers: Headers) -> bool:
        return headers.get("X-Form") == "old"


OWNED = [b"f-a: 1", b"F-a : 2", b"F-: 3", b"X-FORM: any", b"X-Form-2: kept", b"xf-a: kept"]


@pytest.mark.parametrize(
    ("more", "targets"),
    [("codec: format", "{subject: b, codec: json}"), ("", "{subject: b, codec: format}")],
    ids=["the route's codec", "the target's codec"],
)
def test_headers_that_belong_to_a_format_do_not_pass_on_beside_a_body_written_anew(more: str, targets: str) -> None:
    """They would say of the new body what was true of the old one."""
    made = passed_on(*OWNED, route=route_of(codecs=[Format], targets=f"[{targets}]", more=more))
    assert made[:2] == OWNED[4:]
    assert made[2:] == ([] if more else [b"F-A: made"])


def test_a_format_s_headers_pass_on_with_a_body_that_nothing_changed() -> None:
    """Each target by itself: the second one gets another form."""
    route = route_of(codecs=[Format], more="codec: format", targets="[{subject: b}, {subject: c, codec: json}]")
    kept, anew = copies_of(route, delivery_of(b"as it came", block_of(*OWNED)))
    assert (kept.data, kept.header_block.count(b"\r\n")) == (b"as it came", 5 + len(OWNED) + 1)
    assert (anew.data, anew.header_block.count(b"\r\n")) == (b"{}", 5 + 2 + 1)


@pytest.mark.parametrize(("form", "data"), [(b"old", b"made"), (b"new", b"as it came")])
def test_a_codec_may_write_anew_what_nothing_changed(form: bytes, data: bytes) -> None:
    copy = one_copy(route_of(codecs=[Format], more="codec: format"), b"as it came", block_of(b"X-Form: " + form))
    assert copy.data == data
    assert (b"X-Form" in copy.header_block) == (form == b"new")


def test_a_transform_s_headers_take_the_place_of_the_sender_s() -> None:
    """One value a name, and still no control headers."""
    route = route_of(transform(lambda event: event.replace(headers={**event.headers, "X-B": "2", "Nats-TTL": "1"})))
    assert passed_on(b"X-A: 1", b"x-a: \xff", b"Gateway-X: 1", route=route) == [b"x-a: \xff", b"X-B: 2"]


def test_the_expected_stream_stands_before_all_event_data() -> None:
    """Older servers look no further than the first place where the name stands, even inside another value."""
    route = route_of(targets="[{subject: b, stream: BILLING}]")
    block = one_copy(route, b'{"id": "Nats-Expected-Stream"}', block_of(b"X: Nats-Expected-Stream")).header_block
    assert b"\r\nNats-Expected-Stream: BILLING\r\n" in block
    assert block.index(b"Nats-Expected-Stream") == block.index(b"Nats-Expected-Stream: BILLING")


@pytest.mark.parametrize(
    ("line", "hops"),
    [(b"Gateway-Hops: 3", 3), (b"gateway-hops:15", 15), (b"GATEWAY-HOPS: \t7 \t", 7), (b"Gateway-Hops: 999999", 999999),
     (b"Gateway-Hops: -1", 0), (b"Gateway-Hops: x", 0), (b"Gateway-Hops: ", 0), (b"Gateway-Hops: 1 2", 0),
     (b"X-Gateway-Hops: 3", 0), (b"X: Gateway-Hops: 3", 0), ("Gateway-Hops: \u0663".encode(), 0)],
)  # fmt: skip
def test_each_gateway_adds_a_hop(line: bytes, hops: int) -> None:
    """Anything but a number counts as none."""
    assert hops_of(block_of(b"A: 1", line, b"B: 2")) == hops
    assert value(one_copy(route_of(), block=block_of(line)), b"Gateway-Hops") == str(hops + 1).encode()
    assert value(one_copy(route_of()), b"Gateway-Hops") == b"1"
    assert hops_of(b"") == 0


def ids_of(copy: Copy) -> tuple[bytes, bytes]:
    """Correlation and causation."""
    return value(copy, b"Gateway-Correlation-Id"), value(copy, b"Gateway-Causation-Id")


def test_correlation_is_kept_and_causation_is_the_source_event() -> None:
    """The incoming header first, then the codec's correlation id, then the event's own id."""
    codec = "codec: {json: {correlation-id: thread}}"
    both = b'{"id": "e-1", "thread": "t-1"}'
    assert ids_of(one_copy(route_of(more=codec), both, block_of(b"gateway-correlation-id: c-1"))) == (b"c-1", b"e-1")
    assert ids_of(one_copy(route_of(more=codec), both)) == (b"t-1", b"e-1")
    assert ids_of(one_copy(route_of(more=codec), b'{"id": "e-1"}')) == (b"e-1", b"e-1")
    assert ids_of(one_copy(route_of(), b"{}", block_of(b"Nats-Msg-Id: m-1"))) == (b"m-1", b"m-1")
    assert ids_of(one_copy(route_of(), b"{}")) == (b"ORDERS:7", b"ORDERS:7")
    changed = route_of(transform(lambda event: event.set("id", "other").replace(headers={})))
    assert ids_of(one_copy(changed, both, block_of(b"Gateway-Correlation-Id: c-1"))) == (b"c-1", b"e-1")


class Named(Codec, name="named"):
    """Any text as id, even what no codec of ours can decode."""

    def decode(self, data: bytes, headers: Headers, subject: str) -> Any:
        return data.decode("utf-8", "surrogatepass")

    def attributes(self, body: Any, headers: Headers) -> Attributes:
        return Attributes(id=body, correlation_id=f"{body}.")


@pytest.mark.parametrize(
    ("text", "written"),
    [("a\r\nNats-Rollup: all", "a__Nats-Rollup: all"), ("\x00\x1f\x7f", "___"), ("\u00e9\u2028\U0001f600", None),
     ("\ud800\udcff", "??"), ("x" * 5000, "x" * 1024), ("\u00e9" * 5000, "\u00e9" * 1024)],
    ids=["lines", "control", "unicode", "surrogates", "long", "long-unicode"],
)  # fmt: skip
def test_ids_are_event_data_and_cannot_break_out_of_their_header(text: str, written: str | None) -> None:
    route = route_of(codecs=[Named], more="codec: named")
    expected = (text if written is None else written).encode()
    correlation, causation = ids_of(one_copy(route, text.encode("utf-8", "surrogatepass")))
    assert causation == expected
    assert correlation == (expected if len(text) > 1024 else expected + b".")


TWO = "[{subject: a}, {subject: b, codec: msgpack}, {subject: c}]"


def test_an_unchanged_body_passes_as_the_bytes_it_came_in() -> None:
    """Whatever they look like; for another codec they are written anew, once for all its targets."""
    data = b' {"b" : 1.50, "a":[ ]}\n'
    first, other, third = copies_of(route_of(targets=TWO), delivery_of(data))
    assert first.data is data
    assert third.data is data
    assert other.data == b"\x82\xa1b\xcb?\xf8\x00\x00\x00\x00\x00\x00\xa1a\x90"
    again = one_copy(route_of(transform(lambda event: event.replace(subject="x", headers={}))), data)
    assert again.data is data, "only the body counts"


def test_a_changed_body_is_encoded() -> None:
    route = route_of(targets=TWO, more="transforms: [{set: {a: 1}}]")
    first, other, third = copies_of(route, delivery_of(b'{"b" : 1.5}'))
    assert first.data == b'{"b":1.5,"a":1}' == third.data
    assert other.data == b"\x82\xa1b\xcb?\xf8\x00\x00\x00\x00\x00\x00\xa1a\x01"


def test_a_body_a_codec_cannot_write_is_refused_for_that_target_alone() -> None:
    """Its text may hold event data, so it is told by its type."""

    class Picky(Codec, name="picky"):
        def decode(self, data: bytes, headers: Headers, subject: str) -> Any: ...

        def encode(self, body: Any, headers: Headers) -> Encoded:
            raise KeyError(body["id"])

    targets = "[{subject: a, codec: picky}, {subject: b}, {subject: c, codec: raw}]"
    made = copies_of(route_of(codecs=[Picky], targets=targets), delivery_of(b'{"id": "4111"}'))
    assert [(copy.code, copy.open) for copy in made] == [("encode-error", False), ("", True), ("encode-error", False)]
    assert re.fullmatch(r"KeyError in tests/unit/test_outputs\.py:\d+ encode", made[0].fault)


def test_a_copy_is_too_large_by_payload_and_headers_together() -> None:
    size = one_copy(route_of()).size
    assert one_copy(route_of(), max_payload=size).open
    refused = one_copy(route_of(), max_payload=size - 1)
    assert (refused.code, refused.fault) == ("too-large", f"{size} bytes with headers, the server takes {size - 1}")


def test_a_header_block_has_a_limit_of_its_own() -> None:
    """The server refuses a block over 65535 bytes whatever its max_payload."""
    room = MAX_BLOCK - len(one_copy(route_of(), block=block_of(b"X: ")).header_block)
    fits = one_copy(route_of(), block=block_of(b"X: " + b"x" * room))
    assert (len(fits.header_block), fits.open) == (MAX_BLOCK, True)
    refused = one_copy(route_of(), block=block_of(b"X: " + b"x" * (room + 1)))
    assert (refused.code, refused.fault) == ("too-large", "65536 bytes of headers, the server takes 65535")


SPACED = b'{ "id": "e-1" }'


@pytest.mark.parametrize(
    ("route", "target"),
    [("", "json"), ("json", "builtin/json"), ("", "{json: {}}"), ("{json: {id: id}}", "json"), ("raw", "builtin/raw")],
)
def test_bytes_pass_through_however_the_same_codec_is_written(route: str, target: str) -> None:
    """A name, a plugin's name before it, settings that say the default: one codec, so nothing is written anew."""
    made = route_of(targets=f"[{{subject: x, codec: {target}}}]", more=f"codec: {route}" if route else "")
    assert one_copy(made, SPACED).data == SPACED


def test_codecs_that_differ_in_a_secret_are_two() -> None:
    """Secrets look alike when shown; what one key locked must not be taken for locked with another."""

    class Locked(Codec, name="locked"):
        class Config(Settings):
            key: Secret

        config: Config

        def decode(self, data: bytes, headers: Headers, subject: str) -> Any:
            return {}

        def encode(self, body: Any, headers: Headers) -> Encoded:
            return Encoded(self.config.key.reveal().encode())

        def attributes(self, body: Any, headers: Headers) -> Attributes:
            return Attributes()

    targets = "[{subject: x, codec: {locked: {key: two}}}, {subject: y, codec: {locked: {key: three}}}]"
    made = route_of(codecs=[Locked], targets=targets, more="codec: {locked: {key: one}}")
    assert [copy.data for copy in copies_of(made, delivery_of(b"one"))] == [b"two", b"three"]
