"""What a config was read from: files with what they held, globs with what they matched; and what of it has changed.

Content decides, not times: a file that was touched, or written anew as it was, has not changed.
"""

from __future__ import annotations

import glob
import hashlib
import os
import time

from .files import UnreadableError, decode, read_bytes

YOUNG = 2_000_000_000
"""Nanoseconds since a file was written within which the next write may leave size and times as they are."""

_Stat = tuple[int, int, int, int, int]


class Reads:
    """Notes what is read while a config is loaded. Of contents, which may be secrets, digests are kept."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        """Digest of each file's content, or why it could not be read."""
        self.globs: dict[tuple[str, str], list[str]] = {}
        """What each pattern in a folder matched, sorted."""

    def read_text(self, path: str) -> str:
        """The text of a file; raises UnreadableError, and notes that too: the file may come."""
        try:
            data = read_bytes(path)
        except UnreadableError as error:
            self.files[path] = error.text
            raise
        # Of a file that is read twice and changed in between, what came first counts: it is not what there is now.
        self.files.setdefault(path, _digest(data))
        return decode(data)

    def note(self, path: str) -> None:
        """Take in a file that somebody else reads."""
        self.files[path] = _held(path)

    def matches(self, folder: str, pattern: str) -> list[str]:
        """The files a glob matches, relative to the folder, sorted."""
        self.globs[folder, pattern] = found = _matches(folder, pattern)
        return found


class Look:
    """Looks at what was read again and again. A file whose stat is the same is not opened."""

    def __init__(self, reads: Reads) -> None:
        self.reads = reads
        self._known: dict[str, tuple[_Stat, str]] = {}

    def changes(self) -> dict[str, str]:
        """What is not as it was read: each path, and a mark of how it is now."""
        found = {}
        for path, before in self.reads.files.items():
            now = self._mark(path)
            if now != before:
                found[path] = now
        for (folder, pattern), names in self.reads.globs.items():
            for name in set(names).symmetric_difference(_matches(folder, pattern)):
                path = os.path.join(folder, name)
                found[path] = self._mark(path)
        return found

    def _mark(self, path: str) -> str:
        try:
            of = os.stat(path)
        except (OSError, ValueError):
            return _held(path)
        stat = (of.st_dev, of.st_ino, of.st_size, of.st_mtime_ns, of.st_ctime_ns)
        known = self._known.get(path)
        if known is not None and known[0] == stat:
            return known[1]
        mark = _held(path)
        if time.time_ns() - max(of.st_mtime_ns, of.st_ctime_ns) > YOUNG:
            self._known[path] = (stat, mark)
        return mark


def _held(path: str) -> str:
    try:
        return _digest(read_bytes(path))
    except UnreadableError as error:
        return error.text


def _matches(folder: str, pattern: str) -> list[str]:
    try:
        # root_dir, so that a * in the name of the folder is no pattern.
        return sorted(glob.glob(pattern, root_dir=folder or ".", recursive=True)) if pattern else []
    except ValueError:  # a NUL in the pattern
        return []


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
