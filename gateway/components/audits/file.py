"""The audit `file`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from ...chain.stored import Last, Torn, digest, line_of, read
from ...chain.writer import Chain
from ...errors import ConfigProblem, RouteFault
from ...event import AuditRecord
from ...plugin import Audit, Settings
from ...templates import ROUTE_NAMES, Template, check_subject, fixed_text
from ...values import Size
from .._config import within
from ._journal import Journal
from ._told import Told

SYNC_EVERY = 1.0
"""Seconds between two syncs with `fsync: interval`, at most."""
MAX_TORN = 16
"""Broken lines at the end of a file that a start record answers for; more than one means that starts crashed, too."""


class Rotate(Settings, frozen=True):
    """When to begin a new part, and how many older ones stay."""

    size: Size = Size(100 << 20)
    keep: int = 10


class FileAudit(Audit, name="file"):
    """Append a line of JSON per event to a file, as a hash chain that `gateway audit verify` proves whole.

    One writer per file: `path` takes the placeholders `{$gateway}`, `{$route}` and `{$stream}`, so that `defaults` can
    give each route its own. A part that would grow over `rotate.size` becomes `PATH.000001`, `.000002`, ...; the newest
    `rotate.keep` of them stay; only a record that is larger by itself makes a larger one. With `rotate: null` the file
    grows for ever. With `fsync: always` each batch is on the disk before its events are settled; with `interval` within
    a second, with `never` when the system likes: then a crash of the machine, though not of the gateway, can lose the
    last records. A full disk holds the route until there is room.
    """

    class Config(Settings, frozen=True):
        """Where to, and how safe."""

        path: Template
        rotate: Rotate | None = Rotate()
        fsync: Literal["always", "interval", "never"] = "always"

    blocking = True
    config: Config
    example: ClassVar[Any] = {"path": "/var/lib/gateway/audit-{$route}.jsonl", "rotate": {"size": "100MiB", "keep": 10}}

    def prepare(self) -> None:
        """Check path and rotation; raises ConfigProblem."""
        with within("path"):
            for placeholder in self.config.path.placeholders():
                check_subject(Template(f"{{{placeholder.path}}}"), ROUTE_NAMES)
            if not self.config.path.text or self.config.path.text.endswith("/"):
                raise ConfigProblem((), "names no file")
        rotate = self.config.rotate
        with within("rotate"):
            if rotate is not None and (rotate.size < 1 or rotate.keep < 1):
                raise ConfigProblem(("keep" if rotate.keep < 1 else "size",), "has to be at least 1")
        self._told = Told()
        self._chain: Chain | None = None
        self._journal: Journal | None = None
        self._timer: threading.Timer | None = None
        self._sync_error: OSError | None = None
        self._writing = threading.Lock()
        """Against the timer only: the gateway makes one call at a time."""

    def record(self, records: Sequence[AuditRecord]) -> None:
        """Append them; raises RouteFault when they are not all on the disk."""
        news = self._told.news(records)
        if not news:
            return
        with self._writing:
            try:
                if self._sync_error is not None:
                    raise self._sync_error
                self._append(self._open_chain(news[0]), news)
            except OSError as error:
                # What is on the disk now, nobody knows: the next call reads it, and begins a new chain behind it.
                self._let_go()
                text = f"{self.config.path}: {error.strerror or type(error).__name__}"
                raise RouteFault("audit-failed", text, "see to space and permissions") from error
        self._told.remember(news)

    def close(self) -> None:
        """Write the end record, and let go of the file."""
        with self._writing:
            try:
                if self._chain is not None and self._journal is not None and self._sync_error is None:
                    self._journal.append(self._chain.end().data + b"\n")
                    self._journal.sync()
            except OSError as error:
                self.context.log.warning(
                    "the audit chain has no end record: %s", error.strerror, extra={"event": "audit.no-end"}
                )
            finally:
                self._let_go()

    def _append(self, chain: Chain, news: Sequence[AuditRecord]) -> None:
        journal, rotate = self._journal, self.config.rotate
        assert journal is not None
        lines: list[bytes] = []
        size, first = journal.size, 0
        for index, record in enumerate(news):
            line = chain.seal(record).data + b"\n"
            if rotate is not None and size and size + len(line) > rotate.size:
                journal.append(b"".join(lines))
                journal.rotate()
                # They are on the disk: told again, after the rest has failed, they would fill it up.
                self._told.remember(news[first:index])
                lines, size, first = [], 0, index
            lines.append(line)
            size += len(line)
        journal.append(b"".join(lines))
        if self.config.fsync == "always":
            journal.sync()
        elif self.config.fsync == "interval" and self._timer is None:
            self._timer = threading.Timer(SYNC_EVERY, self._sync)
            self._timer.daemon = True
            self._timer.start()

    def _sync(self) -> None:
        """Called by the timer; the next call of `record` is told what went wrong."""
        with self._writing:
            self._timer = None
            try:
                if self._journal is not None:
                    self._journal.sync()
            except OSError as error:
                self._sync_error = error

    def _open_chain(self, record: AuditRecord) -> Chain:
        if self._chain is not None:
            return self._chain
        path = fixed_text(self.config.path, record.gateway, record.route, record.stream)
        journal = self._journal = Journal(path, self.config.rotate.keep if self.config.rotate else 1)
        follows, torn, unclosed = _end_of(journal)
        # A file has one writer, whatever it is called: each chain follows the one before it in the file.
        line = line_of(record.gateway, "", record.route, f"file {path}")
        chain = Chain(record.gateway, record.instance, record.route, f"file {path}", line=line)
        journal.append((b"\n" if unclosed else b"") + chain.start(follows, None, torn).data + b"\n")
        self._chain = chain
        return chain

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._journal is not None:
            self._journal.close()
        self._chain = self._journal = self._sync_error = None


def _end_of(journal: Journal) -> tuple[Last | None, list[Torn], bool]:
    """The newest record of a file, the broken lines after it, and whether its last line is to be closed first."""
    torn: list[Torn] = []
    unclosed = False
    for index, line in enumerate(journal.backwards()):
        if index == 0:
            unclosed = bool(line)
        stored = read(line) if line else None
        if stored is not None:
            return Last(stored.chain, stored.n, digest(line)), torn, unclosed
        if line and len(torn) < MAX_TORN:
            torn.append(Torn(len(line), digest(line)))
    return None, torn, unclosed
