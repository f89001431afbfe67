"""Writes docs/hooks.md from the contract's own docstrings: `python -m tests.docs.hooks_page`."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gateway
from gateway import hookspecs
from gateway.config.describe import field_docs
from gateway.errors import Reject, Retry
from gateway.event import Attributes, AuditRecord, Drop, Encoded, Event, Meta, PubAck
from gateway.lent import Context, GatewayInfo, KeyValueBucket, Metrics, RouteInfo
from gateway.plugin import Audit, Codec, Component, Filter, Transform
from gateway.registry import BASES, BUILTIN, load_plugins
from gateway.testing import StepResult, check_plugin, make_component, make_event, run_step
from gateway.testing.running import Message, RunningGateway

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "hooks.md"
HEADER = """# Hooks, components and what the gateway lends them

Made from the docstrings of the contract: `python -m tests.docs.hooks_page` writes this page, and a test compares it.
How to begin, and how to test what you wrote: [plugins](plugins.md). The components that come with the gateway and
their configs: [components](components.md).
"""
HOOKS: dict[str, Callable[..., Any]] = {
    name: value for name, value in vars(hookspecs).items() if name.startswith("gateway_") and callable(value)
}
"""Every hook there is."""
INSIDE: dict[type[Any], frozenset[str]] = {
    Event: frozenset({"attributes", "changed", "encodable", "own_headers", "time_text", "top", "view", "with_body"}),
    Codec: frozenset({"reader", "encode_own"}),
}
"""For the built-ins alone; no promise is made of them."""


def users_of(hook: str) -> list[str]:
    """Who of us implements a hook: the built-ins, and the distributions in plugins/."""
    built_in = [BUILTIN] if hook in _hooks_in(ROOT / "gateway" / "components" / "__init__.py") else []
    folders = sorted((ROOT / "plugins").glob("*/src"))
    return built_in + [
        folder.parent.name for folder in folders if any(hook in _hooks_in(file) for file in folder.rglob("*.py"))
    ]


def _hooks_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and any("hookimpl" in ast.unparse(mark) for mark in node.decorator_list)
    }


def page() -> str:
    """The whole page."""
    return "\n".join(_parts()).rstrip() + "\n"


def _parts() -> Iterator[str]:
    yield HEADER
    yield f"## Hooks\n\n{_text(hookspecs).partition(chr(10) * 2)[2]}\n"
    for name, hook in HOOKS.items():
        yield f"### `{name}{_signature(hook)}`\n"
        yield f"{_text(hook)}\n\nUsed by: {', '.join(users_of(name))}\n"
    yield "## What the life-cycle hooks are told\n"
    for told in (GatewayInfo, RouteInfo):
        yield from _fields(told)
    yield "## Components\n"
    yield from _class(Component, "Component")
    for base in (Filter, Transform, Audit, Codec):
        yield from _class(base, base.__name__)
        yield f"Built in: {', '.join(_links(base))}\n"
    yield "## Context\n"
    for lent in (Context, KeyValueBucket, Metrics):
        yield from _class(lent, lent.__name__)
    yield "## Events\n"
    yield from _class(Event, "Event")
    yield from _class(Meta, "event.meta")
    yield "## Answers and records\n"
    for value in (Reject, Retry, Drop):
        yield f"### `{value.__name__}{_signature(value)}`\n\n{_text(value)}\n"
    for value in (Encoded, Attributes, PubAck, AuditRecord):
        yield from _fields(value)
    yield "## The testing kit\n\nFrom `gateway.testing`, and from the fixture `run_gateway`.\n"
    for function in (make_event, make_component, run_step, check_plugin):
        yield f"### `{function.__name__}{_signature(function)}`\n\n{_text(function)}\n"
    yield from _fields(StepResult)
    for kit in (RunningGateway, Message):
        yield from _class(kit, kit.__name__)
    yield "## Everything `gateway` exports\n"
    yield ", ".join(f"`{name}`" for name in gateway.__all__) + "\n"


def _links(base: type[Component]) -> Iterator[str]:
    kind = next(kind for kind, own in BASES.items() if own is base)
    for plugin, component in load_plugins(entry_points=[]).components(kind):
        if plugin == BUILTIN:
            yield f"[`{component.name}`](components.md#{component.name})"


def _class(cls: type[Any], title: str) -> Iterator[str]:
    """What stands under a class's name: text, attributes, properties, methods."""
    yield f"### `{title}`\n\n{_text(cls)}\n"
    docs = field_docs(cls)
    own = {
        name: value for name, value in vars(cls).items() if not name.startswith("_") and name not in INSIDE.get(cls, ())
    }
    items = [f"- `{name}`: {docs[name]}" for name in docs if name in vars(cls).get("__annotations__", {})]
    items += [f"- `{name}`: {_line(value)}" for name, value in own.items() if isinstance(value, property)]
    if items:
        yield "\n".join(items) + "\n"
    for name, value in own.items():
        if inspect.isfunction(value):
            yield f"#### `{name}{_signature(value)}`\n\n{_text(value)}\n"


def _fields(struct: type[Any]) -> Iterator[str]:
    docs = field_docs(struct)
    yield f"### `{struct.__name__}`\n\n{_text(struct)}\n"
    rows = (f"- `{name}`{f': {docs[name]}' if name in docs else ''}" for name in struct.__struct_fields__)
    yield "\n".join(rows) + "\n"


def _signature(function: Any) -> str:
    """Arguments with their types and defaults, and what comes back."""
    signature = inspect.signature(function)
    parts: list[str] = []
    for name, argument in signature.parameters.items():
        if name == "self":
            continue
        if argument.kind is argument.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        typed = name if argument.annotation is argument.empty else f"{name}: {_name(argument.annotation)}"
        shown = "..." if len(repr(argument.default)) > 30 else repr(argument.default)
        parts.append(typed if argument.default is argument.empty else f"{typed} = {shown}")
    back = signature.return_annotation
    return f"({', '.join(parts)})" + ("" if back in (signature.empty, None, "None") else f" -> {_name(back)}")


def _name(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _line(what: Any) -> str:
    return " ".join(_text(what).split())


def _text(what: Any) -> str:
    """A docstring as Markdown: examples, which are indented, become Python blocks."""
    text = inspect.cleandoc(what.__doc__ or "")
    return re.sub(r"\nExample:\n\n((?:    .*\n?|\n)+)", _block, text + "\n").strip()


def _block(found: re.Match[str]) -> str:
    code = "\n".join(line.removeprefix("    ") for line in found[1].rstrip().splitlines())
    return f"\n```python\n{code}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
