"""Routes for tests, compiled from config text with components made on the spot. Needs no server."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from gateway import Codec, Event, Filter, Transform, hookimpl
from gateway.config.loader import examine_text
from gateway.delivery import Delivery, Meta
from gateway.plugin import Component
from gateway.registry import load_plugins
from gateway.routing.compile import compile_config
from gateway.routing.outputs import Copy, copies
from gateway.routing.route import CompiledRoute, MessageIds
from gateway.routing.run import Failed, Passed, Result, Suspended, resume, run

STORED_NS = 1_700_000_000_123_456_789
CREATED = "2026-01-31T12:00:00.000000001Z"


class _Point:
    """An entry point with no distribution behind it."""

    name = value = "test"
    dist = None

    def __init__(self, components: Sequence[type[Component]]) -> None:
        self._components = components

    def load(self) -> Any:
        def offers(base: type[Component]) -> Callable[[], list[type[Component]]]:
            return lambda: [made for made in self._components if issubclass(made, base)]

        bases = {"gateway_filters": Filter, "gateway_transforms": Transform, "gateway_codecs": Codec}
        return type("Plugin", (), {name: staticmethod(hookimpl(offers(base))) for name, base in bases.items()})()


def filter_(answer: Callable[[Event], Any], named: str = "check", blocks: bool = False) -> type[Filter]:
    """A filter that answers what `answer` does; async when that is."""

    class Made(Filter, name=named):
        blocking = blocks

        def accepts(self, event: Event) -> Any:
            return answer(event)

    class MadeAsync(Made, name=named):
        async def accepts(self, event: Event) -> Any:
            return await answer(event)

    return MadeAsync if inspect.iscoroutinefunction(answer) else Made


def transform(answer: Callable[[Event], Any], named: str = "change", blocks: bool = False) -> type[Transform]:
    """A transform that answers what `answer` does; async when that is."""

    class Made(Transform, name=named):
        blocking = blocks

        def apply(self, event: Event) -> Any:
            return answer(event)

    class MadeAsync(Made, name=named):
        async def apply(self, event: Event) -> Any:
            return await answer(event)

    return MadeAsync if inspect.iscoroutinefunction(answer) else Made


def route_of(
    *steps: type[Component],
    codecs: Sequence[type[Codec]] = (),
    targets: str = "[{subject: billing.orders}]",
    more: str = "",
    name: str = "orders",
    gateway: str = "gateway",
    stream: str = "ORDERS",
) -> CompiledRoute:
    """A route whose steps are these components, in order; `more` are lines of YAML for the route."""
    lines = [
        f"name: {gateway}",
        "routes:",
        f"  - name: {name}",
        f"    source: {{stream: {stream}, subjects: [orders.>]}}",
        f"    targets: {targets}",
        *(f"    {line}" for line in more.splitlines()),
    ]
    for field, base in (("filters", Filter), ("transforms", Transform)):
        names = [step.name for step in steps if issubclass(step, base)]
        if names:
            lines.append(f"    {field}: [{', '.join(names)}]")
    loaded = examine_text(
        "\n".join(lines), env={}, registry=load_plugins(entry_points=[_Point([*dict.fromkeys(steps), *codecs])])
    )
    assert loaded.config is not None, loaded.problems
    [route], problems = compile_config(loaded.config, loaded.registry)
    assert not problems
    assert route.fault is None
    return route


def raises(error: BaseException) -> Callable[[Event], Any]:
    """A step that raises."""

    def answer(event: Event) -> Any:
        raise error

    return answer


def delivery_of(data: bytes, block: bytes = b"", subject: str = "orders.created", sequence: int = 7) -> Delivery:
    """A message as the source hands it over."""
    return Delivery(subject, block, data, "$JS.ACK.x", sequence, 1, STORED_NS)


def opened(route: CompiledRoute, delivery: Delivery) -> Event:
    """The event of a delivery, as the lane opens it."""
    return Event(route.reader, delivery, Meta(route.origin, delivery, 1))


def through(route: CompiledRoute, delivery: Delivery) -> list[Event]:
    """What the steps make of a delivery that passes them."""
    result = finish(route, run(route, opened(route, delivery)))
    assert isinstance(result, Passed)
    return result.events


def went(route: CompiledRoute, data: bytes = b'{"at": []}') -> Result:
    """What becomes of one event."""
    return run(route, opened(route, delivery_of(data)))


def finish(route: CompiledRoute, result: Result) -> Result:
    """Answer every suspension at once, as a runtime without other work does."""
    while isinstance(result, Suspended):
        result = resume(route, result, answer_of(result))
    return result


def answer_of(paused: Suspended) -> Any:
    """What the step that is waited for answers."""
    return paused.step.call(paused.event) if paused.awaitable is None else awaited(paused.awaitable)


def awaited(awaitable: Any) -> Any:
    """Drive a coroutine that never really waits; an event loop a case would cost more than the case."""
    assert isinstance(awaitable, Coroutine)
    try:
        awaitable.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


def copies_of(
    route: CompiledRoute, delivery: Delivery, events: list[Event] | None = None, max_payload: int = 1 << 20
) -> list[Copy]:
    """The copies of a delivery: of what the steps make of it, or of `events`."""
    source = opened(route, delivery)
    parts = events or [source]
    if events is None and route.steps:
        parts = through(route, delivery)
    made = copies(route, MessageIds(route, CREATED), delivery, source, parts, max_payload)
    assert not isinstance(made, Failed), made
    return made


def fields_of(block: bytes) -> list[tuple[bytes, bytes]]:
    """The headers of a block as a strict reader sees them: every line a header, nothing after the empty line."""
    assert block.startswith(b"NATS/1.0\r\n")
    assert block.endswith(b"\r\n\r\n")
    lines = block[:-4].split(b"\r\n")[1:]
    parted = [line.partition(b":") for line in lines]
    assert all(name and colon for name, colon, _ in parted), lines
    return [(name, value.removeprefix(b" ")) for name, _, value in parted]
