"""`gateway dlq show`: one letter, with its event."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from ..dlq.store import DeadLetters
from ..headers import lines as header_lines
from ..jetstream.oneshot import OneShot
from ..routing.redrive import Letter, letter_of, original_block
from .asking import ended, notice, settings
from .dlq_options import SEQUENCE, looking, reaching
from .dlq_words import document, instant, printable, trace_id
from .exits import FINDINGS
from .options import json_option
from .words import count

_EXCERPT = 1024
"""Bytes shown of a body that is no text."""


@click.command()
@reaching
@click.option("--raw", is_flag=True, help="Write the event's bytes to stdout, and nothing else.")
@json_option
@click.argument("sequence", type=SEQUENCE, metavar="SEQ")
def show(config: str, stream: str | None, patience: float, raw: bool, as_json: bool, sequence: int) -> None:
    """Show one dead letter: what failed, where, and the event with its headers.

    SEQ is its sequence in the dead-letter stream, as `gateway dlq list` prints it. This is the one command that prints
    what is in an event.

    Exit codes: 0 shown, 1 there is no such letter, 2 wrong usage, 69 no connection within --timeout, 75 the
    connection was closed for good, 78 the config cannot be used.
    """
    loaded, _ = settings(config)

    async def read(streams: list[DeadLetters], link: OneShot) -> list[Letter]:
        messages = [await letters.message(sequence) for letters in streams]
        found = [letter_of(message) for message in messages if message is not None]
        return [letter for letter in found if letter is not None]

    letters = ended(looking(loaded, stream, (), patience, read))
    if len(letters) > 1:
        notice(f"several streams have a letter {sequence}: --stream {' or '.join(one.stream for one in letters)}")
        sys.exit(FINDINGS)
    if not letters:
        notice(f"there is no dead letter {sequence}")
        sys.exit(FINDINGS)
    if raw:
        sys.stdout.buffer.write(letters[0].data)
        sys.stdout.buffer.flush()
    elif as_json:
        click.echo(json.dumps(_document(letters[0]), indent=2))
    else:
        click.echo("\n".join(_lines(letters[0])))


def _headers(letter: Letter) -> list[tuple[str, str]]:
    """Name and value of the event's own headers, repeated ones and all."""
    pairs = (line.decode("utf-8", "replace").partition(":") for line in header_lines(original_block(letter)))
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _document(letter: Letter) -> dict[str, Any]:
    kind, body = _body(letter.data)
    return {**document(letter), "headers": _headers(letter), "size": len(letter.data), "body": {kind: body}}


def _body(data: bytes) -> tuple[str, Any]:
    """A body as whoever reads it wants it: parsed, else text, else its first bytes."""
    try:
        return "json", json.loads(data)
    except (ValueError, RecursionError):
        pass  # not JSON
    try:
        return "text", data.decode()
    except UnicodeDecodeError:
        return "hex", data[:_EXCERPT].hex()


def _lines(letter: Letter) -> list[str]:
    failed = f"{letter.code} in {letter.step or '?'}"
    tried = count(letter.attempts, "try", "tries") if letter.attempts else ""
    facts = [
        ("letter", f"{letter.place}, under {printable(letter.subject)}"),
        ("stored", instant(letter.stored_ns)),
        ("route", f"{letter.route} of the gateway {letter.gateway}, config {letter.config}"),
        ("failed", failed + (f" after {tried}" if tried else "")),
        ("because", letter.message),
        (
            "gave up",
            {"attempts": "all attempts were used", "max-age": "it was tried for max-age"}.get(letter.exhausted, ""),
        ),
        ("failed targets", ", ".join(letter.failed_targets)),
        ("event", f"{letter.source_stream}/{letter.source_sequence}, under {letter.source_subject}"),
        ("trace", trace_id(letter)),
        ("first seen", letter.first_seen),
        ("last seen", letter.last_seen),
        (
            "redriven",
            f"{count(letter.redrives, 'time')}, last from {letter.redriven_from or '?'}" if letter.redrives else "",
        ),
    ]
    lines = [f"{name + ':':16}{printable(text)}" for name, text in facts if text]
    if letter.omitted:
        lines.append("headers:        left out, they did not fit into a letter; redrive takes it only with --force")
    for name, value in _headers(letter):
        lines.append(f"header:         {printable(name)}: {printable(value)}")
    kind, body = _body(letter.data)
    lines.append(f"body:           {count(len(letter.data), 'byte')}{'' if kind != 'hex' else ', not text'}")
    if kind == "json":
        lines.append(json.dumps(body, indent=2, ensure_ascii=True))
    elif kind == "text":
        lines.append("\n".join(printable(line) for line in body.split("\n")))
    else:
        lines.append(body + ("" if len(letter.data) <= _EXCERPT else f"... ({_EXCERPT} bytes of it; --raw for all)"))
    return lines
