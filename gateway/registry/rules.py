"""What a plugin must get right before its components may be used; each fault says what to write instead."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Any, get_origin

import pluggy

from ..errors import PluginError
from ..plugin import Audit, Codec, Component, Filter, Transform
from ..problems import nearest, quoted

BASES: dict[str, type[Component]] = {"codec": Codec, "filter": Filter, "transform": Transform, "audit": Audit}
"""The kinds of component, and what each is made of."""
RESERVED = frozenset({"name", "when", "timeout", "on-error"})
"""Words of a step that are not component names."""

_PLAIN = (
    "prepare",
    "reads",
    "explain",
    "settled",
    "decode",
    "encode",
    "encode_own",
    "attributes",
    "rewrites",
    "reader",
)
"""Methods that no component may make async: what they gave would never be waited for."""
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def check_hooks(manager: pluggy.PluginManager, plugin: Any) -> dict[str, Callable[..., Any]]:
    """The plugin's hooks by name; raises PluginError for one nobody calls, and when there is none."""
    known = [name for name, caller in vars(manager.hook).items() if getattr(caller, "spec", None) is not None]
    hooks: dict[str, Callable[..., Any]] = {}
    for caller in manager.get_hookcallers(plugin) or ():
        for hook in caller.get_hookimpls():
            if hook.plugin is not plugin:
                continue
            if caller.spec is None and not hook.optionalhook:
                near = nearest(caller.name, known)
                raise PluginError(
                    f"nobody calls the hook {quoted(caller.name)}{f'; did you mean {quoted(near)}?' if near else ''}"
                    f" ({_place(hook.function)})"
                )
            if inspect.iscoroutinefunction(hook.function):
                raise PluginError(
                    f"the hook {caller.name} is async; hooks are called without waiting ({_place(hook.function)})"
                )
            hooks[caller.name] = hook.function
    if not hooks:
        raise PluginError("it has no hook: put @hookimpl from gateway on its gateway_... functions")
    return hooks


def check_component(kind: str, component: Any, base: type[Component]) -> None:
    """Whether a plugin's class can be used as a component of `kind`; raises PluginError."""
    if not isinstance(component, type) or not issubclass(component, base):
        what = component.__name__ if isinstance(component, type) else repr(component)
        raise PluginError(f"gateway_{kind}s() returned {what}, which is no subclass of gateway.{base.__name__}")
    name = component.name
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PluginError(f'{component.__name__} is called {name!r}; give it a kebab-case name: name="my-{kind}"')
    if name in RESERVED:
        raise PluginError(f"{component.__name__} is called {quoted(name)}, which steps reserve; choose another name")
    method = {"codec": "decode", "filter": "accepts", "transform": "apply", "audit": "record"}[kind]
    if getattr(component, method) is getattr(base, method):
        raise PluginError(f"{component.__name__} has no method {method}()")
    if inspect.isabstract(component):
        raise PluginError(f"{component.__name__} has abstract methods left")
    for method in _PLAIN:
        if inspect.iscoroutinefunction(getattr(component, method, None)):
            raise PluginError(f"{component.__name__}.{method}() is async; it is called without waiting: make it plain")
    for words in ("codes", "owns"):
        value = getattr(component, words, ())
        if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
            raise PluginError(f"{component.__name__}.{words} is {value!r}; it is a tuple of texts")


def check_settings(settings: Any) -> None:
    """Whether what `gateway_settings` returned can be a type; raises PluginError."""
    if settings is None or isinstance(settings, type | UnionType) or get_origin(settings) is not None:
        return
    raise PluginError(f"gateway_settings() returned a {type(settings).__name__}, not a type")


def _place(function: Any) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(function)


def offered_by(hooks: dict[str, Callable[..., Any]]) -> Iterator[tuple[str, Any]]:
    """Kind and class of what a plugin's component hooks return."""
    for kind in BASES:
        hook = hooks.get(f"gateway_{kind}s")
        if hook is None:
            continue
        classes = hook()
        if not isinstance(classes, list | tuple):
            raise PluginError(f"gateway_{kind}s() returned {type(classes).__name__}, not a list of classes")
        for component in classes:
            yield kind, component
