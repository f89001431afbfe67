"""`MISSING`: the value of what is not there, which is not the same as null."""

from __future__ import annotations

from typing import Final, Literal


class Missing:
    """The type of `MISSING`, its only instance; it is false, so `if event.get(path):` reads well."""

    __slots__ = ()

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        """Copies and pickles stay the one instance."""
        return "MISSING"


MISSING: Final = Missing()
