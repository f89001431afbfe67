"""The names of an audit file and its older parts: `audit.jsonl.000001` is the oldest, `audit.jsonl` the present one."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PART = re.compile(r"\.(\d{6,})")


def part_name(name: str, number: int) -> str:
    """The name of an older part."""
    return f"{name}.{number:06}"


def parts(name: str, names: Iterable[str]) -> list[int]:
    """The numbers of the older parts of `name` among the names of its folder, the oldest first."""
    found = (_PART.fullmatch(other, len(name)) for other in names if other.startswith(name))
    return sorted(int(match[1]) for match in found if match)


def whole_name(name: str) -> str:
    """The name of the present part, given that of any part."""
    return re.sub(r"\.\d{6,}$", "", name)
