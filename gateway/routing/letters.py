"""Dead letters: the original bytes and headers, and beside them what went wrong, where, and how often it was tried."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

from ..event import Delivery
from ..headers import END, MAX_BLOCK, VERSION, header_line, lines, name_of
from .outputs import Copy
from .redrive import SEPARATOR
from .route import CompiledRoute, MessageIds
from .run import one_line
from .traces import letter_line


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why an event goes to the dead letters."""

    step: str
    code: str
    message: str
    exhausted: str = ""
    """`attempts` or `max-age` when the retry policy gave up."""
    failed_targets: tuple[str, ...] = ()


OMITTED = b"\r\nGateway-Omitted: headers\r\n"
"""How the header block of a letter without its original headers ends."""


_WHOLE = ("Gateway-Source-Subject", "Gateway-Failed-Targets")
"""Headers that are not cut."""
MAX_NAMES = 4096
"""Bytes of the names of failed targets."""

_LETTER = re.compile(rb"\r\n(?:gateway-original-)*gateway-error-code[ \t]*:", re.IGNORECASE)


def comes_back(route: CompiledRoute, delivery: Delivery) -> bool:
    """Whether the event is a dead letter, and one more of it would be read and fail again, without end.

    Either the route reads its own, or routes have sent each other this one as often as gateways may an event.
    """
    depth = len(_LETTER.findall(delivery.header_block)) if delivery.header_block else 0
    return depth > 0 and (route.reads_letters or depth >= route.max_hops)


def written_name(target: str) -> str:
    """A target's name as letters have it."""
    return one_line(target).replace(SEPARATOR, ",")


def names_of(targets: tuple[str, ...]) -> str:
    """Failed targets as a letter has them: all of them, or none, which means all targets there are.

    A list that was cut would have those behind the cut taken for good ones when only failed targets are sent to again.
    """
    text = SEPARATOR.join(map(written_name, targets))
    return text if len(text) <= MAX_NAMES else ""


def dead_letter(
    route: CompiledRoute,
    ids: MessageIds,
    delivery: Delivery,
    fault: Fault,
    attempts: int,
    now: float,
    max_payload: int,
    *,
    bare: bool = False,
) -> Copy:
    """The letter of one event. One that does not fit, or is to be `bare`, goes without its original headers; one that
    does not fit even then comes back refused as `too-large`.
    """
    message_id = ids.dead_letter(delivery.sequence)
    own = _own_headers(route, delivery, message_id, fault, attempts, now)
    own.append(letter_line(route, ids, delivery, message_id))
    original = [_original(line) for line in lines(delivery.header_block)]
    block = b"".join((VERSION, *own, *original, b"\r\n"))
    letter = None if route.redrive is None else route.redrive.letters[delivery.sequence]
    # One that lost its headers before has none to lose now, and its next letter must say so as well.
    if (
        bare
        or (letter is not None and letter.omitted)
        or len(block) + len(delivery.data) > max_payload
        or len(block) > MAX_BLOCK
    ):
        block = b"".join((VERSION, *own)).removesuffix(END) + OMITTED + END
    copy = Copy(None, route.dead_letter, block, delivery.data, message_id)
    if copy.size > max_payload:
        copy.refuse("too-large", f"{copy.size} bytes with the gateway's headers, the server takes {max_payload}")
    return copy


def _own_headers(
    route: CompiledRoute, delivery: Delivery, message_id: str, fault: Fault, attempts: int, now: float
) -> list[bytes]:
    origin = route.origin
    redrive = route.redrive
    values = {
        "Nats-Msg-Id": message_id,
        "Gateway-Name": origin.gateway,
        "Gateway-Route": origin.route,
        "Gateway-Error-Code": fault.code,
        "Gateway-Error-Step": fault.step,
        "Gateway-Error-Message": one_line(fault.message),
        "Gateway-Attempts": str(attempts),
        "Gateway-Exhausted": fault.exhausted,
        "Gateway-Failed-Targets": names_of(fault.failed_targets),
        "Gateway-Source-Stream": origin.stream if redrive is None else redrive.letters[delivery.sequence].source_stream,
        "Gateway-Source-Sequence": str(delivery.sequence),
        "Gateway-Source-Subject": delivery.subject,
        "Gateway-First-Seen": _instant(delivery.stored_ns / 1e9),
        "Gateway-Last-Seen": _instant(now),
        "Gateway-Config": route.config_digest,
        **({} if redrive is None else redrive.marks(delivery.sequence)),
    }
    return [header_line(name, value if name in _WHOLE else one_line(value)) for name, value in values.items() if value]


def _original(line: bytes) -> bytes:
    """A header as it came; one that the server or the gateway would obey is kept under another name."""
    if name_of(line).startswith((b"nats-", b"gateway-")):
        return b"Gateway-Original-" + line.lstrip() + b"\r\n"
    return line + b"\r\n"


def _instant(seconds: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
