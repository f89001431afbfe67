"""Letters in words and in JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..routing.redrive import Letter
from ..trace import received
from .words import count, table

_MESSAGE = 60
"""Characters of an error message in a table."""


def instant(ns: int) -> str:
    """RFC 3339, to the second."""
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")


def printable(text: str) -> str:
    """A text of an event as a terminal can bear it."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def trace_id(letter: Letter) -> str:
    """The trace its event is in; empty without a valid one."""
    trace = received(letter.header_block)
    return "" if trace is None else trace.trace_id


def document(letter: Letter) -> dict[str, Any]:
    """A letter as JSON, without the event."""
    return {
        "stream": letter.stream,
        "sequence": letter.sequence,
        "subject": letter.subject,
        "time": instant(letter.stored_ns),
        "gateway": letter.gateway,
        "route": letter.route,
        "code": letter.code,
        "step": letter.step,
        "message": letter.message,
        "attempts": letter.attempts,
        "exhausted": letter.exhausted,
        "failed_targets": list(letter.failed_targets),
        "source": {
            "stream": letter.source_stream,
            "sequence": letter.source_sequence,
            "subject": printable(letter.source_subject),
        },
        "first_seen": letter.first_seen,
        "last_seen": letter.last_seen,
        "config": letter.config,
        "trace_id": trace_id(letter),
        "omitted_headers": letter.omitted,
        "redrives": letter.redrives,
        "redriven_from": letter.redriven_from,
    }


def rows(letters: Sequence[Letter]) -> list[str]:
    """Letters as a table."""
    one_stream = len({letter.stream for letter in letters}) < 2
    return table(
        [
            (
                str(letter.sequence) if one_stream else letter.place,
                instant(letter.stored_ns),
                printable(letter.route),
                printable(letter.code),
                printable(letter.step),
                printable(f"{letter.source_stream}/{letter.source_sequence}"),
                printable(
                    letter.message if len(letter.message) <= _MESSAGE else letter.message[: _MESSAGE - 3] + "..."
                ),
            )
            for letter in letters
        ],
        ("LETTER", "STORED", "ROUTE", "CODE", "STEP", "SOURCE", "MESSAGE"),
    )


def beside(no_letters: int, of_others: Mapping[str, int]) -> list[str]:
    """What else a stream held."""
    lines = []
    if no_letters:
        lines.append(f"{count(no_letters, 'message')} in the stream that no gateway wrote as dead letters: left alone")
    for gateway, number in sorted(of_others.items()):
        lines.append(
            f"{count(number)} of the gateway {printable(gateway)}: left alone (--gateway {printable(gateway)})"
        )
    return lines
