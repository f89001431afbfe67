"""Dead letters read back: what a letter says, the event that is in it, and what sending it again adds.

The other half of `letters`: what that writes, this reads, to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from ..delivery import Delivery
from ..headers import Headers, block_of, lines, name_of
from ..records import StoredMessage
from ..trace import span_of_message

MARK = "Gateway-Redrive"
"""The letter an event was redriven from: `<stream>/<sequence>`. On its copies, and on its next letter."""
COUNT = "Gateway-Redrives"
"""How often the event has been redriven."""
SEPARATOR = ", "
"""What stands between the names of failed targets."""

_ORIGINAL = b"gateway-original-"
_ORIGINAL_COUNT = f"gateway-original-{COUNT}".lower()
_NEEDED = ("gateway-name", "gateway-route", "gateway-error-code", "gateway-source-stream", "gateway-source-subject")
_SEQUENCE = re.compile("[0-9]{1,19}")


class Letter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One dead letter, as its stream holds it."""

    stream: str
    sequence: int
    subject: str
    stored_ns: int
    """When the dead-letter stream stored it, ns since the epoch."""
    header_block: bytes
    data: bytes
    gateway: str
    route: str
    code: str
    step: str
    message: str
    attempts: int
    exhausted: str
    failed_targets: tuple[str, ...]
    source_stream: str
    source_sequence: int
    source_subject: str
    first_seen: str
    last_seen: str
    config: str
    omitted: bool
    """Whether it is without its original headers, which did not fit."""
    redrives: int
    """How often its event has been redriven before."""
    redriven_from: str
    """The letter before this one, `<stream>/<sequence>`; empty for the first."""

    @property
    def place(self) -> str:
        """Where it is: `DLQ/17`."""
        return f"{self.stream}/{self.sequence}"


def letter_of(message: StoredMessage) -> Letter | None:
    """The letter a stream holds; None for what is no letter of a gateway."""
    own = dict(_own(message.header_block))
    sequence = own.get("gateway-source-sequence", "")
    if not all(own.get(name) for name in _NEEDED) or _SEQUENCE.fullmatch(sequence) is None:
        return None
    names = own.get("gateway-failed-targets", "")
    return Letter(
        stream=message.stream,
        sequence=message.sequence,
        subject=message.subject,
        stored_ns=message.stored_ns,
        header_block=message.header_block,
        data=message.data,
        gateway=own["gateway-name"],
        route=own["gateway-route"],
        code=own["gateway-error-code"],
        step=own.get("gateway-error-step", ""),
        message=own.get("gateway-error-message", ""),
        attempts=_number(own.get("gateway-attempts", "")),
        exhausted=own.get("gateway-exhausted", ""),
        failed_targets=tuple(names.split(SEPARATOR)) if names else (),
        source_stream=own["gateway-source-stream"],
        source_sequence=int(sequence),
        source_subject=own["gateway-source-subject"],
        first_seen=own.get("gateway-first-seen", ""),
        last_seen=own.get("gateway-last-seen", ""),
        config=own.get("gateway-config", ""),
        omitted=own.get("gateway-omitted", "") == "headers",
        redrives=max(_number(own.get(COUNT.lower(), "")), _number(own.get(_ORIGINAL_COUNT, ""))),
        redriven_from=own.get(MARK.lower(), ""),
    )


def _own(block: bytes) -> Iterable[tuple[str, str]]:
    """The gateway's headers of a letter, and how often its original had been redriven; names lower case."""
    for line in lines(block):
        name = name_of(line)
        if name.startswith(b"gateway-"):
            text = name.decode("utf-8", "surrogateescape")
            if not name.startswith(_ORIGINAL) or text == _ORIGINAL_COUNT:
                yield text, line.partition(b":")[2].decode("utf-8", "surrogateescape").strip()


def _number(text: str) -> int:
    """A count in a header; anybody can write one, so that a long one is as good as any."""
    return int(text) if text.isdigit() and text.isascii() and len(text) <= 9 else 0


def original_block(letter: Letter) -> bytes:
    """The header block of the event as its source held it, byte for byte; `b""` for one without headers."""
    kept = []
    for line in lines(letter.header_block):
        name = name_of(line)
        if name.startswith(_ORIGINAL):
            kept.append(line[len(_ORIGINAL) :] + b"\r\n")
        elif not name.startswith((b"gateway-", b"nats-")):
            kept.append(line + b"\r\n")
    return block_of(kept)


def original_headers(letter: Letter) -> Headers:
    """The headers of the event as its source held it."""
    return Headers.parse(original_block(letter))


def delivery_of(letter: Letter) -> Delivery:
    """The event as its source first handed it over; the token that settles it is its letter's sequence."""
    return Delivery(
        letter.source_subject,
        original_block(letter),
        letter.data,
        str(letter.source_sequence),
        letter.source_sequence,
        1,
        _nanoseconds(letter.first_seen) or letter.stored_ns,
    )


def _nanoseconds(instant: str) -> int:
    """RFC 3339 as ns since the epoch; 0 for what is none, or is in no year of UTC."""
    try:
        moment = datetime.fromisoformat(instant)
        return 0 if moment.tzinfo is None else round(moment.astimezone(UTC).timestamp() * 1000) * 1_000_000
    except (ValueError, OverflowError):
        return 0


class Redrive:
    """What a route that sends dead letters again knows of them. The runtime knows events by their source's sequence;
    here is whose letter each of them is.
    """

    __slots__ = ("_written", "created", "letters", "stream")

    def __init__(self, stream: str, created: str, written: Mapping[str, str] | None = None) -> None:
        """`created` is the dead-letter stream's creation time, as the server writes it. With `written`, the names of
        the targets as letters write them, only the targets a letter names as failed are sent to.
        """
        self.stream = stream
        self.created = created
        self._written = written
        self.letters: dict[int, Letter] = {}
        """The letters in flight, by their events' source sequence: one each, for the lane knows no more."""

    def marks(self, sequence: int) -> dict[str, str]:
        """The headers that tell a redriven event."""
        letter = self.letters[sequence]
        return {MARK: letter.place, COUNT: str(letter.redrives + 1)}

    def wants(self, target: str, sequence: int) -> bool:
        """Whether a target is sent the event: its letter names it, or none, since its event never came to be sent."""
        if self._written is None:
            return True
        failed = self.letters[sequence].failed_targets
        return not failed or self._written[target] in failed

    def record_id(self, sequence: int) -> str:
        """What its audit record's id ends in."""
        return f"/{self.stream}/{self.created}/{self.letters[sequence].sequence}"

    def span(self, sequence: int) -> str:
        """The span in which the letter was published: what became of the event then leads to what becomes of it now."""
        message_id = Headers.parse(self.letters[sequence].header_block).get("Nats-Msg-Id", "")
        return span_of_message(message_id) if message_id else ""
