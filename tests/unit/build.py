"""Events for tests, without a server, a config or a route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st

from gateway.components.codecs.json import Json
from gateway.event import Delivery, Event, Meta, Origin
from gateway.headers import block_of, header_line
from gateway.plugin import Codec, Component

settings.register_profile("unit", deadline=None)
settings.load_profile("unit")

CONTEXT: Any = None
ORIGIN = Origin(gateway="gateway", route="orders", stream="ORDERS", durable="gateway-orders")
STORED_NS = 1_700_000_000_123_456_789


def make(component: type[Any], config: Any = None) -> Any:
    """A prepared component; plain data is converted to its Config as the config layer does."""
    config = msgspec.convert({} if config is None else config, component.Config, dec_hook=_convert)
    made: Component = component(config, CONTEXT)
    made.prepare()
    return made


def _convert(kind: Any, value: Any) -> Any:
    return kind.parse(value) if hasattr(kind, "parse") else kind(value)


def make_event(
    body: Any,
    codec: Codec | None = None,
    headers: Mapping[str, str] | None = None,
    subject: str = "orders.created",
    keys: frozenset[str] | None = frozenset(),
    sequence: int = 7,
    deliveries: int = 1,
    after: float = 0.0,
) -> Event:
    """An event with `body` (bytes are the payload as it came), as a route sees it whose steps read `keys`.

    `after` is when it was stored, in seconds after STORED_NS.
    """
    codec = codec or make(Json)
    data = body if isinstance(body, bytes) else codec.encode(body, {}).data  # type: ignore[arg-type]
    block = block_of([header_line(name, value) for name, value in (headers or {}).items()])
    delivery = Delivery(subject, block, data, "$JS.ACK.x", sequence, deliveries, STORED_NS + round(after * 1e9))
    return Event(codec.reader(keys), delivery, Meta(ORIGIN, delivery, 1))


def quoted(*steps: str) -> str:
    """The text of a path over any keys."""
    return ".".join('"{}"'.format(step.replace("\\", "\\\\").replace('"', '\\"')) for step in steps)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
keys = st.sampled_from(["a", "b", "id", "é", "", "a.b", '"', "0"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)
"""Any JSON value, with keys that collide often."""
bodies = st.dictionaries(keys, values, max_size=5)
steps = st.lists(st.sampled_from(["a", "b", "id", "é", "0", "1"]), min_size=1, max_size=3).map(tuple)
