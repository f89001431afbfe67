"""An append-only file of lines that rotates: the mechanics under the audit `file`. Blocking; one thread at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator

from ...chain.files import part_name, parts
from ...errors import RouteFault

_BLOCK = 64 << 10
_MODE = 0o640


class Journal:
    """One file with its older parts, locked for this writer alone."""

    def __init__(self, path: str, keep: int) -> None:
        """Open it, or make it; raises OSError, and RouteFault when somebody else writes it."""
        self.path = path
        self._keep = keep
        self._folder, self._name = os.path.split(os.path.abspath(path))
        self._fd = -1
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            try:
                # Beside the file, not on it: the file gets another inode with every rotation.
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = f"{path} is being written by another process or route"
                raise RouteFault("audit-failed", text, "give each its own file: {$route} may stand in path") from None
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
        self.size = os.fstat(self._fd).st_size
        """Bytes in the present part that are known to be good."""
        self._sync_folder()

    def append(self, data: bytes) -> None:
        """Write all of it, or leave the file as it was; raises OSError."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        self.size += len(data)

    def sync(self) -> None:
        """Have the disk keep what was written; raises OSError."""
        os.fdatasync(self._fd)

    def rotate(self) -> None:
        """Begin a new part, and delete the oldest ones over the number kept; raises OSError."""
        self.sync()
        numbers = parts(self._name, os.listdir(self._folder))
        number = numbers[-1] + 1 if numbers else 1
        os.rename(self.path, part_name(self.path, number))
        os.close(self._fd)
        self._fd = -1
        self._open()
        numbers.append(number)
        for old in numbers[: -self._keep]:
            os.unlink(part_name(self.path, old))

    def backwards(self) -> Iterator[bytes]:
        """The lines from the end, older parts too, without their line ends; the first one is what no line end closes
        (b"" in good order).
        """
        numbers = parts(self._name, os.listdir(self._folder))
        yield from _lines_backwards(self.path)
        for number in reversed(numbers):
            lines = _lines_backwards(part_name(self.path, number))
            next(lines)  # a part was whole when it was rotated
            yield from lines

    def close(self) -> None:
        """Let go of the file and its lock."""
        for fd in (self._fd, self._lock):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock = -1

    def _sync_folder(self) -> None:
        """A new name is safe only when its folder is."""
        fd = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _lines_backwards(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        position = file.seek(0, os.SEEK_END)
        rest: list[bytes] = []
        """Blocks of the line that is being collected, the last one first."""
        while position > 0:
            start = max(0, position - _BLOCK)
            file.seek(start)
            block = file.read(position - start)
            position = start
            pieces = block.split(b"\n")
            for piece in reversed(pieces[1:]):
                yield b"".join((piece, *reversed(rest)))
                rest = []
            rest.append(pieces[0])
        yield b"".join(reversed(rest))
