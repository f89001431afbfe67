"""Values that have the right type and could never work: found at the check, not by a server or by every event."""

from __future__ import annotations

import pytest

from gateway.config.loader import examine_text
from gateway.problems import Code, Problem
from gateway.registry import Registry

from .samples import ROUTE, acme

SOURCE = "    source: {stream: ORDERS, subjects: [orders.>]}\n"


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The built-ins and the plugin acme."""
    return acme()


def problems(text: str, registry: Registry) -> list[Problem]:
    """All that is found in a text."""
    return examine_text(text, "c.yaml", {}, registry).problems


SUBJECT_FAULTS = [
    ("$JS.API.STREAM.DELETE.{a}", "server's own"),
    ("$SYS.{a}", "server's own"),
    ("$JS.x", "server's own"),
    ("{a|or:$JS}.x", "would begin"),
    ("{a|or:_INBOX}.x", "would begin"),
    ("a.{ b }", "space"),
    ("a.{b |or:c}", "space"),
    ("x" * 3073, "3072 bytes"),
    ("é" * 1500 + "{a}" + "é" * 50, "3072 bytes"),
]


@pytest.mark.parametrize(("subject", "words"), SUBJECT_FAULTS)
def test_a_subject_that_could_never_be_published_is_a_fault_of_the_config(
    subject: str, words: str, registry: Registry
) -> None:
    """Found at the check, not by every event."""
    found = problems(ROUTE.replace("billing.orders}", f"'{subject}'}}"), registry)
    assert [(problem.line, words in problem.text) for problem in found] == [(4, True)]


@pytest.mark.parametrize("subject", ["$KV.rates.{a}", "$O.files.{a}", "_x.{a}", "a.{b|or:$x}", "{$subject.1|or:x}.y"])
def test_other_subjects_may_begin_as_they_like(subject: str, registry: Registry) -> None:
    """A route may write into a key-value bucket: its stream takes the subject like any other."""
    assert problems(ROUTE.replace("billing.orders}", f"'{subject}'}}"), registry) == []


@pytest.mark.parametrize("token", ['""', '" "', '"${API_TOKEN:-}"', '"hunter2 "', '"hun\\nter2"'])
def test_a_token_that_nobody_or_everybody_could_show_is_a_fault(token: str, registry: Registry) -> None:
    """An empty one, of a variable that is not set, would let everybody in who says Bearer and nothing more."""
    [problem] = problems(f"http: {{token: {token}}}\n" + ROUTE, registry)
    assert (problem.line, problem.column, problem.path) == (1, 15, "http.token")
    assert "hun" not in f"{problem.text} {problem.hint}"


@pytest.mark.parametrize("domain", ["", "a b", "a.b", "*", ">", "a\\tb"])
def test_a_domain_is_one_token(domain: str, registry: Registry) -> None:
    """It becomes part of the subject of every request to the server."""
    [problem] = problems(f'nats: {{domain: "{domain}"}}\n' + ROUTE, registry)
    assert (problem.line, problem.column, problem.path) == (1, 16, "nats.domain")


@pytest.mark.parametrize(
    "field",
    [
        "timeout: 36501d",
        "max-in-flight-bytes: 9000000TiB",
        "source: {stream: S, subjects: [x], max-ack-pending: 9223372036854775808}",
        "source: {stream: S, subjects: [x], start: {sequence: 18446744073709551616}}",
    ],
)
def test_what_no_server_could_hold_is_refused(field: str, registry: Registry) -> None:
    """The server reads 64 bits and answers a longer number with nothing but "invalid JSON"."""
    own = f"    {field}\n"
    text = ROUTE.replace(SOURCE, own) if field.startswith("source") else ROUTE + own
    [problem] = problems(text, registry)
    assert problem.code is Code.INVALID_VALUE


def test_a_stream_without_a_name_is_told_how_to_write_one(registry: Registry) -> None:
    [problem] = problems("streams: [{subjects: [a]}]\n" + ROUTE, registry)
    assert (problem.code, problem.hint) == (Code.MISSING_FIELD, "name the stream: name: ORDERS")


@pytest.mark.parametrize(
    ("stream", "field"),
    [
        ("name: A, provision: create, max-age: 1h, duplicate-window: 2h", "duplicate-window"),
        ("name: A, max-age: 1h, duplicate-window: 2h", "duplicate-window"),
    ],
)
def test_a_duplicate_window_longer_than_the_stream_keeps_anything_is_refused(
    stream: str, field: str, registry: Registry
) -> None:
    """As the server does (10052)."""
    [problem] = problems(f"streams: [{{{stream}}}]\n" + ROUTE, registry)
    assert problem.path == f"streams[0].{field}"
    assert "duplicate-window" in problem.text


@pytest.mark.parametrize(
    "stream",
    [
        "name: A, max-age: 1m",
        "name: A, provision: create, max-age: 1m",
        "name: A, duplicate-window: 1m, provision: create, max-age: 1m",
    ],
)
def test_other_duplicate_windows_are_fine(stream: str, registry: Registry) -> None:
    assert problems(f"streams: [{{{stream}}}]\n" + ROUTE, registry) == []
