"""The routes under chaos, the events, and what must become of each: computed from its number alone.

A second, naive router: it is written from the contract and imports nothing of the gateway.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.support.publisher import Message

NAME = "chaos"
SOURCE = "IN"
STREAMS = {SOURCE: ["in.>"], "OUT": ["out.>"], "DLQ": ["dlq.>"], "AUDIT": ["audit.>"]}
ACK_WAIT = 8.0
"""Seconds: below the longest faults, so that what a paused gateway has in flight is given to the other one."""
ROUTES = ("fan", "basket", "mixed", "flaky", "strict", "keyed")
KINDS = ("order", "basket", "order", "mixed", "keyed", "flaky", "strict", "keyed")
"""Of event `n`: the one at `n % 8`."""
ORDERING: dict[str, Any] = {"strict": "strict", "keyed": {"key": "key"}}
"""What the routes say under `ordering`, where they promise an order."""
IN_ORDER = {route: how != "strict" for route, how in ORDERING.items()}
"""Whether what a route promises is an order per key."""

PLUGIN = '''
"""A step that fails in passing, for good or for a while, as the event says; and counts the tasks of the gateway."""

import asyncio

from gateway import Drop, Retry, Transform, hookimpl


class Flaky(Transform, name="flaky"):
    """`retry` in the body is how often the step fails before it works; -1 is always. `drop` drops."""

    def prepare(self):
        self._tasks = self.context.metrics.gauge("tasks")

    def apply(self, event):
        self._tasks.set(len(asyncio.all_tasks()))
        failures = event.get("retry")
        if failures < 0 or event.meta.attempt <= failures:
            raise Retry("not yet")
        return Drop("asked for") if event.get("drop") else event


@hookimpl
def gateway_transforms():
    return [Flaky]
'''


def routes() -> list[dict[str, Any]]:
    """The routes of the config."""
    return [
        _route(
            "fan",
            "in.order.*",
            {"all": "out.all", "region": "out.region.{region}.{key}"},
            filters=[{"pattern": {"region": ["eu", {"prefix": "us-"}]}}],
            transforms=[{"set": {"routed.by": "{$gateway}", "label": "{region}/{n}"}}, {"remove": ["secret"]}],
        ),
        _route("basket", "in.basket.*", {"item": "out.item.{items.sku}"}, transforms=[{"split": "items"}]),
        _route("mixed", "in.mixed.*", {"key": "out.mixed.{key}", "copy": "out.mixed-copy"}),
        _route("flaky", "in.flaky.*", {"out": "out.flaky"}, transforms=["flaky"]),
        _route("strict", "in.strict.*", {"out": "out.strict"}, transforms=[{"set": {"seen": True}}]),
        _route("keyed", "in.keyed.*", {"out": "out.keyed.{key}"}, transforms=[{"set": {"seen": True}}]),
    ]


def _route(name: str, subject: str, targets: dict[str, str], **more: Any) -> dict[str, Any]:
    if name in ORDERING:
        more["ordering"] = ORDERING[name]
    return {
        "name": name,
        "source": {"stream": SOURCE, "subjects": [subject], "ack-wait": f"{ACK_WAIT:g}s"},
        "targets": [{"name": target, "subject": to, "stream": "OUT"} for target, to in targets.items()],
        "audits": [{"stream": {"subject": "audit.{$route}", "stream": "AUDIT"}}],
        "retry": {"attempts": 3, "initial": "100ms", "max": "500ms"},
        **more,
    }


def kind_of(n: int) -> str:
    """What event `n` is."""
    return KINDS[n % len(KINDS)]


def key_of(n: int) -> str:
    """The key of event `n`: seventeen of them, in an order that has nothing to do with the kinds."""
    return f"k{n * 7 % 17}"


def event(n: int) -> Message:
    """Event `n` as it is published."""
    kind = kind_of(n)
    return Message(f"in.{kind}.{key_of(n)}", _data(n, kind), {"X-N": str(n), "X-Kind": kind})


def _body(n: int, kind: str) -> dict[str, Any]:
    body: dict[str, Any] = {"id": f"e-{n}", "n": n, "key": key_of(n), "note": "n" * (n * 37 % 400)}
    turn = n // len(KINDS)
    if kind == "order":
        body |= {"region": ("eu", "us-1", "us-23", "africa")[turn % 4], "secret": 1234, "routed": {"was": None}}
    elif kind == "basket":
        body["items"] = [{"sku": f"{n}-{i}", "price": i + 0.5} for i in range(turn % 4)]
    elif kind == "mixed" and turn % 7 == 1:
        body["key"] = "a.b"
    elif kind == "flaky":
        body |= {"retry": (0, 1, 2, 0, -1)[turn % 5], "drop": turn % 5 == 3}
    return body


def _data(n: int, kind: str) -> bytes:
    text = json.dumps(_body(n, kind), indent=n % 3 or None).encode()
    return text[:-1] if _is_truncated(n, kind) else text


def _is_truncated(n: int, kind: str) -> bool:
    return kind == "mixed" and n // len(KINDS) % 7 == 3


@dataclass(frozen=True)
class Copy:
    """One message that must be in a stream exactly once."""

    stream: str
    subject: str
    body: bytes | str
    """Bytes where they must pass untouched, else canonical JSON."""


@dataclass(frozen=True)
class Fate:
    """What must become of an event."""

    route: str
    outcome: str
    copies: tuple[Copy, ...] = ()
    code: str = ""
    """Why it is dead-lettered."""


def fate(n: int) -> Fate:
    """What must become of event `n`."""
    kind = kind_of(n)
    body = _body(n, kind)
    if kind == "order":
        return _order(n, body)
    if kind == "basket":
        parts = tuple(_changed(f"out.item.{item['sku']}", {**body, "items": item}) for item in body["items"])
        return Fate("basket", "published" if parts else "dropped", parts)
    if kind == "mixed":
        return _mixed(n)
    if kind == "flaky":
        if body["retry"] < 0:
            return _letter("flaky", n, "retries-exhausted")
        return Fate("flaky", "dropped") if body["drop"] else Fate("flaky", "published", (_same("out.flaky", n),))
    subject = "out.strict" if kind == "strict" else f"out.keyed.{body['key']}"
    return Fate(kind, "published", (_changed(subject, {**body, "seen": True}),))


def _order(n: int, body: dict[str, Any]) -> Fate:
    region = body["region"]
    if region == "africa":
        return Fate("fan", "filtered")
    del body["secret"]
    body |= {"routed": {"was": None, "by": NAME}, "label": f"{region}/{n}"}
    return Fate("fan", "published", (_changed("out.all", body), _changed(f"out.region.{region}.{key_of(n)}", body)))


def _mixed(n: int) -> Fate:
    if _is_truncated(n, "mixed"):
        return _letter("mixed", n, "decode-error")
    copy = _same("out.mixed-copy", n)
    if n // len(KINDS) % 7 == 1:
        return _letter("mixed", n, "unsafe-subject", copy)
    return Fate("mixed", "published", (_same(f"out.mixed.{key_of(n)}", n), copy))


def _letter(route: str, n: int, code: str, *others: Copy) -> Fate:
    return Fate(route, "dead_lettered", (Copy("DLQ", f"dlq.{route}", event(n).data), *others), code)


def _same(subject: str, n: int) -> Copy:
    return Copy("OUT", subject, event(n).data)


def _changed(subject: str, body: dict[str, Any]) -> Copy:
    return Copy("OUT", subject, canonical(json.dumps(body).encode()))


def canonical(data: bytes) -> str:
    """JSON that is equal when the values are, types included; for what is no JSON, its repr."""
    try:
        return json.dumps(json.loads(data), sort_keys=True)
    except ValueError:
        return repr(data)
