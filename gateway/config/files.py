"""Read a text file of a bounded size, or say in words why not."""

from __future__ import annotations

import codecs

MAX_BYTES = 16 * 1024 * 1024
"""Far above any config or secret; keeps a path like /dev/zero from eating the memory."""

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class UnreadableError(Exception):
    """A file that cannot be read as UTF-8 text: why, what to do, and where in it (line and column from 1)."""

    def __init__(self, text: str, hint: str = "", line: int = 1, column: int = 1) -> None:
        """Keep the reason as data; the caller knows the place that names the file."""
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.line = line
        self.column = column


def read_bytes(path: str) -> bytes:
    """The content of a file; raises UnreadableError."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except IsADirectoryError as error:
        raise UnreadableError("is a folder", "name a file") from error
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the path
        raise UnreadableError(f"cannot be read: {error}") from error
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"is larger than {MAX_BYTES // 1024 // 1024} MiB")
    return data


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of an offset into a text; \\n, \\r\\n and a lone \\r end a line."""
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def decode(data: bytes) -> str:
    """The text in a file's content, without a leading byte order mark; line ends stay as they are.

    Raises UnreadableError, whose text never repeats the content.
    """
    if data.startswith(_UTF_16):
        raise UnreadableError("is UTF-16 text, not UTF-8", "save the file as UTF-8")
    # A UTF-8 mark is legal YAML and what some editors write: taken, and not part of the first column.
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = position(data[: error.start].decode("utf-8"), error.start)
        raise UnreadableError("is not UTF-8 text", "save the file as UTF-8", line, column) from error
