"""Events for tests, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..event import Delivery, Event, Meta, Origin
from ..headers import Headers, block_of, header_line
from ..plugin import Codec
from ..registry import load_plugins
from .steps import make_component

STORED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
"""When events were stored unless a test says otherwise."""


def make_event(
    body: Any = None,
    *,
    codec: str | Mapping[str, Any] | Codec = "json",
    subject: str = "orders.created",
    headers: Mapping[str, str] | None = None,
    stream: str = "ORDERS",
    sequence: int = 1,
    stored_at: datetime = STORED_AT,
    attempt: int = 1,
    deliveries: int = 1,
    gateway: str = "gateway",
    route: str = "test",
) -> Event:
    """An event as a route hands it to its steps.

    `body` is plain data, encoded and decoded again with `codec`; bytes are taken as the payload as it came. `codec` is
    a name, a mapping `{name: config}` as in a route, or a codec. Raises DecodeError for a payload the codec refuses.
    """
    codec = codec if isinstance(codec, Codec) else _codec(codec)
    data, added = body, {}
    if not isinstance(body, bytes):
        encoded = codec.encode(body, Headers(headers))
        data, added = encoded.data, dict(encoded.headers)
    block = block_of([header_line(name, value) for name, value in {**added, **(headers or {})}.items()])
    stored_ns = int(stored_at.timestamp() * 1_000_000) * 1000
    delivery = Delivery(subject, block, data, "", sequence, deliveries, stored_ns)
    origin = Origin(gateway=gateway, route=route, stream=stream, durable=f"{gateway}-{route}")
    return Event(codec.reader(None), delivery, Meta(origin, delivery, attempt))


def _codec(step: str | Mapping[str, Any]) -> Codec:
    name, config = (step, None) if isinstance(step, str) else next(iter(step.items()))
    found = load_plugins().find("codec", name)
    if found.component is None:
        raise LookupError(f"{found.reason}; {found.hint}" if found.hint else found.reason)
    codec = make_component(found.component, config)
    assert isinstance(codec, Codec)
    return codec
