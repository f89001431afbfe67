"""Writes docs/components.md from the built-ins themselves: `python -m tests.docs.components_page`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import msgspec
import yaml

from gateway.plugin import Component
from gateway.registry import BUILTIN, load_plugins

PAGE = Path(__file__).parents[2] / "docs" / "components.md"
HEADER = """# Built-in components

Made from the components themselves: `python -m tests.docs.components_page` writes this page, and a test compares it.

A step in a route is a mapping with one key, the component's name, whose value is its config; a plain name is a step
without config. Paths are dotted (`detail.data.total`, `items.0.sku`, `detail."a.b"`), names with `$` reach around the
body (`$subject`, `$headers.X-Tenant`, ...), templates are texts with `{path}`, `{path|or:text}` or `{path|token}`.
What a pattern says exactly, and where it differs from EventBridge: [patterns](patterns.md).
"""
TITLES = {"codec": "Codecs", "filter": "Filters", "transform": "Transforms", "audit": "Audits"}


def page() -> str:
    """The whole page."""
    registry = load_plugins(entry_points=[])
    parts = [HEADER]
    for kind, title in TITLES.items():
        components = [component for plugin, component in registry.components(kind) if plugin == BUILTIN]
        if components:
            parts.append(f"## {title}\n")
            parts += [_section(component) for component in components]
    return "\n".join(parts).rstrip() + "\n"


def _section(component: type[Component]) -> str:
    lines = [f"### `{component.name}`\n", inspect.cleandoc(component.__doc__ or ""), ""]
    fields = _fields(component.Config)
    if fields:
        lines += ["| field | default |", "|---|---|", *fields, ""]
    if component.example is not None:
        example = yaml.safe_dump(
            {component.name: component.example}, default_flow_style=None, sort_keys=False, width=110
        )
        lines += ["```yaml", example.rstrip(), "```", ""]
    return "\n".join(lines)


def _fields(config: Any) -> list[str]:
    """A row per field of a Struct; other configs are described by the component's text."""
    if not (isinstance(config, type) and issubclass(config, msgspec.Struct)):
        return []
    rows = []
    for field in msgspec.structs.fields(config):
        default = "required" if field.required else _shown(field.default)
        rows.append(f"| `{field.encode_name}` | {default} |")
    return rows


def _shown(default: Any) -> str:
    if default is msgspec.NODEFAULT:
        return "empty"
    if default is None or default is msgspec.UNSET:
        return "none"
    if isinstance(default, msgspec.Struct):
        fields = msgspec.structs.fields(default)
        return "`{" + ", ".join(f"{field.encode_name}: {getattr(default, field.name)}" for field in fields) + "}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
