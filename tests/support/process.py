"""The gateway as users run it: a process of its own, with a config file and an HTTP port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import yaml

from gateway.jetstream.server import tied_to_us

from .eventually import eventually

ROOT = Path(__file__).parents[2]
START = 60.0
"""Seconds a start may take: a busy machine starts several at once."""


class GatewayProcess:
    """`python -m gateway run -c FILE` with its output in files, so that it never blocks on us."""

    def __init__(
        self,
        config: Path,
        folder: Path,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        program: Sequence[str] = (sys.executable, "-m", "gateway"),
    ) -> None:
        """Prepare; nothing runs yet. `folder` takes the logs, `env` is added to our own.

        `program` is the command `gateway`; without, it is the source tree's.
        """
        self._program = list(program)
        self.config = config
        self._args = list(args)
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), **(env or {})}
        self._out, self._err = folder / "gateway.out", folder / "gateway.err"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def http_url(self) -> str:
        """Where it answers, as its config says; `${NAME}` there is its environment's."""
        listen = yaml.safe_load(self.config.read_text())["http"]["listen"]
        return f"http://{Template(listen).substitute(self._env)}"

    @property
    def started(self) -> bool:
        """Whether it was ever started."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running().pid

    @property
    def out(self) -> str:
        """What it wrote to stdout, of all its starts."""
        return self._out.read_text(errors="replace")

    @property
    def err(self) -> str:
        """What it wrote to stderr, of all its starts: the log."""
        return self._err.read_text(errors="replace")

    @property
    def logs(self) -> list[dict[str, Any]]:
        """The log's JSON lines; it writes JSON because no terminal is there. A kill may have left half of one."""
        found = []
        for line in self.err.splitlines():
            with contextlib.suppress(ValueError):
                found += [json.loads(line)] if line.startswith("{") else []
        return found

    def launch(self) -> None:
        """Start it and do not wait."""
        command = tied_to_us([*self._program, "run", "-c", str(self.config), *self._args])
        with self._out.open("ab") as out, self._err.open("ab") as err:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=self._env, process_group=0
            )

    async def start(self, timeout: float = START) -> None:
        """Start it and wait until /readyz says 200."""
        self.launch()
        await self.ready(timeout)

    async def ready(self, timeout: float = START) -> None:
        """Wait until /readyz says 200; fails at once, with the log, if the process ends before."""

        async def is_ready() -> bool:
            # Not an AssertionError: waiting longer would not bring it back.
            if self._running().poll() is not None:
                raise RuntimeError(f"the gateway ended with {self._running().returncode}; it said:\n{self.err}")
            status, _ = await self.get("/readyz")
            return status == 200

        try:
            await eventually(is_ready, timeout, "gateway ready", interval=0.02)
        except AssertionError as error:
            raise AssertionError(f"{error}\n/readyz: {await self.get('/readyz')}\n{self.err}") from None

    async def hears_signals(self) -> None:
        """Wait until it handles signals: before, its interpreter starts, and any signal ends that."""

        def starting() -> bool:
            # The last line may be half written.
            said = [line for line in self.err.splitlines() if line.endswith("}")]
            return any('"event":"gateway.starting"' in line and f'"pid":{self.pid}' in line for line in said)

        await eventually(starting, START, "a gateway that hears signals", interval=0.05)

    async def get(self, path: str, timeout: float = 15.0) -> tuple[int, str]:
        """One GET: status and body; status 0 while nobody answers."""
        return await asyncio.to_thread(_get, self.http_url + path, timeout)

    async def metric(self, sample: str) -> float:
        """One number of /metrics: `metric('nats_connected')`, `metric('route_up{route="r"}')`."""
        _, page = await self.get("/metrics")
        start = f"event_gateway_{sample} "
        found = [line for line in page.splitlines() if line.startswith(start)]
        assert len(found) == 1, f"{sample}: {len(found)} times in /metrics"
        return float(found[0].removeprefix(start))

    async def routes(self) -> dict[str, dict[str, Any]]:
        """The routes of /readyz by name."""
        _, body = await self.get("/readyz")
        return {route["name"]: route for route in json.loads(body)["routes"]} if body else {}

    def kill9(self) -> None:
        """End it as a crash would."""
        self._running().kill()
        self._running().wait()

    def term(self) -> None:
        """Ask it to drain and end."""
        self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send it any signal."""
        self._running().send_signal(number)

    async def wait(self, timeout: float = START) -> int:
        """Its exit code; negative is the signal that ended it."""
        return await asyncio.to_thread(self._running().wait, timeout)

    def shut_down(self) -> None:
        """End it, if it runs: for fixtures."""
        if self._process is not None and self._process.poll() is None:
            self.kill9()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the gateway was not started"
        return self._process


def _get(url: str, timeout: float) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""
