"""`gateway plugins info`: a plugin or a component, as its author describes it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

import click
import msgspec
import yaml

from ..config.describe import describe, takes
from ..plugin import Component
from ..problems import did_you_mean
from ..registry import BASES, Registry, load_plugins
from .options import json_option


@click.command()
@json_option
@click.argument("name")
def info(name: str, as_json: bool) -> None:
    """Tell what a plugin offers, or what a component does and takes.

    NAME is a plugin (acme), a component (above), or a component of one plugin (acme/above). Exit codes: 0 shown, 2
    nothing is called that.
    """
    registry = load_plugins()
    found = [*_plugins(registry, name), *_components(registry, name)]
    if not found:
        known = {health.name for health in registry.health}
        known.update(own for kind in BASES for own in registry.names(kind))
        raise click.UsageError(f"nothing is called {name!r}; {did_you_mean(name, known, 'plugins and components')}")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for index, one in enumerate(found):
        if index:
            click.echo()
        _show_plugin(one) if "status" in one else _show_component(one)


def _plugins(registry: Registry, name: str) -> Iterator[dict[str, Any]]:
    health = registry.status_of(name)
    if health is None:
        return
    settings = registry.settings_type(name)
    components = [
        {"kind": kind, "name": component.name, "summary": component.summary}
        for kind in BASES
        for owner, component in registry.components(kind)
        if owner == name
    ]
    yield {
        "plugin": health.name,
        "status": str(health.status),
        "distribution": health.distribution,
        "version": health.version,
        "reason": health.reason,
        "hooks": list(health.hooks),
        "components": components,
        "settings": [] if settings is None else msgspec.to_builtins(describe(settings)),
    }


def _components(registry: Registry, name: str) -> Iterator[dict[str, Any]]:
    for kind in BASES:
        for owner, component in registry.components(kind):
            if name in (component.name, f"{owner}/{component.name}"):
                yield {"kind": kind, "name": component.name, "plugin": owner, **_described(component)}


def _described(component: type[Component]) -> dict[str, Any]:
    return {
        "summary": component.summary,
        "text": inspect.cleandoc(component.__doc__ or ""),
        "takes": takes(component.Config),
        "fields": msgspec.to_builtins(describe(component.Config)),
        "example": component.example,
        "codes": list(component.codes),
        "blocking": component.blocking,
        "shared": component.shared,
    }


def _show_plugin(one: dict[str, Any]) -> None:
    origin = f"{one['distribution']} {one['version']}".strip() or "unknown origin"
    click.echo(f"plugin {one['plugin']}: {one['status']} ({origin})")
    if one["reason"]:
        click.echo(f"  {one['reason']}")
    for component in one["components"]:
        click.echo(f"  {component['kind']} {component['name']}: {component['summary']}")
    if one["settings"]:
        click.echo(f"  settings, under plugins.settings.{one['plugin']}:")
        _show_fields(one["settings"], "    ")


def _show_component(one: dict[str, Any]) -> None:
    click.echo(f"{one['kind']} {one['name']} (plugin {one['plugin']})\n")
    click.echo(one["text"] or "Its author says nothing about it.")
    click.echo()
    if one["fields"]:
        click.echo("Config:")
        _show_fields(one["fields"], "  ")
    else:
        click.echo(f"Config: {one['takes']}")
    if one["example"] is not None:
        step = {one["name"]: one["example"]}
        text = yaml.safe_dump([step], default_flow_style=None, sort_keys=False, width=100)
        click.echo("\nExample:\n" + "".join(f"  {line}\n" for line in text.splitlines()), nl=False)
    if one["codes"]:
        click.echo(f"\nRejects with: {', '.join(one['codes'])}")
    if one["blocking"]:
        click.echo("\nRuns in a thread of its own.")
    if one["shared"]:
        click.echo("\nRoutes with equal configs share one instance.")


def _show_fields(fields: list[dict[str, Any]], indent: str) -> None:
    width = max(len(field["key"]) for field in fields)
    for field in fields:
        need = "required" if field["required"] else f"default {json.dumps(field['default'])}"
        need = "optional" if not field["required"] and field["default"] is None else need
        text = f"  {field['text']}" if field["text"] else ""
        click.echo(f"{indent}{field['key']:<{width}}  {field['takes']}, {need}{text}")
