"""What the routes through plugins need: a server with the streams IN, OUT and DLQ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from nats.aio.client import Client

from tests.support.streams import make_stream


@pytest.fixture
async def streams(nc: Client) -> Client:
    """IN (in.>), OUT (out.>) and DLQ (dlq.>)."""
    for name in ("IN", "OUT", "DLQ"):
        await make_stream(nc, name, [f"{name.lower()}.>"])
    return nc


@pytest.fixture
def route() -> Callable[..., dict[str, Any]]:
    """`route(filters=[...])` is a route from IN to OUT, quick in everything that waits."""

    def make(name: str = "r", **fields: Any) -> dict[str, Any]:
        return {
            "name": name,
            "source": {"stream": "IN", "subjects": ["in.>"], "ack-wait": "2s"},
            "retry": {"initial": "100ms", "max": "400ms", "jitter": 0},
            "targets": [{"subject": "out.it", "name": "out"}],
            **fields,
        }

    return make
