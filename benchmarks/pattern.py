"""How long a pattern takes for one event, beside decoding the event.

The event is an EventBridge order of about 550 bytes. Times are the best of several runs, in nanoseconds and as a
multiple of `msgspec.json.decode` of the same bytes.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from gateway.components.filters.pattern import compile_pattern

from .table import table

EVENT = (
    b'{"version":"0","id":"6a7e8feb-b491-4cf7-a9f1-bf3703467718","detail-type":"OrderCreated","source":"shop.orders",'
    b'"account":"111122223333","time":"2026-11-23T18:43:48Z","region":"eu-west-1","resources":[],'
    b'"detail":{"metadata":{"service":"checkout","version":"1.14.2","correlation-id":"c-77120"},'
    b'"data":{"orderId":"o-1842","userId":"u-5531","state":"paid","total":249.9,"currency":"EUR",'
    b'"items":[{"sku":"B-100","qty":2,"price":99.95},{"sku":"A-7","qty":1,"price":50.0}],'
    b'"customer_id":"c-19","address":{"country":"DE","city":"Berlin"}}}}'
)
ENVELOPE = {"source": ["shop.orders"], "detail-type": ["OrderCreated"]}


def detail(**data: list[Any]) -> dict[str, Any]:
    """A pattern for the envelope and for fields of `detail.data`."""
    return ENVELOPE | {"detail": {"data": data}}


CASES: dict[str, tuple[dict[str, Any], bool]] = {
    "three literals, match": (detail(state=["paid"]), True),
    "literal, literal, prefix, match": (detail(orderId=[{"prefix": "o-"}]), True),
    "literal, literal, range, match": (detail(total=[{"numeric": [">", 100, "<", 500]}]), True),
    "literal, prefix and range, match": (
        {
            "source": ["shop.orders"],
            "detail": {"data": {"orderId": [{"prefix": "o-"}], "total": [{"numeric": [">", 9]}]}},
        },
        True,
    ),
    "three literals 2 deep, match": (ENVELOPE | {"detail": {"metadata": {"service": ["checkout"]}}}, True),
    "eight fields, match": (
        detail(
            state=["paid", "sent"],
            currency=[{"anything-but": "USD"}],
            total=[{"numeric": [">", 100]}],
            userId=[{"prefix": "u-"}],
            customer_id=[{"exists": True}],
        )
        | {"region": ["eu-west-1"]},
        True,
    ),
    "first field misses": ({"source": ["shop.returns"], "detail-type": ["OrderCreated"]}, False),
    "first field, 3 deep, misses": ({"detail": {"data": {"state": ["open"]}}} | ENVELOPE, False),
    "last of three misses": (detail(state=["open"]), False),
    "$or of three, third matches": (
        ENVELOPE | {"$or": [{"region": ["us-east-1"]}, {"account": ["1"]}, {"detail": {"data": {"state": ["paid"]}}}]},
        True,
    ),
    "list of objects, second matches": (
        detail(items=[]) | {"detail": {"data": {"items": {"sku": ["A-7"], "qty": [1]}}}},
        True,
    ),
}


def best(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The best time of one call of each, in nanoseconds. All take turns, so that a busy moment hits all of them."""
    timers = {name: timeit.Timer(call) for name, call in calls.items()}
    counts = {name: max(1, round(0.01 / timer.timeit(1))) for name, timer in timers.items()}
    found = dict.fromkeys(calls, float("inf"))
    for _round in range(30):
        for name, timer in timers.items():
            found[name] = min(found[name], timer.timeit(counts[name]) / counts[name] * 1e9)
    return found


def measure() -> dict[str, float]:
    """Nanoseconds of every case, of `decode`, of a bare `call`, and of compiling a pattern (`compile`)."""
    body = msgspec.json.decode(EVENT)
    calls: dict[str, Callable[[], object]] = {
        "call": partial(dict.get, body, "id"),
        "decode": partial(msgspec.json.decode, EVENT),
        "compile": partial(compile_pattern, CASES["eight fields, match"][0]),
    }
    for name, (pattern, expected) in CASES.items():
        match = compile_pattern(pattern)
        assert match(body) is expected, name
        calls[name] = partial(match, body)
    return best(calls)


def report(times: dict[str, float]) -> str:
    """One line per pattern."""
    decode = times["decode"]
    head = f"patterns, event of {len(EVENT)} bytes: decode {decode:.0f} ns, a bare call {times['call']:.0f} ns, "
    head += f"compiling eight fields {times['compile'] / 1000:.0f} us"
    rows = [(name, f"{times[name]:.0f}", f"{times[name] / decode:.2f}") for name in CASES]
    return f"{head}\n{table(('pattern', 'ns', 'x decode'), rows)}"
