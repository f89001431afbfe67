"""Subject rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.subjects import (
    MAX_TOKEN,
    first_token_is_reserved,
    matches,
    overlaps,
    safe_token,
    subject_fault,
    token_is_safe,
    wildcard_fault,
)

tokens = st.sampled_from(["a", "b", "c"])
subjects = st.lists(tokens, min_size=1, max_size=4).map(".".join)
wildcards = st.builds(
    lambda parts, rest: ".".join([*parts, *rest]),
    st.lists(tokens | st.just("*"), min_size=1, max_size=4),
    st.sampled_from([[], [">"]]),
)


@pytest.mark.parametrize("subject", ["a", "a.b", "orders.created.42", "größe", "$JS.x", "a-b_c"])
def test_legal_subjects_have_no_fault(subject: str) -> None:
    """Any token without dots, wildcards, spaces and control characters will do."""
    assert subject_fault(subject) is None
    assert wildcard_fault(subject) is None


@pytest.mark.parametrize(
    "subject", ["", ".", "a.", ".a", "a..b", "a b", "a\t", "a\x00", "a\x7f", "a\x9fb", "a\u2028b", "a*b"]
)
def test_illegal_subjects_have_one_in_words(subject: str) -> None:
    """Neither to publish nor to subscribe."""
    assert subject_fault(subject)
    assert wildcard_fault(subject)


@pytest.mark.parametrize("wildcard", ["*", ">", "a.*", "*.b", "a.>"])
def test_wildcards_can_only_be_listened_on(wildcard: str) -> None:
    """One cannot publish to a wildcard."""
    assert wildcard_fault(wildcard) is None
    assert "wildcard" in (subject_fault(wildcard) or "")


def test_the_rest_stands_last() -> None:
    """`>` is a final token."""
    assert "last" in (wildcard_fault("a.>.b") or "")


@given(st.text())
def test_a_safe_token_is_one_legal_token_of_at_most_1_kib(text: str) -> None:
    """What token_is_safe lets through, and whatever safe_token makes, is legal in any subject."""
    for token in [text] if token_is_safe(text) else []:
        assert subject_fault(f"a.{token}.b") is None
    made = safe_token(text)
    assert token_is_safe(made)
    assert len(made.encode()) <= MAX_TOKEN


@pytest.mark.parametrize("text", ["x" * 5000, "é" * 5000, "\U0001f600" * 5000, "." * 5000, "", "a\ud800"])
def test_long_and_broken_texts_become_legal_tokens_too(text: str) -> None:
    """Cut at 1 KiB without breaking a character; a lone surrogate cannot be sent at all."""
    assert not token_is_safe(text)
    assert token_is_safe(safe_token(text))


def test_reserved_first_tokens_are_the_servers() -> None:
    """`$JS`, `$SYS` and `_INBOX`."""
    assert all(map(first_token_is_reserved, ["$JS.API", "_INBOX.x", "$"]))
    assert not any(map(first_token_is_reserved, ["a.$", "a", ""]))


def _matches_by_definition(wildcard: list[str], subject: list[str]) -> bool:
    if not wildcard or not subject:
        return wildcard == subject
    if wildcard == [">"]:
        return True
    return wildcard[0] in ("*", subject[0]) and _matches_by_definition(wildcard[1:], subject[1:])


@given(wildcards, subjects)
def test_matching_is_what_nats_defines(wildcard: str, subject: str) -> None:
    """`*` is one token, a final `>` one or more."""
    assert matches(wildcard, subject) is _matches_by_definition(wildcard.split("."), subject.split("."))


@given(wildcards, wildcards, subjects)
def test_overlap_holds_whenever_one_subject_reaches_both(one: str, other: str, subject: str) -> None:
    """And it is symmetric."""
    assert overlaps(one, other) is overlaps(other, one)
    if matches(one, subject) and matches(other, subject):
        assert overlaps(one, other)


@pytest.mark.parametrize(("one", "other"), [("a.*", "b.*"), ("a", "a.>"), ("a.b", "a.b.c"), ("*.a", "*.b")])
def test_disjoint_wildcards_do_not_overlap(one: str, other: str) -> None:
    """`a.>` does not take `a`."""
    assert not overlaps(one, other)
