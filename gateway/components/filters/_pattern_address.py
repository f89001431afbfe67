"""IP addresses as text, and the `cidr` test."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv6Address

_V6_TEXT = re.compile(r"[0-9a-fA-F:]{2,45}")
_MASK = re.compile(r"[0-9]{1,3}")


def cidr_test(block: str) -> Callable[[str], bool]:
    """A test for addresses of one family inside `block`, written `10.0.0.0/8` or `2001:db8::/32`.

    Bits of the address beyond the mask are ignored; what is not an address is outside. Raises ValueError, whose text
    ends a sentence that begins with the block.
    """
    address, slash, mask = block.partition("/")
    if not slash:
        raise ValueError("has no mask")
    for read, width, family in ((_v4, 32, "IPv4"), (_v6, 128, "IPv6")):
        base = read(address)
        if base is not None:
            if not _MASK.fullmatch(mask) or int(mask) > width:
                raise ValueError(f"has a mask that is not a number from 0 to {width}, as {family} needs")
            return _block(read, base, width - int(mask))
    raise ValueError("has no IPv4 or IPv6 address before the mask")


def _block(read: Callable[[str], int | None], base: int, free_bits: int) -> Callable[[str], bool]:
    network = base >> free_bits

    def inside(text: str) -> bool:
        found = read(text)
        return found is not None and found >> free_bits == network

    return inside


def _v4(text: str) -> int | None:
    """The address as a number. Zeros in front of a part are skipped, never octal: event-ruler reads `010` as 10."""
    if len(text) > 15 or not text.isascii():
        return None
    parts = text.split(".")
    if len(parts) != 4:
        return None
    value = 0
    for part in parts:
        if not part.isdigit() or int(part) > 255:
            return None
        value = value << 8 | int(part)
    return value


def _v6(text: str) -> int | None:
    """The address as a number. A dotted end (`::ffff:10.0.0.1`) or a zone (`fe80::1%eth0`) is not accepted."""
    if not _V6_TEXT.fullmatch(text):
        return None
    try:
        return int(IPv6Address(text))
    except ValueError:
        return None
