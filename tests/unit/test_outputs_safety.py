"""Whatever an event holds, a copy has the subject and the headers its config means, or is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import Codec, Encoded
from gateway.headers import Headers
from gateway.missing import MISSING
from gateway.routing.outputs import MAX_SUBJECT, Copy, copies
from gateway.routing.route import MessageIds
from gateway.routing.run import Failed
from gateway.subjects import matches, safe_token, subject_fault, token_is_safe
from tests.unit.build import scalars
from tests.unit.routes import CREATED, copies_of, delivery_of, fields_of, opened, route_of, transform

nasty = st.text(st.sampled_from('a.*> \r\n\x00\t:$_"{}\u0085\u2028\u00e9\U0001f600'), max_size=6)
values = nasty | scalars | st.lists(nasty, max_size=2) | st.dictionaries(nasty, scalars, max_size=2)
bodies = st.dictionaries(st.sampled_from(["a", "b", "id", "thread"]), values, max_size=4)
REFUSALS = {"unsafe-subject", "unsafe-header"}

TEMPLATES = route_of(
    more="codec: {json: {correlation-id: thread}}",
    targets="""
      - {subject: "out.{a}.{b|or:none}.end", headers: {X-A: "{a}", X-Both: "<{a}|{b|or:none}>"}}
      - {subject: "{a|token}{b}", headers: {X-Token: "{a|token}"}}
      - {subject: "{a|token}.x{b|token|or:.}"}""",
)


def text_of(value: Any) -> str:
    """A value in a template: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def legal(value: Any) -> bool:
    """Whether a value may stand in a subject as it is."""
    return isinstance(value, (str, int)) and token_is_safe(text_of(value))


def check(copy: Copy, subject: str | None, headers: dict[str, str | None]) -> None:
    """The copy is what was meant (None: left out), or refused because that cannot be."""
    unsafe = any(value is not None and set(value) & set("\r\n\x00") for value in headers.values())
    if subject is None or unsafe:
        assert copy.code in REFUSALS
        assert (subject is None) >= (copy.code == "unsafe-subject")
        return
    assert copy.open, (copy.code, copy.fault)
    assert copy.subject == subject
    assert subject_fault(copy.subject) is None
    assert copy.subject[0] not in "$_"
    fields = fields_of(copy.header_block)
    own = [name for name, _ in fields[:4]]
    assert own == [b"Nats-Msg-Id", b"Gateway-Hops", b"Gateway-Correlation-Id", b"Gateway-Causation-Id"]
    assert fields[4:] == [(name.encode(), value.encode()) for name, value in headers.items() if value is not None]


@given(bodies)
def test_no_event_can_inject_a_header_or_leave_its_place_in_a_subject(body: dict[str, Any]) -> None:
    """Every copy has exactly the subject and header lines that its templates say, or is refused."""
    first, second, third = copies_of(TEMPLATES, delivery_of(msgspec.json.encode(body)))
    a, b = body.get("a", MISSING), body.get("b", MISSING)
    or_none = "none" if b is MISSING else text_of(b)
    both = legal(a) and (b is MISSING or legal(b))
    check(
        first,
        f"out.{text_of(a)}.{or_none}.end" if both else None,
        {"X-A": None if a is MISSING else text_of(a), "X-Both": None if a is MISSING else f"<{text_of(a)}|{or_none}>"},
    )
    token = None if a is MISSING else safe_token(text_of(a))
    start = token if token is not None and token[0] not in "$_" else None
    check(second, f"{start}{text_of(b)}" if start is not None and legal(b) else None, {"X-Token": token})
    end = safe_token("." if b is MISSING else text_of(b))
    check(third, f"{start}.x{end}" if start is not None else None, {})
    for copy, wildcard in ((first, "out.*.*.end"), (second, "*"), (third, "*.*")):
        assert copy.code or matches(wildcard, copy.subject)


class Free(Codec, name="free"):
    """A plugin that takes headers from the event without a look."""

    def decode(self, data: bytes, headers: Headers, subject: str) -> Any: ...

    def encode(self, body: Any, headers: Headers) -> Encoded:
        return Encoded(b"", body)


BY_CODEC = route_of(codecs=[Free], targets="[{subject: a, codec: free}]")
BY_TRANSFORM = route_of()
pairs = st.dictionaries(st.sampled_from(["X-A", "X-B", "X-C"]) | nasty, nasty | st.just("\ud800"), max_size=3)


@pytest.mark.parametrize("by_codec", [False, True])
@given(pairs)
def test_headers_that_a_plugin_makes_of_event_data_cannot_inject_any(by_codec: bool, wanted: dict[str, str]) -> None:
    """`event.replace(headers={**event.headers, "X-User": event.get("user")})` is what every author writes."""
    route, delivery = (BY_CODEC if by_codec else BY_TRANSFORM), delivery_of(b"{}")
    source = opened(route, delivery)
    [copy] = copies_of(route, delivery, [source.replace(body=wanted) if by_codec else source.replace(headers=wanted)])
    if copy.open:
        meant = wanted if by_codec else Headers(wanted)
        assert fields_of(copy.header_block)[4:] == [(name.encode(), meant[name].encode()) for name in meant]
    else:
        assert copy.code == "unsafe-header"


def test_a_target_s_header_of_text_that_has_no_bytes_is_unsafe() -> None:
    """A transform can make such text; that is the end of its event, not of ours."""
    targets = '[{subject: x, headers: {X: "{$subject}"}}]'
    route = route_of(transform(lambda event: event.replace(subject="\ud800")), targets=targets)
    [copy] = copies_of(route, delivery_of(b"{}"))
    assert (copy.code, "{$subject}" in copy.fault) == ("unsafe-header", True)


@pytest.mark.parametrize(
    ("subject", "body"),
    [("{a}", {}), ("{a}", {"a": None}), ("{a}", {"a": 1.5}), ("{a}", {"a": ["x"]}), ("{a}", {"a": ""}),
     ("{a}", {"a": "x.y"}), ("{a}", {"a": "*"}), ("{a}", {"a": ">"}), ("{a}", {"a": "x y"}), ("{a}", {"a": "$JS"}),
     ("{a}", {"a": "_INBOX"}), ("{a|token}.x", {"a": "$SYS"}), ("{a}", {"a": "x" * 1025}),
     ("{a}.{a}.{a}.{a}", {"a": "x" * 1024}), ("{a}.{a}.{a}.{a}", {"a": "\u00e9" * 512})],
)  # fmt: skip
def test_an_unsafe_subject_refuses_that_copy_alone(subject: str, body: dict[str, Any]) -> None:
    targets = f'[{{subject: "{subject}"}}, {{subject: other}}]'
    refused, other = copies_of(route_of(targets=targets), delivery_of(msgspec.json.encode(body)))
    assert (refused.code, refused.subject, other.open) == ("unsafe-subject", "", True)
    assert "x.y" not in refused.fault
    assert refused.fault


def test_a_subject_may_be_as_long_as_a_line_of_the_protocol_takes() -> None:
    targets = '[{subject: "{a}.{a}.{b}"}]'
    body = {"a": "x" * 1024, "b": "y" * (MAX_SUBJECT - 2050)}
    [copy] = copies_of(route_of(targets=targets), delivery_of(msgspec.json.encode(body)))
    assert (len(copy.subject), copy.open) == (MAX_SUBJECT, True)
    body["b"] += "y"
    [copy] = copies_of(route_of(targets=targets), delivery_of(msgspec.json.encode(body)))
    assert copy.code == "unsafe-subject"


# ---------------------------------------------------------------- message ids


def test_a_message_id_is_the_same_for_ever() -> None:
    """After a restart, an upgrade, on another host: what was sent once is known as a duplicate."""
    ids = MessageIds(route_of(), CREATED)
    prefix = "877a78dc5165ee443bcbade4c94cb748"
    assert ids.copy("billing.orders", 7, 0, None) == f"{prefix}.7.0"
    assert ids.copy("billing.orders", 7, 0, "k") == f"{prefix}.7.kae7add18d11a4de8b45ae1626a5a5e85"
    assert ids.dead_letter(7) == "c25718e2328cc88360e29e6d37ca404f.7"
    assert ids.span(7) == "3ffeed95671dedab"


def test_a_message_id_differs_by_every_part() -> None:
    """Gateway, route, stream, its creation time, target, sequence, copy; texts cannot run into each other."""
    targets = "[{subject: a, name: one}, {subject: b, name: two}, {subject: c, name: ne}]"
    # fmt: off
    origins = [("gateway", "orders", "ORDERS"), ("gateway", "other", "ORDERS"), ("other", "orders", "ORDERS"),
               ("gateway", "orders", "OTHER"), ("gateway", "ord", "ersORDERS"), ("gatewayo", "rders", "ORDERS")]
    # fmt: on
    made = []
    for gateway, name, stream in origins:
        route = route_of(targets=targets, gateway=gateway, name=name, stream=stream)
        for created in (CREATED, CREATED[:-1] + "1Z"):
            ids = MessageIds(route, created)
            for sequence in (1, 11):
                made += [ids.dead_letter(sequence), ids.span(sequence)]
                for target in ("one", "two", "ne"):
                    made += [ids.copy(target, sequence, 0, key) for key in ("0", "1", "k0", "", "\ud800")]
                    made += [ids.copy(target, sequence, ordinal, None) for ordinal in (0, 1, 10)]
    assert len(set(made)) == len(made)
    assert all(len(one) < 100 and one.isascii() and one.isprintable() and " " not in one for one in made)


def test_copies_of_a_split_are_told_apart_by_key_or_else_by_place() -> None:
    """A key is stable where the place is not; the place of the others counts keyed parts too."""

    def split(event: Any) -> Any:
        return [event.replace(key="b"), event, event.replace(key="1"), event]

    targets = "[{subject: x}, {subject: y}]"
    route = route_of(transform(split), targets=targets)
    ids = MessageIds(route, CREATED)
    made = copies_of(route, delivery_of(b"{}"))
    expected = [ids.copy(target, 7, place, key) for place, key in enumerate(["b", None, "1", None]) for target in "xy"]
    assert [copy.message_id for copy in made] == expected
    assert [fields_of(copy.header_block)[0] for copy in made] == [(b"Nats-Msg-Id", one.encode()) for one in expected]
    assert len(set(expected)) == 8


def test_two_parts_with_one_key_are_a_fault_of_the_transform() -> None:
    """One of them would be taken for a duplicate of the other, and lost."""
    route = route_of()
    source = opened(route, delivery_of(b"{}"))
    parts = [source.replace(key="k"), source, source.replace(key="k")]
    result = copies(route, MessageIds(route, CREATED), delivery_of(b"{}"), source, parts, 1 << 20)
    assert isinstance(result, Failed)
    assert result.code == "transform-error"
    assert len(copies_of(route, delivery_of(b"{}"), parts[1:])) == 2
