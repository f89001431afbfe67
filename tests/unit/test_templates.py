"""Templates as values, headers and subjects; above all that no event can inject a subject."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import ConfigProblem, UnsafeValue
from gateway.missing import MISSING
from gateway.subjects import MAX_SUBJECT, MAX_TOKEN, subject_fault
from gateway.templates import Template, check_subject
from tests.unit.build import bodies, make_event, quoted, values

BODY = {"id": "42", "n": 5, "f": 1.5, "t": True, "z": None, "o": {"a": [1]}, "s": "x y"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{{id}}", "{id}"),
        ("{id}", "42"),
        ("{n}", 5),
        ("{t}", True),
        ("{z}", None),
        ("{o}", {"a": [1]}),
        ("n={n} t={t} z={z} f={f}", "n=5 t=true z=null f=1.5"),
        ("o={o}", 'o={"a":[1]}'),
        ("{nope}", MISSING),
        ("x{nope}", MISSING),
        ("{nope|or:none}", "none"),
        ("{nope|or:}", ""),
        ("{s|token}", "x_y"),
        ("a.{s|token}", "a.x_y"),
        ("{$subject.0}-{o.a.0}", "orders-1"),
    ],
)
def test_a_template_as_a_value(text: str, value: object) -> None:
    """One placeholder alone keeps its JSON type; absent makes the whole absent."""
    made = Template(text).value(make_event(BODY))
    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(
    "text", ["{", "}", "{a", "a}", "{}", "{a|nope}", "{a|or}", "{a..b}", "{$nope}", "{{{a", "{a}}"]
)
def test_what_is_no_template_is_refused(text: str) -> None:
    """With a hint about braces where they are at fault."""
    with pytest.raises(ConfigProblem):
        Template(text)


@given(st.text())
def test_doubled_braces_make_any_text_constant(text: str) -> None:
    """Escaping is complete."""
    assert Template(text.replace("{", "{{").replace("}", "}}")).constant == text


@given(st.text(max_size=6), st.text(max_size=6), st.text(max_size=4))
def test_any_key_can_stand_in_a_template(key: str, before: str, after: str) -> None:
    """Braces, bars, quotes and backslashes inside a quoted key are part of it."""
    text = "{{".join(before.split("{")).replace("}", "}}")
    tail = "{{".join(after.split("{")).replace("}", "}}")
    template = Template(f"{text}{{{quoted(key)}|or:d}}{tail}")
    assert template.render(make_event({key: "v"})) == f"{before}v{after}"


def test_a_header_is_left_out_when_absent() -> None:
    """None, not an empty header."""
    assert Template("{nope}").header(make_event({})) is None
    assert Template("{n}").header(make_event(BODY)) == "5"


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\n", "\x00", "\r"])
def test_a_header_value_cannot_begin_another_header(value: str) -> None:
    """`unsafe-header`, and no part of the value in the message."""
    with pytest.raises(UnsafeValue) as caught:
        Template("x {v}").header(make_event({"v": value}))
    assert caught.value.code == "unsafe-header"
    assert value not in caught.value.message


@pytest.mark.parametrize("text", ["Bearer hunter2 {v}", "{v}{v|or:hunter2}"])
def test_a_refusal_shows_nothing_a_template_says_literally(text: str) -> None:
    """Literals and defaults may come out of an expansion, and the message reaches logs and dead letters."""
    with pytest.raises(UnsafeValue) as header:
        Template(text).header(make_event({"v": "\r"}))
    with pytest.raises(UnsafeValue) as long:
        Template(text.replace(" ", ".") + "{v}{v}{v}").subject(make_event({"v": "x" * 1024}))
    for caught in (header, long):
        assert "hunter2" not in caught.value.message
        assert "{v}" in caught.value.message


SUBJECTS = [
    "{v}",
    "a.{v}",
    "{v}.b",
    "a.{v}.{w}",
    "x{v}y",
    "{v}{w}",
    "{v|token}",
    "a.{v|token}.b",
    "{v|or:none}.x",
    "{$headers.X}.a",
]
nasty = st.sampled_from(
    ["", ".", "*", ">", "a.b", "$JS", "_INBOX", " ", "a b", "\r\n", "\x00", "\u2028", "\u00a0", "\ufeff", "x" * 1025,
     "é" * 513, 0, -1, 10**30, 1.5, True, None, [], {}, ["a"], {"a": 1}]
)  # fmt: skip


@given(st.sampled_from(SUBJECTS), nasty | values, nasty | values, st.text(max_size=4))
@example("{v}{w}", "x" * 1000, "é" * 500, "")
def test_no_event_can_inject_a_subject(text: str, v: Any, w: Any, header: str) -> None:
    """Either the event is refused, or the subject has the template's tokens, all legal, none of the server's first."""
    template = Template(text)
    check_subject(template)
    headers = {"X": "".join(c for c in header if c not in "\r\n\x00")}
    try:
        subject = template.subject(make_event({"v": v, "w": w}, headers=headers))
    except UnsafeValue as error:
        assert error.code == "unsafe-subject"  # noqa: PT017 # a refusal is one of the two good ends
        return
    assert subject_fault(subject) is None
    assert subject.count(".") == text.count(".") - text.count("$headers.")
    assert subject[0] not in "$_"
    assert len(subject.encode()) <= MAX_SUBJECT


def test_bytes_that_are_not_utf8_cannot_reach_a_subject() -> None:
    """A header travels as surrogate escapes, which no subject can carry."""
    event = make_event({}, headers={"X": b"\xff".decode("utf-8", "surrogateescape")})
    with pytest.raises(UnsafeValue):
        Template("a.{$headers.X}").subject(event)
    assert Template("a.{$headers.X|token}").subject(event) == "a._"


def test_a_subject_stays_within_the_protocol_line() -> None:
    """Several long tokens would make the server close the connection of every route."""
    event = make_event({"v": "x" * MAX_TOKEN})
    assert len(Template("{v}.{v}").subject(event)) == 2 * MAX_TOKEN + 1
    with pytest.raises(UnsafeValue, match="3072 bytes"):
        Template("{v}.{v}.{v}").subject(event)


@pytest.mark.parametrize("value", [1.5, None, [], {}, "", MISSING])
def test_a_subject_takes_strings_integers_and_booleans_only(value: object) -> None:
    """Absent, null, floats, lists and objects are `unsafe-subject`."""
    body = {} if value is MISSING else {"v": value}
    with pytest.raises(UnsafeValue, match=r"\{v\}"):
        Template("a.{v}").subject(make_event(body))


def test_integers_and_booleans_are_tokens() -> None:
    """Written as JSON."""
    assert Template("a.{n}.{t}").subject(make_event(BODY)) == "a.5.true"


def test_a_literal_first_token_may_be_the_servers_own() -> None:
    """Who writes the config decides that; an event does not."""
    assert Template("$KV.b.{id}").subject(make_event(BODY)) == "$KV.b.42"
    with pytest.raises(UnsafeValue, match="the server's own"):
        Template("{v}.a").subject(make_event({"v": "$JS"}))


@pytest.mark.parametrize(
    "text", ["", "a..{v}", "a.*.{v}", "{v}.>", "a b.{v}", ".{v}", "{v}.", "a.{v|or:x y}", "a.{v|or:}"]
)
def test_literal_parts_and_defaults_of_a_subject_are_checked(text: str) -> None:
    """When the config is read, not at the first event."""
    with pytest.raises(ConfigProblem):
        check_subject(Template(text))


def test_subjects_that_must_always_work_take_only_constant_names() -> None:
    """Dead-letter and audit subjects."""
    check_subject(Template("dlq.{$route}"), ("$route",))
    with pytest.raises(ConfigProblem, match="may not stand here"):
        check_subject(Template("dlq.{id}"), ("$route",))


@given(bodies)
def test_rendering_anything_gives_text(body: Any) -> None:
    """Any JSON value has a text form."""
    assert isinstance(Template("x{$id}{a|or:}").render(make_event(body)), str)


def test_equal_texts_make_equal_templates() -> None:
    """And their text is what they print."""
    assert {Template("{a}"): 1}[Template("{a}")] == 1
    assert str(Template("{a}")) == "{a}"
