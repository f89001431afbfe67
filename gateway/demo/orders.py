"""What the demo's shop publishes: order events in EventBridge's shape, and the accidents of real life among them.

The same seed gives the same events, so that a test can know what must come of them.
"""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

_REGIONS = ("eu-west-1", "eu-central-1", "us-east-1")
_COUNTRIES = {"eu-west-1": ("FR", "ES", "NL"), "eu-central-1": ("DE", "AT"), "us-east-1": ("US",)}
_GOODS = (("tea-green-250", 8.9), ("kettle-1l", 39.0), ("cup-blue", 12.5), ("course-brewing", 49.0))
_POISON_EVERY = 25
_DEEP = 5_000


class Message(NamedTuple):
    """One message for the stream ORDERS."""

    subject: str
    data: bytes
    kind: str
    """`created`, `paid`, `cancelled`, or the name of the accident."""


def shop(seed: int = 1) -> Iterator[Message]:
    """Orders without end; every 25th message is an accident, each kind in turn."""
    rng = random.Random(seed)
    accidents = itertools.cycle(ACCIDENTS.items())
    for number in itertools.count(1):
        kind = rng.choices(("created", "paid", "cancelled"), (6, 3, 1))[0]
        order = _order(rng, number)
        if number % _POISON_EVERY:
            yield Message(f"orders.{kind}", msgspec.json.encode(_event(rng, kind, order)), kind)
        else:
            name, spoil = next(accidents)
            order["paid"] = True
            yield Message("orders.cancelled", spoil(_event(rng, "cancelled", order)), name)


def _order(rng: random.Random, number: int) -> dict[str, Any]:
    region = rng.choice(_REGIONS)
    items = [(sku, price, rng.randint(1, 3)) for sku, price in rng.sample(_GOODS, rng.randint(1, 3))]
    only_courses = all(sku.startswith("course") for sku, _, _ in items)
    return {
        "orderId": f"o-{number:06d}",
        "userId": f"u-{rng.randint(1, 500)}",
        "customer_id": rng.randint(10_000, 99_999),
        "region": region,
        "country": rng.choice(_COUNTRIES[region]),
        "currency": "USD" if region.startswith("us") else "EUR",
        # A voucher pays all of some orders.
        "total": 0 if rng.random() < 0.1 else round(sum(price * quantity for _, price, quantity in items), 2),
        "delivery": "download" if only_courses else rng.choice(("parcel", "express")),
        "paid": rng.random() < 0.6,
        "items": [{"sku": sku, "price": price, "quantity": quantity} for sku, price, quantity in items],
    }


def _event(rng: random.Random, kind: str, order: dict[str, Any]) -> dict[str, Any]:
    details = dict(order)
    return {
        "version": "0",
        "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "detail-type": f"Order{kind.capitalize()}",
        "source": "com.example.shop",
        "account": "123456789012",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": details.pop("region"),
        "resources": [],
        "detail": {"metadata": {"correlation-id": f"c-{rng.getrandbits(48):012x}"}, "data": details},
    }


def _cut_off(event: dict[str, Any]) -> bytes:
    encoded = msgspec.json.encode(event)
    return encoded[: len(encoded) // 2]


def _not_utf8(event: dict[str, Any]) -> bytes:
    # In a field no step reads: only a strict route refuses it.
    return msgspec.json.encode(event).replace(b'"123456789012"', b'"caf\xe9"')


def _deeply_nested(_event: dict[str, Any]) -> bytes:
    return b'{"detail":' * _DEEP + b"1" + b"}" * _DEEP


def _without_order_id(event: dict[str, Any]) -> bytes:
    del event["detail"]["data"]["orderId"]
    return msgspec.json.encode(event)


def _unsafe_order_id(event: dict[str, Any]) -> bytes:
    event["detail"]["data"]["orderId"] = "17.> or *"
    return msgspec.json.encode(event)


def _empty(_event: dict[str, Any]) -> bytes:
    return b""


ACCIDENTS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "cut-off": _cut_off,
    "not-utf8": _not_utf8,
    "deeply-nested": _deeply_nested,
    "without-order-id": _without_order_id,
    "unsafe-order-id": _unsafe_order_id,
    "empty": _empty,
}
"""What goes wrong, by name; all of it on orders.cancelled, where a wrong event would cost money."""
