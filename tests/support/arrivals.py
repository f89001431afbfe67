"""Waiting for what must have happened in streams and consumers."""

from __future__ import annotations

from nats.aio.client import Client

from .eventually import PATIENCE, eventually
from .streams import Stored, consumer_state, count, left_to_do, read_stream


async def arrived(nc: Client, stream: str, number: int, timeout: float = PATIENCE) -> list[Stored]:
    """The messages of a stream once it holds `number` of them; fails if it holds more."""

    async def there() -> bool:
        held = await count(nc, stream)
        assert held >= number, f"{held} of {number}"
        return True

    await eventually(there, timeout, f"{number} messages in {stream}")
    messages = await read_stream(nc, stream)
    assert len(messages) == number, [(message.subject, message.data[:80]) for message in messages]
    return messages


async def settled(nc: Client, route: str = "r", stream: str = "IN", timeout: float = PATIENCE) -> None:
    """Wait until the route has settled every message of its source: nothing left to deliver, nothing in flight."""

    async def done() -> bool:
        left = await left_to_do(nc, stream, f"gateway-{route}")
        assert left == (0, 0), f"pending, in flight: {left}"
        return True

    await eventually(done, timeout, f"{route} has settled everything")


async def in_flight(nc: Client, route: str = "r", stream: str = "IN") -> int:
    """Messages delivered to the route and not settled, as the server sees it."""
    return int((await consumer_state(nc, stream, f"gateway-{route}"))["num_ack_pending"])
