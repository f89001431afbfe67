"""Reads audit files for verification: the older parts first, while somebody may be writing and rotating them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from .chain.files import part_name, parts, whole_name
from .chain.report import Place

MAX_LINE = 1 << 20
"""Bytes of a line; the writer's records are far smaller, and what is no audit file may have no line end at all."""


class AuditFiles:
    """One audit file with its older parts. `explains` is right once `lines` has begun."""

    def __init__(self, path: str) -> None:
        """`path` is the file, or any of its parts; raises OSError when nothing is there."""
        self.path = whole_name(path)
        folder, name = os.path.split(os.path.abspath(self.path))
        self._present = None
        if os.path.exists(self.path):
            # Opened before the others are listed: a rotation meanwhile makes it one of them.
            self._present = open(self.path, "rb")  # noqa: SIM115 - `lines` closes it
        self.parts = parts(name, os.listdir(folder))
        if self._present is None and not self.parts:
            raise FileNotFoundError(2, "No such file or directory", self.path)
        self.unfinished: tuple[Place, int] | None = None
        """A last line without its end, and its bytes: a crash left it, or it is being written."""
        self._first: Place | None = None

    @property
    def cut(self) -> int:
        """How many parts rotation has deleted."""
        return self.parts[0] - 1 if self.parts else 0

    def explains(self, place: Place) -> bool:
        """Whether the record at `place` is the first one left after rotation deleted a part."""
        return self.cut > 0 and place == self._first

    def lines(self) -> Iterator[tuple[Place, bytes]]:
        """Every whole line with its place, without its line end."""
        inode = None if self._present is None else os.fstat(self._present.fileno()).st_ino
        for number in self.parts:
            name = part_name(self.path, number)
            if inode is None or os.stat(name).st_ino != inode:
                with open(name, "rb") as file:
                    yield from self._of(file, name)
        if self._present is not None:
            with self._present as file:
                yield from self._of(file, self.path)

    def _of(self, file: Iterator[bytes], name: str) -> Iterator[tuple[Place, bytes]]:
        self.unfinished = None
        number = 0
        while line := file.readline(MAX_LINE):  # type: ignore[attr-defined]
            number += 1
            place = Place(name, number)
            self._first = self._first or place
            if line.endswith(b"\n"):
                yield place, line[:-1]
            elif len(line) < MAX_LINE:
                self.unfinished = place, len(line)
            else:
                yield place, line
