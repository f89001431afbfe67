"""One run: start everything, load it, disturb it, let it settle, and account for every event."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats.errors

from tests.support.eventually import eventually
from tests.support.proc import usage
from tests.support.process import ROOT
from tests.support.streams import Stored, api
from tests.support.witness import all_settled, read_all

from . import events
from .bed import DURABLES, GATEWAYS, NODES, Bed
from .faults import Disturber, Done
from .ledger import Ledger, Stall, longest_stall, reconcile
from .load import steady
from .schedule import Fault, Scene

SCENE = Scene(NODES, GATEWAYS, tuple(events.STREAMS), DURABLES)
WINDOW = 120.0
"""Seconds of the streams' duplicate window; no fault may last half of it."""
MEMORY = 24 << 20
"""Bytes a gateway may hold more at the end than at the beginning: what an allocator keeps of an outage's windows."""
_HELD = ("event_gateway_events_in_flight{", "event_gateway_parked_events{")

Say = Callable[[str], None]


@dataclass
class Outcome:
    """What a run showed."""

    seed: int
    schedule: Sequence[Fault]
    ledger: Ledger = field(default_factory=Ledger)
    done: list[Done] = field(default_factory=list)
    began: float = 0.0
    """Seconds since the epoch, when the first fault could begin."""
    lasted: float = 0.0
    """Seconds, from there to the moment all was settled."""
    stall: Stall = field(default_factory=Stall)
    memory: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Bytes of each gateway at the beginning and at the end."""
    chains: dict[str, int] = field(default_factory=dict)
    """Audit chains by their ending."""
    chain_notes: Counter[str] = field(default_factory=Counter)
    """Findings of `gateway audit verify` that a crash explains, by code."""
    wrong: list[str] = field(default_factory=list)
    """What is wrong beside the ledger: exit codes, internal errors, chains, memory."""

    @property
    def good(self) -> bool:
        """Zero, zero, zero."""
        return not self.ledger.faults and not self.wrong


async def run(folder: Path, seed: int, schedule: Sequence[Fault], rate: float, say: Say) -> Outcome:
    """Everything, in `folder`; `rate` is events a second."""
    assert all(fault.seconds < WINDOW / 2 for fault in schedule)
    outcome = Outcome(seed, schedule)
    bed = Bed(folder, WINDOW)
    async with bed.running():
        async with steady(bed.nc, events.event, rate) as load:
            await load.reached(int(rate * 3), 60)
            at_first = _memory(bed)
            outcome.began = time.time()
            disturber = Disturber(bed)
            outcome.done = disturber.done
            await disturber.run(schedule, say)
            await bed.alive()
            await load.reached(load.stored + int(rate), 60)
        say(f"{load.sent} events are stored; the gateways catch up")
        await _settled(bed, outcome)
        outcome.lasted = time.time() - outcome.began
        outcome.memory = {name: (at_first[name], now) for name, now in _memory(bed).items()}
        await _end(bed, outcome)
        outcome.wrong += [*disturber.wrong, *_memory_faults(outcome), *log_faults(bed)]
        streams = await _read(bed)
        await _verify(bed.urls[0], outcome)
    outcome.ledger = reconcile(load.sent, streams, events.fate, events.IN_ORDER)
    outcome.stall = longest_stall(load.sent, streams, events.fate)
    return outcome


async def _settled(bed: Bed, outcome: Outcome) -> None:
    """Nothing waiting in a consumer, nothing in flight in a gateway."""
    await all_settled(bed.nc, events.SOURCE, DURABLES, 120)

    async def idle() -> bool:
        for name, gateway in bed.gateways.items():
            status, page = await gateway.get("/metrics")
            assert status == 200, f"{name} does not answer"
            held = [line for line in page.splitlines() if line.startswith(_HELD) and not line.endswith((" 0", " 0.0"))]
            assert not held, f"{name}: {held}"
        return True

    try:
        await eventually(idle, 60, "nothing in flight", interval=0.2)
    except AssertionError as error:
        outcome.wrong.append(str(error))


async def _end(bed: Bed, outcome: Outcome) -> None:
    """Ask the gateways to end: their audit chains get their last records."""
    for gateway in bed.gateways.values():
        gateway.term()
    for name, gateway in bed.gateways.items():
        code = await gateway.wait()
        if code != 0:
            outcome.wrong.append(f"{name} ended with {code} at the end")


async def _read(bed: Bed) -> dict[str, list[Stored]]:
    """Every stream, once its replicas hold the same: a reader may be served by any of them."""
    streams: dict[str, list[Stored]] = {}
    for stream in events.STREAMS:

        async def read(stream: str = stream) -> bool:
            try:
                info = await api(bed.nc, f"STREAM.INFO.{stream}")
                replicas = info["cluster"]["replicas"]
                assert all(replica["current"] and not replica.get("lag") for replica in replicas), replicas
                streams[stream] = await read_all(bed.urls[0], stream)
            except (nats.errors.Error, KeyError, OSError) as error:
                raise AssertionError(f"{stream} cannot be read: {error!r}") from error
            return True

        await eventually(read, 90, f"{stream} read", interval=0.5)
    return streams


def _memory(bed: Bed) -> dict[str, int]:
    found = {name: usage(gateway.pid) for name, gateway in bed.gateways.items()}
    return {name: now.rss for name, now in found.items() if now is not None}


def _memory_faults(outcome: Outcome) -> list[str]:
    return [
        f"{name} holds {(after - before) >> 20} MiB more than in the beginning"
        for name, (before, after) in outcome.memory.items()
        if after - before > MEMORY
    ]


def log_faults(bed: Bed) -> list[str]:
    """Nothing a fault does to the network or a process is an internal error."""
    return [
        f"{name}: {line.get('event')}: {line.get('message', '')}"
        for name, gateway in bed.gateways.items()
        for line in gateway.logs
        if "trace" in line or line.get("event") == "route.internal-error"
    ]


async def _verify(url: str, outcome: Outcome) -> None:
    """`gateway audit verify`: whole chains; what is wrong with one that a crash ended is counted apart."""
    command = [sys.executable, "-m", "gateway", "audit", "verify", "AUDIT", "--server", url, "--json"]
    # In a thread: the servers' own connections go through our event loop.
    answer = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    if not answer.stdout.startswith("{"):
        outcome.wrong.append(f"audit verify ended with {answer.returncode}: {answer.stderr}")
        return
    document = json.loads(answer.stdout)
    ends = {chain["chain"]: chain["ending"] for chain in document["chains"]}
    outcome.chains = dict(Counter(ends.values()))
    for finding in document["findings"]:
        if _explained(finding, ends):
            outcome.chain_notes[finding["code"]] += 1
        else:
            outcome.wrong.append(f"audit chain: {finding}")


def _explained(finding: dict[str, Any], ends: dict[str, str]) -> bool:
    """Whether a crash leaves a chain like that.

    Records that were sent and never stored, or stored after younger ones, before the writer could say so; and records
    that a held link delivers after the writer's next process has followed what was there.
    """
    if finding["code"] == "forked":
        return str(finding["text"]).startswith("the chain goes on to record")
    return finding["code"] in ("missing", "out-of-order") and ends.get(finding["chain"]) != "closed"
