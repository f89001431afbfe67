"""Numbers and tables as commands print them."""

from __future__ import annotations

from collections.abc import Sequence


def count(number: int, one: str = "letter", many: str = "") -> str:
    """`1 letter`, `2,000 letters`; `many` is what is no plain `one` with an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def table(rows: Sequence[Sequence[str]], head: Sequence[str], numbers: int = 0) -> list[str]:
    """Rows in columns: words to the left, the last so many to the right, for they are numbers."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    words = len(head) - numbers
    return [
        "  ".join(
            cell.ljust(width) if column < words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]
