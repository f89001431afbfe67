"""What many routes cost: until the gateway is ready, while it is idle, when it is scraped, when a target stands."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from . import process, stalled
from .bed import Bed
from .daemon import Daemon
from .table import table

ROUTES = 50
MANY = 200
"""Routes for the scrape."""


class Limit(NamedTuple):
    """A figure as people read it, and the most it may be; `most` None: told for comparison only."""

    text: str
    form: str
    most: float | None


_STALLED = {
    "one_kib": "events of 1 KiB",
    "one_mib": "events of 1 MB",
    "shared": "50 routes with windows of 1 MiB",
    "away": "the server goes as well",
}

LIMITS = {
    "ready": Limit(f"start to ready, {ROUTES} routes", "{:.2f} s", 1.0),
    "ready_cpu": Limit("processor time of it", "{:.2f} s", None),
    "idle_cores": Limit(f"idle, {ROUTES} routes: cores", "{:.4f}", 0.01),
    "server_cores": Limit("the server's meanwhile", "{:.4f}", None),
    "wake_ups": Limit("wake-ups a second", "{:.0f}", None),
    "idle_mib": Limit(f"idle, {ROUTES} routes: peak memory", "{:.0f} MiB", 80.0),
    "plugins_mib": Limit("with every installed plugin", "{:.0f} MiB", 80.0),
    "many_mib": Limit(f"{MANY} routes: peak memory", "{:.0f} MiB", None),
    "scrape": Limit(f"a scrape, {MANY} routes, slowest of 10", "{:.3f} s", 0.1),
    "stall": Limit("how late /healthz is meanwhile", "{:.3f} s", 0.02),
    **{
        f"stalled_{case.name}": Limit(f"gained before a full target: {_STALLED[case.name]}", "{:.0f} MiB", case.bound)
        for case in stalled.CASES
    },
}
"""Every figure of this part."""

Figures = dict[str, float]
"""Seconds, cores and MiB, by the names in LIMITS."""


async def measure(bed: Bed, idle: float) -> Figures:
    """`idle` seconds are looked at while nothing happens."""
    await bed.api("STREAM.CREATE.MANY", {"name": "MANY", "subjects": ["many.>"], "storage": "file"})
    await bed.api("STREAM.CREATE.TO", {"name": "TO", "subjects": ["to.>"], "storage": "file"})
    found = await _few(bed, idle) | await _many(bed)
    return found | {f"stalled_{name}": mib for name, mib in (await stalled.measure(bed)).items()}


def routes(count: int) -> list[dict[str, Any]]:
    """Routes as an operator has them: one stream, and each something of its own."""
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


async def _few(bed: Bed, seconds: float) -> Figures:
    times, used = [], []
    for _ in range(5):  # the first start makes the durables, and compiles
        gateway = Daemon(bed.folder, bed.server.url, routes(ROUTES))
        times.append(await gateway.start())
        used.append(process.cpu_seconds(gateway.pid))
        if len(times) < 5:
            await gateway.stop()
    found = {"ready": min(times[1:]), "ready_cpu": min(used[1:]), **await _idle(bed, gateway, seconds)}
    with_plugins = Daemon(bed.folder, bed.server.url, routes(ROUTES), plugins=True)
    try:
        await with_plugins.start()
        return found | {"plugins_mib": process.peak_mib(with_plugins.pid)}
    finally:
        await with_plugins.stop()


async def _idle(bed: Bed, gateway: Daemon, seconds: float) -> Figures:
    try:
        await asyncio.sleep(1.0)  # the first look at the backlogs
        pids = {"idle_cores": gateway.pid, "server_cores": bed.server.pid}
        before = {name: process.cpu_seconds(pid) for name, pid in pids.items()}
        woken = process.wake_ups(gateway.pid)
        await asyncio.sleep(seconds)
        cores = {name: (process.cpu_seconds(pid) - before[name]) / seconds for name, pid in pids.items()}
        wake_ups = (process.wake_ups(gateway.pid) - woken) / seconds
        return {**cores, "wake_ups": wake_ups, "idle_mib": process.peak_mib(gateway.pid)}
    finally:
        await gateway.stop()


async def _many(bed: Bed) -> Figures:
    gateway = Daemon(bed.folder, bed.server.url, routes(MANY))
    await gateway.start()
    try:
        await asyncio.sleep(1.0)
        memory = process.peak_mib(gateway.pid)
        usual = sorted([await gateway.timed("/healthz") for _ in range(50)])[25]
        times, late = [], 0.0
        for _ in range(10):
            scrape = asyncio.create_task(gateway.timed("/metrics"))
            while not scrape.done():
                late = max(late, await gateway.timed("/healthz") - usual)
            times.append(await scrape)
        return {"many_mib": memory, "scrape": max(times), "stall": late}
    finally:
        await gateway.stop()


def missed(found: Figures) -> list[str]:
    """The figures that are over their limits."""
    return [name for name, value in found.items() if (most := LIMITS[name].most) is not None and value >= most]


def report(found: Figures) -> str:
    """A row a figure."""
    over = missed(found)
    rows = [
        [
            limit.text,
            limit.form.format(found[name]),
            "" if limit.most is None else limit.form.format(limit.most),
            "" if limit.most is None else "MISSED" if name in over else "kept",
        ]
        for name, limit in LIMITS.items()
    ]
    return table(["resources", "measured", "limit", ""], rows)


def plain(found: Figures) -> Figures:
    """For machines."""
    return found
