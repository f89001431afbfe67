"""NATS subject rules: what is a legal subject, token or wildcard, and which subjects a wildcard takes.

Source: NATS documentation, "Subject-Based Messaging"; the stricter token rule is ours, because a token made of
event data must not be able to reach `$JS.API` or another tenant's subjects.
"""

from __future__ import annotations

import re

MAX_TOKEN = 1024
"""Bytes a token made of event data may have at most."""
MAX_SUBJECT = 3072
"""Bytes a subject made of event data may have at most: subject, reply and sizes share a protocol line, and the server
closes the connection of whoever sends one over its `max_control_line`, 4096 bytes unless configured."""

_ILLEGAL_IN_TOKEN = re.compile(r"[\x00-\x20\x7f-\x9f.*>\s\ud800-\udfff]")

_KEY = re.compile(r"[-/_=A-Za-z0-9]+(\.[-/_=A-Za-z0-9]+)*")


def subject_fault(subject: str) -> str | None:
    """Say why `subject` is no subject to publish to, or None when it is one."""
    if not subject:
        return "a subject cannot be empty"
    for token in subject.split("."):
        if not token:
            return "a subject has no empty tokens (two dots in a row, or a dot at an end)"
        if token in ("*", ">"):
            return f"{token!r} is a wildcard: it can be subscribed to, not published to"
        fault = _character_fault(token)
        if fault:
            return fault
    return None


def wildcard_fault(subject: str) -> str | None:
    """Say why `subject` cannot be subscribed to, or None; `*` stands for one token, a final `>` for one or more."""
    if not subject:
        return "a subject cannot be empty"
    tokens = subject.split(".")
    for index, token in enumerate(tokens):
        if not token:
            return "a subject has no empty tokens (two dots in a row, or a dot at an end)"
        if token == ">" and index != len(tokens) - 1:
            return "'>' may only be the last token"
        fault = None if token in ("*", ">") else _character_fault(token)
        if fault:
            return fault
    return None


def _character_fault(token: str) -> str | None:
    """Spaces and control characters break the wire protocol; `*` and `>` inside a token are most likely a slip."""
    found = _ILLEGAL_IN_TOKEN.search(token)
    if found is None:
        return None
    if found[0] in "*>":
        return f"{found[0]!r} inside the token {token!r}: a wildcard stands for a whole token"
    return f"the token {token!r} holds a space, a control character or a broken one"


def key_is_legal(key: str) -> bool:
    """Whether `key` can be one of a key-value bucket: tokens of letters, digits and `-/_=`, joined by dots; no longer
    than a subject may be. Source: NATS ADR-8.
    """
    return len(key) <= MAX_SUBJECT and _KEY.fullmatch(key) is not None


def token_is_safe(token: str) -> bool:
    """Whether event data may stand as one token: not empty, at most 1 KiB, no separators, wildcards or spaces."""
    if not token or _ILLEGAL_IN_TOKEN.search(token):
        return False
    return len(token) <= MAX_TOKEN // 4 or len(token.encode("utf-8", "surrogatepass")) <= MAX_TOKEN


def safe_token(text: str) -> str:
    """Make one legal token of any text: each illegal character becomes `_`, and what is over 1 KiB is cut off."""
    token = _ILLEGAL_IN_TOKEN.sub("_", text).encode("utf-8", "replace")[:MAX_TOKEN].decode("utf-8", "ignore")
    return token or "_"


def first_token_is_reserved(subject: str) -> bool:
    """Whether the subject begins like the server's own: `$JS`, `$SYS`, `_INBOX` and their like."""
    return subject[:1] in ("$", "_")


def matches(wildcard: str, subject: str) -> bool:
    """Whether a subscription to `wildcard` receives `subject`."""
    wanted = wildcard.split(".")
    tokens = subject.split(".")
    if wanted[-1] == ">":
        if len(tokens) < len(wanted):
            return False
        wanted.pop()
    elif len(tokens) != len(wanted):
        return False
    return all(want in ("*", token) for want, token in zip(wanted, tokens, strict=False))


def overlaps(one: str, other: str) -> bool:
    """Whether some subject is received by both wildcards."""
    ours, theirs = one.split("."), other.split(".")
    for left, right in zip(ours, theirs, strict=False):
        if left == ">" or right == ">":
            return True
        if left != right and "*" not in (left, right):
            return False
    return len(ours) == len(theirs)


def covers(wide: str, narrow: str) -> bool:
    """Whether the wildcard `wide` receives everything that `narrow` receives."""
    ours, theirs = wide.split("."), narrow.split(".")
    for index, token in enumerate(ours):
        if token == ">":
            return len(theirs) > index
        if index >= len(theirs) or theirs[index] == ">":
            return False
        if token not in ("*", theirs[index]):
            return False
    return len(ours) == len(theirs)
