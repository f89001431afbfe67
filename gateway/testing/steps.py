"""Components and single steps in a test: made by the config layer and run by the route's own code."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from ..config import model
from ..config.loader import examine_text
from ..errors import ConfigError
from ..event import Event
from ..hookspecs import hookimpl
from ..lent import Context
from ..plugin import Component, Filter, Transform
from ..registry import BASES, Registry, load_plugins
from ..routing.compile import compile_config
from ..routing.offline import OfflineContext
from ..routing.route import CompiledRoute
from ..routing.run import Again, Failed, Passed, Stopped, Suspended, failed_step, resume, run

Made = TypeVar("Made", bound=Component)
T = TypeVar("T")


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a route would do next with an event after one step."""

    verdict: str
    """`passed`, `filtered`, `dropped`, `failed` (to the dead letters) or `again` (tried again by the retry policy)."""
    events: tuple[Event, ...] = ()
    """What goes on: one event, or several after a split; none unless it passed."""
    code: str = ""
    """For `failed` and `again`: the Reject's or Retry's code, `filter-error`, `transform-error`, `decode-error`."""
    reason: str = ""
    """Why, as audit records and dead letters say it."""

    @property
    def passed(self) -> bool:
        """Whether it goes on."""
        return self.verdict == "passed"

    @property
    def event(self) -> Event:
        """The one event that goes on; AssertionError when it is not exactly one."""
        assert len(self.events) == 1, f"{self.verdict} with {len(self.events)} events: {self.code} {self.reason}"
        return self.events[0]


def make_component(component: type[Made], config: Any = None, *, settings: Any = None) -> Made:
    """A prepared component. `config` is plain data as a config file holds it, `settings` the plugin's own settings.

    It is read and checked as `gateway check` would, and what that finds is raised as ConfigError. `open` is not called.
    """
    made = _compiled(component, config, settings)[1]
    assert isinstance(made, component)
    return made


def run_step(
    step: type[Filter] | type[Transform] | Filter | Transform,
    event: Event,
    config: Any = None,
    *,
    settings: Any = None,
) -> StepResult:
    """Run one filter or transform over an event as a route would, and say what would follow.

    Give a class with its config, or a component made before, to keep what it remembers. A class is opened before and
    closed after the event. Async and blocking components are waited for. Needs no server: `context.kv` and
    `context.publish` raise Retry; the fixture `run_gateway` has the real thing.
    """
    if isinstance(step, type):
        route, made = _compiled(step, config, settings)
        return wait_for(lambda: _opened(route, made, event))
    return wait_for(step_call(step, event))


def step_call(step: Filter | Transform, event: Event) -> Callable[[], Coroutine[Any, Any, StepResult]]:
    """What runs a component made before over an event."""
    route = _route_around(step)
    return lambda: _run(route, event)


def registry_of(component: type[Component]) -> Registry:
    """The built-ins, and `component` as the only one of a plugin called `test`."""
    return load_plugins(entry_points=[_Point(component)])


class _Point:
    """A plugin of one component; also the entry point that finds it."""

    name = "test"
    value = "gateway.testing"

    def __init__(self, component: type[Component]) -> None:
        setattr(self, f"gateway_{kind_of(component)}s", hookimpl(lambda: [component]))

    def load(self) -> _Point:
        return self


def kind_of(component: type[Component]) -> str:
    """codec, filter, transform or audit; TypeError for anything else."""
    for kind, base in BASES.items():
        if isinstance(component, type) and issubclass(component, base):
            return kind
    what = component.__name__ if isinstance(component, type) else repr(component)
    raise TypeError(f"{what} is no Codec, Filter, Transform or Audit: give the class")


def _compiled(component: type[Component], config: Any, settings: Any) -> tuple[CompiledRoute, Component]:
    """A route with the component in it, and the component; raises ConfigError."""
    kind = kind_of(component)
    step = {f"test/{component.name}": config}
    route: dict[str, Any] = {
        "name": "test",
        "source": {"stream": "ORDERS", "subjects": [">"]},
        "targets": [{"subject": "test.out"}],
        **({"codec": step} if kind == "codec" else {f"{kind}s": [step]}),
    }
    registry = registry_of(component)
    loaded = examine_text(json.dumps({"routes": [route]}), file="<test>", registry=registry)
    problems = [problem for problem in loaded.problems if not problem.is_warning]
    routes: list[CompiledRoute] = []
    if not problems:
        routes, problems = compile_config(loaded.draft, registry, _contexts(loaded.draft, settings))
    if problems:
        raise ConfigError(problems)
    (compiled,) = routes
    if compiled.fault is not None:
        raise RuntimeError(compiled.fault[1])
    made = next(one for one in compiled.components if type(one) is component)
    return compiled, made


def _contexts(config: model.Config, settings: Any) -> Callable[[str, str], Context]:
    return lambda plugin, route: OfflineContext(config.name, route, plugin, settings)


def _route_around(step: Filter | Transform) -> CompiledRoute:
    """A route whose only step is this very component."""
    if not isinstance(step, Filter | Transform):
        raise TypeError(f"{step!r} is no filter or transform: give the class, or what make_component made of it")
    route, _ = _compiled(_Passing, None, None)
    call = step.accepts if isinstance(step, Filter) else step.apply
    (old,) = route.steps
    new = msgspec.structs.replace(
        old,
        label=f"{kind_of(type(step))}-0-{step.name}",
        call=call,
        is_filter=isinstance(step, Filter),
        is_async=inspect.iscoroutinefunction(call),
        may_wait=step.may_wait,
        blocking=step.blocking,
        component=step,
    )
    return msgspec.structs.replace(route, steps=(new,))


class _Passing(Filter, name="passing"):
    """Lets everything through."""

    def accepts(self, event: Event) -> bool:
        return True


async def _opened(route: CompiledRoute, component: Component, event: Event) -> StepResult:
    waiting = component.open()
    if inspect.isawaitable(waiting):
        await waiting
    try:
        return await _run(route, event)
    finally:
        waiting = component.close()
        if inspect.isawaitable(waiting):
            await waiting


async def _run(route: CompiledRoute, event: Event) -> StepResult:
    result = run(route, event)
    while isinstance(result, Suspended):
        step = result.step
        try:
            value = step.call(result.event) if result.awaitable is None else await result.awaitable
            if inspect.isawaitable(value):
                value = await value
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a component raises is a verdict, as in a route
            result = failed_step(step, error)
        else:
            result = resume(route, result, value)
    if isinstance(result, Passed):
        return StepResult(verdict="passed", events=tuple(result.events))
    if isinstance(result, Stopped):
        return StepResult(verdict=str(result.outcome), reason=result.explain())
    assert isinstance(result, Failed | Again)
    verdict = "failed" if isinstance(result, Failed) else "again"
    return StepResult(verdict=verdict, code=result.code, reason=result.message)


def wait_for(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, also for a caller inside a running loop: then in a thread, with a loop of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(make())
    done: list[T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            done.append(asyncio.run(make()))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the caller waits
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]
