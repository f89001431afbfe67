"""What every lane does to an event: keep those of one region, set one field, move another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

KEPT = "eu-west-1"
OTHER = "us-east-1"
KIND = "OrderCreated"

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def event(number: int, size: int, region: str = KEPT) -> bytes:
    """Order `number` in EventBridge's envelope, exactly `size` bytes long."""
    head = (
        f'{{"id":"e-{number:07}","detail-type":"{KIND}","source":"shop.orders","time":"2026-11-23T18:43:48Z",'
        f'"region":"{region}","detail":{{"data":{{"orderId":"o-{number:07}","total":249.9,"state":"paid",'
    )
    if size >= 1000:
        head += '"items":[{"sku":"B-100","qty":2,"price":99.95},{"sku":"A-7","qty":1,"price":50.0}],"currency":"EUR",'
    head += '"note":"'
    tail = '"},"metadata":{}}}'
    return f"{head}{'x' * (size - len(head) - len(tail))}{tail}".encode()


def by_hand(data: bytes) -> bytes | None:
    """The work as a careful user writes it: the bytes to publish, or None for an event that is not wanted."""
    body: dict[str, Any] = _decode(data)
    if body.get("region") != KEPT or body.get("detail-type") != KIND:
        return None
    detail = body["detail"]
    detail["metadata"]["routed-by"] = "gateway"
    detail["metadata"]["order-id"] = detail["data"].pop("orderId")
    return _encode(body)


def config(
    url: str, listen: str, stream: str, subject: str, durable: str, audits: Sequence[Any] = ()
) -> dict[str, Any]:
    """The same work as a gateway's config."""
    return {
        "name": "bench",
        "nats": {"servers": [url]},
        "http": {"listen": listen},
        "plugins": {"only": []},
        "routes": [
            {
                "name": "bench",
                "source": {"stream": stream, "subjects": [subject], "durable": durable, "manage": "verify"},
                "codec": "eventbridge",
                "filters": [{"pattern": {"region": [KEPT], "detail-type": [KIND]}}],
                "transforms": [
                    {"set": {"detail.metadata.routed-by": "gateway"}},
                    {"rename": {"detail.data.orderId": "detail.metadata.order-id"}},
                ],
                "targets": [{"subject": OUT_SUBJECT}],
                "audits": list(audits),
            }
        ],
    }


OUT_SUBJECT = "out.orders"
