"""`gateway run` as a process of its own, on a config made here."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from gateway.jetstream.server import free_port, tied_to_us

_POLL = 0.005


class Daemon:
    """One gateway. Its compiled modules are kept in `folder`, as an installed one has them."""

    def __init__(self, folder: Path, server: str, routes: list[dict[str, Any]], *, plugins: bool = False) -> None:
        """With `plugins`, whatever is installed is loaded; no route needs any."""
        self._url = f"http://127.0.0.1:{free_port()}"
        self._config = folder / f"gateway-{len(routes)}.yaml"
        config: dict[str, Any] = {
            "nats": {"servers": [server]},
            "http": {"listen": self._url.removeprefix("http://")},
            "log": {"level": "error"},
            "routes": routes,
        }
        if not plugins:
            config["plugins"] = {"only": []}
        self._config.write_text(yaml.safe_dump(config))
        self._environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._session = aiohttp.ClientSession()
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> float:
        """Start; returns the seconds until every route is up."""
        command = tied_to_us([sys.executable, "-m", "gateway", "run", "-c", str(self._config)])
        begun = time.perf_counter()
        self._process = subprocess.Popen(command, env=self._environment)  # noqa: ASYNC220 - the clock runs
        while await self.get("/readyz?strict=1") != 200:
            if self._process.poll() is not None:
                raise RuntimeError(f"the gateway ended with {self._process.returncode}")
            await asyncio.sleep(_POLL)
        return time.perf_counter() - begun

    async def get(self, path: str) -> int:
        """The status; 0 while nobody answers."""
        try:
            async with self._session.get(self._url + path) as answer:
                await answer.read()
                return answer.status
        except aiohttp.ClientError:
            return 0

    async def timed(self, path: str) -> float:
        """Seconds one GET takes."""
        begun = time.perf_counter()
        if await self.get(path) != 200:
            raise RuntimeError(f"{path} does not answer")
        return time.perf_counter() - begun

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    async def stop(self) -> None:
        """Drain and end it."""
        await self._session.close()
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait)
