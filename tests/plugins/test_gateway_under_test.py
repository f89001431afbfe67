"""What the tests of a plugin wait for, on a real gateway of `gateway.testing`."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.jetstream.server import EmbeddedServer
from gateway.testing.running import RunningGateway

CONFIG: dict[str, Any] = {
    "streams": [
        {"name": name, "subjects": [f"{name.lower()}.>"], "provision": "create", "storage": "memory"}
        for name in ("ORDERS", "OUT", "DLQ")
    ],
    "routes": [
        {
            "name": "r",
            "source": {"stream": "ORDERS", "subjects": ["orders.a", "orders.b.>"]},
            "targets": [{"subject": "out.it"}],
        }
    ],
}


def test_what_the_server_has_not_counted_yet_is_not_settled(
    nats_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It acknowledges an event a moment before its consumers know of it."""
    gateway = RunningGateway(CONFIG, nats_server.url)
    request, late = gateway._api.request, True

    async def before_it_counts(subject: str, *rest: Any, **options: Any) -> dict[str, Any]:
        answer = await request(subject, *rest, **options)
        if late and subject.startswith("CONSUMER.INFO"):
            return answer | {"num_pending": 0, "num_ack_pending": 0, "delivered": {"stream_seq": 0}}
        return answer

    try:
        gateway.start()
        monkeypatch.setattr(gateway._api, "request", before_it_counts)
        gateway.wait_settled()
        gateway.publish("orders.c", {})
        gateway.wait_settled()
        gateway.publish("orders.b.x", {})
        with pytest.raises(AssertionError, match=r"unsettled \{'r': 1\}"):
            gateway.wait_settled(0.1)
        late = False
        gateway.wait_settled()
        assert len(gateway.messages("OUT")) == 1
    finally:
        gateway.stop()
