"""The contestants: each a process of its own that drains one durable."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.jetstream.server import free_port, tied_to_us

from . import work
from .bed import Source

LANES = ("naive", "pipelined", "gateway")
_ROOT = Path(__file__).parents[1]
_PATIENCE = 20.0
"""Seconds a lane may take to get ready."""


class Lane:
    """A lane's process: `async with Lane(...)` comes back when it waits for events, and ends it afterwards."""

    def __init__(self, name: str, url: str, source: Source, folder: Path, audits: Sequence[Any] = ()) -> None:
        self._log = folder / f"{source.durable}.log"
        self._http = ""
        if name == "gateway":
            listen = f"127.0.0.1:{free_port()}"
            self._http = f"http://{listen}/readyz"
            file = folder / f"{source.durable}.yaml"
            # JSON is YAML.
            config = work.config(url, listen, source.stream, source.subject, source.durable, audits)
            file.write_text(json.dumps(config))
            self._arguments = ["gateway", "run", "-c", str(file)]
        else:
            self._arguments = ["benchmarks.loops", name, url, source.stream, source.durable]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    async def __aenter__(self) -> Lane:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220  # nothing else runs meanwhile
                tied_to_us([sys.executable, "-m", *self._arguments]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(_ROOT)},
            )
        try:
            async with asyncio.timeout(_PATIENCE):
                while not await asyncio.to_thread(self._ready):  # noqa: ASYNC110  # a process sets no event
                    await asyncio.sleep(0.02)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._process is not None
        self._process.kill()
        await asyncio.to_thread(self._process.wait)

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the lane ended while starting; it said:\n{self._log.read_text()}")
        if not self._http:
            return self._log.read_text().startswith("ready")
        try:
            with urllib.request.urlopen(self._http, timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
