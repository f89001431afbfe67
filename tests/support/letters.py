"""Dead letters for tests: written as a gateway would, sent again inside the test's own process."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from nats.aio.client import Client

from gateway.dlq.engine import Redriven
from gateway.dlq.plan import Order, Plan
from gateway.dlq.redrive import Request, Shop, redrive
from gateway.dlq.selection import Bodies, Selection
from gateway.dlq.tally import Tally
from gateway.plugin import Component

from .running import read_config, registry_with
from .streams import Stored

_AT_ONCE = 500


def headers_of(sequence: int, **more: str) -> dict[str, str]:
    """The headers of a letter of route `r`; a name in snake case replaces one, None as text "" takes it away."""
    headers = {
        "Nats-Msg-Id": f"letter.{sequence}",
        "Gateway-Name": "gateway",
        "Gateway-Route": "r",
        "Gateway-Error-Code": "bad",
        "Gateway-Error-Step": "filter-0-x",
        "Gateway-Error-Message": "it is bad",
        "Gateway-Attempts": "1",
        "Gateway-Source-Stream": "IN",
        "Gateway-Source-Sequence": str(sequence),
        "Gateway-Source-Subject": "in.a",
        "Gateway-First-Seen": "2026-01-31T12:00:00.123Z",
        "Gateway-Last-Seen": "2026-01-31T12:00:01.000Z",
        "Gateway-Config": "0123456789ab",
    }
    given = {("-".join(word.capitalize() for word in name.split("_"))): value for name, value in more.items()}
    return {name: value for name, value in {**headers, **given}.items() if value}


def body_of(number: int, size: int = 0) -> bytes:
    """A body that tells its number."""
    return json.dumps({"n": number, "fill": "x" * size}).encode()


def numbers(messages: list[Stored]) -> list[int]:
    """What the bodies of messages tell."""
    return [message.json["n"] for message in messages]


async def write_letters(nc: Client, count: int, *, first: int = 1, size: int = 0, **headers: str) -> None:
    """Letters of events `first` and so on of IN; the letters' own sequences follow what the stream holds."""
    js = nc.jetstream(timeout=30)
    subject = f"dlq.{headers.get('gateway_route', 'r')}"
    for start in range(first, first + count, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, first + count))
        await asyncio.gather(
            *(js.publish(subject, body_of(n, size), headers=headers_of(n, **headers)) for n in numbers)
        )


class Heard:
    """What a redrive told."""

    def __init__(self, stop: asyncio.Event, stop_after: int) -> None:
        self.plans: list[Plan] = []
        self.notices: list[str] = []
        self.done: list[int] = []
        self._stop = stop
        self._stop_after = stop_after

    def planned(self, plan: Plan) -> None:
        self.plans.append(plan)

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def progress(self, tally: Tally) -> None:
        self.done.append(tally.done)
        if self._stop_after and tally.done >= self._stop_after:
            self._stop.set()


async def send_again(
    url: str,
    config: dict[str, Any],
    *components: type[Component],
    stop_after: int = 0,
    dry_run: bool = False,
    patience: float = 2.0,
    heard: list[Heard] | None = None,
    codes: tuple[str, ...] = (),
    routes: tuple[str, ...] = (),
    sequences: tuple[int, ...] = (),
    **order: Any,
) -> Redriven:
    """Redrive; with `stop_after` letters it is cancelled. What it told is added to `heard`."""
    registry = registry_with(components)
    whole = {"nats": {"servers": [url]}, "http": "off", "drain": "5s", **config}
    shop = Shop(read_config(whole, registry), registry)
    stop = asyncio.Event()
    told = Heard(stop, stop_after)
    if heard is not None:
        heard.append(told)

    def selection(compiled: dict[str, Any]) -> Selection:
        return Selection(
            gateway=shop.config.name,
            codes=frozenset(codes),
            routes=frozenset(routes),
            sequences=frozenset(sequences),
            body_of=Bodies(compiled).of,
        )

    request = Request(Order(**order), selection, dry_run=dry_run, patience=patience)
    redriven = await redrive(shop, request, told, stop)
    if redriven.fault is not None:
        raise redriven.fault
    return redriven
