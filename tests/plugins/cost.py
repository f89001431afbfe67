"""What a step of a first-party plugin costs an event: `python -m tests.plugins.cost` prints Markdown tables.

Each figure is the step alone, on an event that is decoded already, the best of seven runs; the event is a 466-byte
order unless the row says otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway import Reject
from gateway.delivery import Delivery, Meta
from gateway.event import Event
from gateway.routing.route import CompiledRoute
from tests.plugins.compiling import compiled
from tests.plugins.folders import FOLDERS

ORDER: dict[str, Any] = {
    "specversion": "1.0",
    "id": "6f1c0c1e-7d53-4a2e-9f43-1d9a0f0f5c11",
    "source": "com.shop.orders",
    "type": "OrderPaid",
    "time": "2026-05-01T10:00:00Z",
    "data": {
        "orderId": "o-10177",
        "total": 120.5,
        "paid": 120.5,
        "currency": "EUR",
        "country": "DE",
        "customer": {"name": "Jo Example", "mail": "jo@example.org", "zip": "10115"},
        "items": [{"sku": f"sku-{number}", "qty": number, "price": 9.5 * number} for number in (1, 2, 3)],
        "note": "leave it with the neighbours, please",
    },
}
LARGE = {**ORDER, "data": {**ORDER["data"], "readings": list(range(5000))}}
EXPRESSIONS = [
    ("data.total > 100", ORDER),
    ('data.total > 100 && data.country in ["DE", "FR"]', ORDER),
    ("data.paid >= data.total", ORDER),
    ('event.type == "OrderPaid"', ORDER),
    ("data.items.exists(item, item.qty > 2)", ORDER),
    ("data.vat > 100", ORDER),
    ("has(data.coupon)", ORDER),
    ("data.total > 100", LARGE),
    ("has(data.coupon)", LARGE),
]
SCHEMA = {
    "type": "object",
    "required": ["orderId", "total", "items"],
    "properties": {
        "orderId": {"type": "string", "pattern": "^o-[0-9]+$"},
        "total": {"type": "number", "minimum": 0},
        "country": {"enum": ["DE", "FR", "ES"]},
        "items": {"items": {"required": ["sku", "qty"], "properties": {"qty": {"type": "integer", "minimum": 1}}}},
    },
}


def route_of(plugin: str, step: dict[str, Any]) -> CompiledRoute:
    """A route with one filter of a plugin."""
    (folder,) = [folder for folder in FOLDERS if folder.plugin == plugin]
    routes, problems = compiled({"filters": [step]}, folder.registry)
    assert problems == []
    return routes[0]


def event_of(route: CompiledRoute, body: Any) -> Event:
    """The event of a body, with what the filter reads decoded."""
    delivery = Delivery("in.a", b"", json.dumps(body).encode(), "$JS.ACK.x", 7, 1, 1_700_000_000_000_000_000)
    return Event(route.reader, delivery, Meta(route.origin, delivery, 1))


def microseconds(call: Callable[[], Any]) -> float:
    """One call, the best of seven runs of about 50 ms."""
    number, best = 1, 0.0
    while best < 0.05:
        number *= 2
        best = _seconds(call, number)
    return min(_seconds(call, number) for _ in range(7)) / number * 1e6


def _seconds(call: Callable[[], Any], number: int) -> float:
    start = time.perf_counter()
    for _ in range(number):
        call()
    return time.perf_counter() - start


def cel_rows() -> list[str]:
    """Each expression on its event."""
    rows = []
    for expression, body in EXPRESSIONS:
        route = route_of("cel", {"cel": expression})
        event = event_of(route, body)
        call = route.steps[0].call
        which = "" if body is ORDER else ", `data` with 5,000 more values"
        rows.append(f"| `{expression}`{which} | {microseconds(lambda call=call, event=event: call(event)):.1f} |")
    return rows


def schema_rows(folder: Path) -> list[str]:
    """A good and a bad event against one schema."""
    (folder / "OrderPaid.json").write_text(json.dumps(SCHEMA))
    route = route_of("jsonschema", {"json-schema": {"folder": str(folder), "path": "data"}})
    component: Any = route.steps[0].component
    asyncio.run(component.open())
    good = event_of(route, ORDER)
    bad = event_of(route, {**ORDER, "data": {**ORDER["data"], "total": -1}})

    def refused() -> None:
        with contextlib.suppress(Reject):
            component.accepts(bad)

    return [
        f"| `json-schema`, an event that keeps its schema | {microseconds(lambda: component.accepts(good)):.1f} |",
        f"| `json-schema`, an event that breaks it | {microseconds(refused):.1f} |",
    ]


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as folder:
        rows = cel_rows(), schema_rows(Path(folder))
    for table in rows:
        sys.stdout.write("\n".join(["", "| | us an event |", "|---|---|", *table, ""]))


if __name__ == "__main__":
    main()
