"""What many routes cost: until the gateway is ready, while it is idle, when it is scraped, when a target stands."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from gateway.jetstream.server import free_port, tied_to_us

from . import process, work
from .bed import Bed
from .table import table

ROUTES = 50
MANY = 200
"""Routes for the scrape."""
_POLL = 0.005


@dataclass(frozen=True)
class Figures:
    """Seconds, cores and MiB; limits are in `LIMITS`."""

    ready: float
    """From the start of the process to /readyz saying 200 with every route up; the durables were there already."""
    idle_cores: float
    idle_mib: float
    scrape: float
    """The slowest of ten scrapes, with MANY routes."""
    stall: float
    """The latest /healthz answer during those scrapes, above its usual time."""
    stalled_mib: float
    """Memory gained while a target takes nothing and its route's backlog is many windows long."""


LIMITS = {"ready": 1.0, "idle_cores": 0.01, "idle_mib": 80.0, "scrape": 0.1, "stall": 0.02, "stalled_mib": 64.0}


class _Gateway:
    """`gateway run` as a process, on a config made here."""

    def __init__(self, folder: Path, server: str, routes: list[dict[str, Any]]) -> None:
        self._url = f"http://127.0.0.1:{free_port()}"
        self._config = folder / f"gateway-{len(routes)}.yaml"
        config = {
            "nats": {"servers": [server]},
            "http": {"listen": self._url.removeprefix("http://")},
            "log": {"level": "error"},
            "routes": routes,
        }
        self._config.write_text(yaml.safe_dump(config))
        self._session = aiohttp.ClientSession()
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> float:
        """Start; returns the seconds until every route is up."""
        command = tied_to_us([sys.executable, "-m", "gateway", "run", "-c", str(self._config)])
        begun = time.perf_counter()
        self._process = subprocess.Popen(command, env={**os.environ, "PYTHONUNBUFFERED": "1"})  # noqa: ASYNC220
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
        assert self._process is not None
        return self._process.pid

    async def stop(self) -> None:
        await self._session.close()
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait)


async def measure(bed: Bed, idle: float) -> Figures:
    """`idle` seconds are looked at while nothing happens."""
    await _streams(bed)
    ready, cores, mib = await _idle(bed, idle)
    scrape, stall = await _scrapes(bed)
    return Figures(ready, cores, mib, scrape, stall, await _stalled(bed))


async def _streams(bed: Bed) -> None:
    await bed.api("STREAM.CREATE.MANY", {"name": "MANY", "subjects": ["many.>"], "storage": "file"})
    await bed.api("STREAM.CREATE.TO", {"name": "TO", "subjects": ["to.>"], "storage": "file"})
    full = {"name": "FULL", "subjects": ["full.>"], "storage": "file", "discard": "new", "max_msgs": 1}
    await bed.api("STREAM.CREATE.FULL", full)
    await bed.client.jetstream().publish("full.up", b"")


def _routes(count: int) -> list[dict[str, Any]]:
    return [
        {
            "name": f"route-{n}",
            "source": {"stream": "MANY", "subjects": [f"many.{n}.>"]},
            "codec": "eventbridge",
            "filters": [{"pattern": {"detail-type": ["OrderCreated"]}}],
            "transforms": [{"remove": ["detail.secret"]}],
            "targets": [{"name": "to", "subject": f"to.{n}", "stream": "TO"}],
        }
        for n in range(count)
    ]


async def _idle(bed: Bed, seconds: float) -> tuple[float, float, float]:
    times = []
    for _ in range(3):  # the first start makes the durables
        gateway = _Gateway(bed.folder, bed.server.url, _routes(ROUTES))
        times.append(await gateway.start())
        if len(times) < 3:
            await gateway.stop()
    try:
        await asyncio.sleep(1.0)  # the first look at the backlogs
        before = process.cpu_seconds(gateway.pid)
        await asyncio.sleep(seconds)
        return min(times[1:]), (process.cpu_seconds(gateway.pid) - before) / seconds, process.peak_mib(gateway.pid)
    finally:
        await gateway.stop()


async def _scrapes(bed: Bed) -> tuple[float, float]:
    gateway = _Gateway(bed.folder, bed.server.url, _routes(MANY))
    await gateway.start()
    try:
        usual = sorted([await gateway.timed("/healthz") for _ in range(50)])[25]
        times, late = [], 0.0
        for _ in range(10):
            scrape = asyncio.create_task(gateway.timed("/metrics"))
            while not scrape.done():
                late = max(late, await gateway.timed("/healthz") - usual)
            times.append(await scrape)
        return max(times), late
    finally:
        await gateway.stop()


async def _stalled(bed: Bed) -> float:
    """A backlog of 200 MB before a target that is full."""
    body = work.event(1, 10_000)
    route = {
        "name": "stalled",
        "source": {"stream": "MANY", "subjects": ["many.stalled"]},
        "targets": [{"subject": "full.up", "stream": "FULL"}],
    }
    gateway = _Gateway(bed.folder, bed.server.url, [route])
    await gateway.start()
    try:
        before = process.peak_mib(gateway.pid)
        for n in range(20_000):
            await bed.client.publish("many.stalled", body)
            if n % 500 == 499:
                await bed.client.flush()
        await asyncio.sleep(10.0)
        return process.peak_mib(gateway.pid) - before
    finally:
        await gateway.stop()


def report(found: Figures) -> str:
    """A row a figure."""
    words = {
        "ready": (f"start to ready, {ROUTES} routes", "{:.2f} s"),
        "idle_cores": (f"idle, {ROUTES} routes: cores", "{:.4f}"),
        "idle_mib": (f"idle, {ROUTES} routes: peak memory", "{:.0f} MiB"),
        "scrape": (f"a scrape, {MANY} routes, slowest of 10", "{:.3f} s"),
        "stall": ("how late /healthz is meanwhile", "{:.3f} s"),
        "stalled_mib": ("memory gained before a full target", "{:.0f} MiB"),
    }
    values = asdict(found)
    rows = [[text, form.format(values[key]), form.format(LIMITS[key])] for key, (text, form) in words.items()]
    return table(["resources", "measured", "limit"], rows)


def plain(found: Figures) -> dict[str, float]:
    """For machines."""
    return asdict(found)
