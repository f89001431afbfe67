"""What the accounting test publishes, and what must be in the streams afterwards: a second, naive router.

It is written from the contract and imports nothing of the gateway. Whatever both had in common could be wrong in both.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from tests.support.publisher import Message
from tests.support.streams import Stored

ROUTES = ("orders", "eu", "raw", "big")
DURABLES = tuple(f"gateway-{route}" for route in ROUTES)
OUTPUTS = {"OUT": ["out.>"], "RAW": ["raw.>"], "DLQ": ["dlq.>"]}
"""Routes and targets share a stream: message ids that are the same by mistake show as events lost."""

ALL_POISON = {
    "truncated": "decode-error",
    "empty": "decode-error",
    "binary": "decode-error",
    "deep": "decode-error",
    "loop": "loop",
}
"""What no route that decodes can route, and what it is dead-lettered as."""
STRICT_POISON = {"bad-text": "decode-error", "huge-number": "decode-error", "user-text": "transform-error"}
"""What is poison for `orders`, which looks at everything; `eu` reads the region only."""
BAD_KEYS = ["a.b", "*", ">", "a b", "", None, 1.5, {"x": 1}, ["l"], "a\nb", "tab\t", "a*b", ">b", "x" * 1025, "\x7f"]
GOOD_KEYS = ["o-{}", "{}", "$o{}", "_{}", "schön-{}", "\U0001f600{}", "a|{}"]
STEPS = {"decode-error": "decode", "loop": "receive", "transform-error": "transform-0-set"}


def routes() -> list[dict[str, Any]]:
    """The routes under test."""
    orders = {"stream": "IN", "subjects": ["in.orders.*"], "ack-wait": "3s"}
    return [
        {
            "name": "orders",
            "source": orders,
            "codec": {"json": {"strict": True}},
            "filters": [
                {"pattern": {"region": ["eu", "us", {"prefix": "ap-"}], "total": [{"numeric": [">=", 10, "<", 900]}]}},
                {"meta": {"$headers.X-Tenant": [{"anything-but": ["test"]}]}},
            ],
            "transforms": [
                {"set": {"user.seen": True, "routed.by": "{$gateway}", "label": "{region}/{total}", "at": "{total}"}},
                {"rename": {"user.userId": "user.id", "absent": "nowhere"}},
                {"remove": ["secret", "user.password"]},
            ],
            "targets": [
                {
                    "name": "primary",
                    "subject": "out.orders.{region}.{key}",
                    "stream": "OUT",
                    "headers": {"X-Region": "{region}", "X-Title": "{title}"},
                },
                {"name": "copy", "subject": "out.copy", "headers": {"X-Tenant": None}},
            ],
        },
        {
            "name": "eu",
            "source": orders,
            "filters": [{"pattern": {"region": ["eu"]}}],
            "targets": [{"name": "eu", "subject": "out.eu.{$subject.2}"}],
        },
        {
            "name": "raw",
            "source": {**orders, "subjects": ["in.raw.*"]},
            "codec": "raw",
            "targets": [{"name": "raw", "subject": "raw.{$subject.2|token}"}],
        },
        {
            "name": "big",
            "source": {**orders, "subjects": ["in.big.*"]},
            "transforms": [{"set": {"again": "{blob}"}}],
            "targets": [{"name": "big", "subject": "out.big"}],
        },
    ]


def event(n: int, rng: random.Random) -> Message:
    """The `n`-th event; its kind is in the header X-Kind."""
    dice = rng.random()
    if dice < 0.15:
        return Message(f"in.raw.{n}", rng.randbytes(rng.randrange(300)), _headers(n, "raw", rng))
    if dice < 0.1504:
        blob = "b" * rng.choice([100, 600_000])
        return Message(f"in.big.{n}", json.dumps({"n": n, "blob": blob}).encode(), _headers(n, "big", rng))
    kind = "good"
    if dice > 0.97:
        kind = rng.choice([*ALL_POISON, *STRICT_POISON, "no-object", "bad-key", "bad-title"])
    headers = _headers(n, kind, rng)
    if kind == "loop":
        headers["Gateway-Hops"] = str(rng.choice([16, 17, 400]))
    return Message(f"in.orders.{n}", _order(n, kind, rng), headers)


def _headers(n: int, kind: str, rng: random.Random) -> dict[str, str]:
    return {"X-N": str(n), "X-Kind": kind, "X-Tenant": rng.choice(["acme", "acme", "globex", "test"])}


def _order(n: int, kind: str, rng: random.Random) -> bytes:
    order: dict[str, Any] = {
        "id": rng.choice([f"order-{n}", f"order-{n}", n]),
        "n": n,
        "region": rng.choice(["eu", "eu", "us", "ap-1", "ap-23", "africa", None]),
        "total": rng.choice([rng.randrange(1000), rng.randrange(100_000) / 100]),
        "key": rng.choice(GOOD_KEYS).format(n) if rng.random() < 0.95 else rng.choice([n, True, False]),
        "user": {"userId": rng.choice([n, None, f"u{n}", ["u", n]]), "password": "x", "name": "Zoë \u2028"},
        "secret": {"pin": 1234},
        "tags": [rng.choice(["a", "b", {"c": [1, -0.5, 1e-7]}]) for _ in range(rng.randrange(4))],
        "note": "n" * rng.randrange(400),
    }
    if rng.random() < 0.3:
        order["title"] = rng.choice(["Dr.", "Żółw", "a: b", " spaced  "])
    if rng.random() < 0.1:
        del order["id"]
    if rng.random() < 0.1:
        order["serial"] = rng.choice(
            [2**70, -0.0, 2**53 + 1, 2**63 - 1, 2**64 - 1, -(2**63), 0.1, 1e300, 123456789.123456789]
        )
    return _spoilt(order, kind, rng)


def _spoilt(order: dict[str, Any], kind: str, rng: random.Random) -> bytes:
    if kind == "bad-key":
        order["key"] = rng.choice(BAD_KEYS)
    if kind == "bad-title":
        order["title"] = rng.choice(["a\r\nNats-Rollup: all", "a\nb", "a\0b", "\r"])
    if kind == "user-text":
        order["user"] = "root"
    if kind == "no-object":
        return rng.choice([b"[1,2]", b'"text"', b"17", b"null", b"true", b" [] "])
    text = json.dumps(order, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, None, 1])).encode()
    if kind == "truncated":
        return text[: rng.randrange(1, len(text))]
    if kind == "empty":
        return b""
    if kind == "binary":
        return b"\xff" + rng.randbytes(rng.randrange(60))
    if kind == "deep":
        return text[:-1].rstrip() + b',"deep":' + b"[" * 5000 + b"]" * 5000 + b"}"
    if kind == "bad-text":
        return text[:-1].rstrip() + b',"note":"\xff\xfe"}'
    if kind == "huge-number":
        return text[:-1].rstrip() + b',"weight":1e400}'
    return text


@dataclass(frozen=True)
class Expected:
    """One message that must be in a stream exactly once."""

    stream: str
    subject: str
    body: bytes | str
    """Bytes where they pass untouched, else canonical JSON."""
    headers: dict[str, str]
    """All of them, but for those in `UNSAID`."""


UNSAID = {
    "Nats-Msg-Id",
    "Gateway-Error-Message",
    "Gateway-First-Seen",
    "Gateway-Last-Seen",
    "Gateway-Config",
    "Gateway-Attempts",
}
"""Headers that must be there, whatever they say; the last five on dead letters only."""


def expected(source: Stored) -> list[Expected]:
    """What one source message must become, over all routes."""
    if source.subject.startswith("in.raw."):
        return [_passed(source, "RAW", f"raw.{source.subject[7:]}", None)]
    if source.subject.startswith("in.big."):
        body = json.loads(source.data)
        if len(body["blob"]) > 500_000:
            return [_letter(source, "big", "too-large", "publish", "big")]
        return [_changed(source, "OUT", "out.big", {**body, "again": body["blob"]}, None, {}, ())]
    return _for_orders(source) + _for_eu(source)


def _for_orders(source: Stored) -> list[Expected]:
    kind = source.headers["X-Kind"]
    code = ALL_POISON.get(kind) or STRICT_POISON.get(kind)
    if code is not None and kind != "user-text":
        return [_letter(source, "orders", code, STEPS[code])]
    body = json.loads(source.data)
    if not isinstance(body, dict) or not _orders_filter(body, source.headers):
        return []
    if kind == "user-text":
        return [_letter(source, "orders", "transform-error", STEPS["transform-error"])]
    identity = body.get("id")
    total = json.dumps(body["total"])
    body["user"] = {"seen": True, "name": body["user"]["name"], "id": body["user"]["userId"]}
    body |= {"routed": {"by": "gateway"}, "label": f"{body['region']}/{total}", "at": body["total"]}
    del body["secret"]
    copy = _changed(source, "OUT", "out.copy", body, identity, {}, ("X-Tenant",))
    if kind == "bad-key":
        return [copy, _letter(source, "orders", "unsafe-subject", "publish", "primary")]
    if kind == "bad-title":
        return [copy, _letter(source, "orders", "unsafe-header", "publish", "primary")]
    key = json.dumps(body["key"]) if isinstance(body["key"], (bool, int)) else body["key"]
    extra = {"X-Region": body["region"], "Nats-Expected-Stream": "OUT"}
    if "title" in body:
        extra["X-Title"] = body["title"].strip()
    return [copy, _changed(source, "OUT", f"out.orders.{body['region']}.{key}", body, identity, extra, ())]


def _orders_filter(body: dict[str, Any], headers: dict[str, str]) -> bool:
    region = body["region"]
    in_region = region in ("eu", "us") or (isinstance(region, str) and region[:3] == "ap-")
    return in_region and 10 <= body["total"] < 900 and headers["X-Tenant"] != "test"


def _for_eu(source: Stored) -> list[Expected]:
    kind = source.headers["X-Kind"]
    if kind in ALL_POISON:
        return [_letter(source, "eu", ALL_POISON[kind], STEPS[ALL_POISON[kind]])]
    body = json.loads(source.data.decode("utf-8", "replace"))
    if not isinstance(body, dict) or body["region"] != "eu":
        return []
    return [_passed(source, "OUT", f"out.eu.{source.subject[10:]}", body.get("id"))]


def _passed(source: Stored, stream: str, subject: str, identity: str | int | None) -> Expected:
    return Expected(stream, subject, source.data, _copy_headers(source, identity))


def _changed(
    source: Stored,
    stream: str,
    subject: str,
    body: dict[str, Any],
    identity: str | int | None,
    more: dict[str, str],
    less: tuple[str, ...],
) -> Expected:
    headers = {**_copy_headers(source, identity), **more}
    return Expected(stream, subject, canonical(body), {name: headers[name] for name in headers if name not in less})


def _copy_headers(source: Stored, identity: str | int | None) -> dict[str, str]:
    """Without an id of its own an event has the one it was published with."""
    said = str(identity) if identity is not None else source.headers["Nats-Msg-Id"]
    own = {"Gateway-Hops": "1", "Gateway-Correlation-Id": said, "Gateway-Causation-Id": said}
    return {**own, **{name: source.headers[name] for name in ("X-N", "X-Kind", "X-Tenant")}}


def _letter(source: Stored, route: str, code: str, step: str, failed: str = "") -> Expected:
    headers = {
        "Gateway-Name": "gateway",
        "Gateway-Route": route,
        "Gateway-Error-Code": code,
        "Gateway-Error-Step": step,
        "Gateway-Source-Stream": "IN",
        "Gateway-Source-Sequence": str(source.seq),
        "Gateway-Source-Subject": source.subject,
    }
    if failed:
        headers["Gateway-Failed-Targets"] = failed
    for name, value in source.headers.items():
        headers[f"Gateway-Original-{name}" if name.startswith(("Nats-", "Gateway-")) else name] = value
    return Expected("DLQ", f"dlq.{route}", source.data, headers)


def canonical(body: Any) -> str:
    """JSON that is equal when the values are, types included."""
    return json.dumps(body, sort_keys=True)


def differences(sources: list[Stored], outputs: dict[str, list[Stored]]) -> list[str]:
    """What is missing, too much or different, in words; empty when the streams hold exactly what they must."""
    found: dict[tuple[str, str, str], list[Stored]] = defaultdict(list)
    faults: list[str] = []
    for stream, messages in outputs.items():
        for message in messages:
            found[stream, message.subject, message.headers.get("X-N", "?")].append(message)
    for source in sources:
        for wanted in expected(source):
            there = found.pop((wanted.stream, wanted.subject, source.headers["X-N"]), [])
            what = f"{source.seq} ({source.headers['X-Kind']}) on {wanted.subject!r} in {wanted.stream}"
            if len(there) != 1:
                faults.append(f"{what}: {len(there)} times instead of once")
            else:
                faults += [f"{what}: {fault}" for fault in _compare(wanted, there[0])]
    return faults + [f"{place}: {len(left)} that nothing asked for" for place, left in found.items()]


def _compare(wanted: Expected, stored: Stored) -> list[str]:
    faults = []
    body = stored.data if isinstance(wanted.body, bytes) else canonical(json.loads(stored.data))
    if body != wanted.body:
        faults.append(f"body {body[:300]!r} instead of {wanted.body[:300]!r}")
    unsaid = UNSAID if wanted.stream == "DLQ" else {"Nats-Msg-Id"}
    headers = {name: value for name, value in stored.header_pairs if name not in unsaid}
    if headers != wanted.headers:
        faults.append(f"headers {headers} instead of {wanted.headers}")
    names = [name for name, _ in stored.header_pairs]
    if len(names) != len(set(names)) or not unsaid <= set(names):
        faults.append(f"header names {names}")
    return faults
