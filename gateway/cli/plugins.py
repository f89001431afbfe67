"""`gateway plugins`: what is installed, what it offers, what is wrong with it; and a new one."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

import click

from ..config.loader import examine
from ..registry import PluginHealth, Registry, Status, load_plugins
from ..routing.compile import compile_config
from .exits import FINDINGS
from .options import json_option, plugin_option
from .plugins_info import info
from .plugins_new import new

_BROKEN = (Status.FAILED, Status.CLASH)

config_option = click.option(
    "-c",
    "--config",
    "config",
    metavar="FILE",
    envvar="GATEWAY_CONFIG",
    show_envvar=True,
    help="A config: its plugins.disable and plugins.only count, and the routes that use a plugin are shown.",
)


@click.group(invoke_without_command=True)
@click.pass_context
def plugins(ctx: click.Context) -> None:
    """Show plugins and components, or begin a plugin.

    Without a command it is `gateway plugins list`.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(listing)


@click.command("list")
@config_option
@plugin_option
@json_option
def listing(config: str | None = None, disable: Sequence[str] = (), as_json: bool = False) -> None:
    """List the installed plugins: where each comes from, what it offers, and what is wrong with it.

    A plugin that is broken keeps down the routes that need it, and nothing else. Exit codes: 0 all are in order, 1
    some plugin is broken.
    """
    registry, users = _registry(config, disable)
    if as_json:
        documents = [
            {**asdict(health), "routes": users.get(health.name, []), "notes": _notes(registry, health)}
            for health in registry.health
        ]
        click.echo(json.dumps(documents, indent=2))
    else:
        for health in registry.health:
            _show(health, users.get(health.name, []), _notes(registry, health))
    if any(health.status in _BROKEN for health in registry.health):
        sys.exit(FINDINGS)


def _registry(config: str | None, disable: Sequence[str]) -> tuple[Registry, dict[str, list[str]]]:
    """The plugins, and which routes use each; without a config nobody does."""
    if config is None:
        return load_plugins(disable), {}
    loaded = examine(config, disable=disable)
    users: dict[str, list[str]] = {}
    for route in compile_config(loaded.draft, loaded.registry)[0]:
        for plugin in route.plugins:
            users.setdefault(plugin, []).append(route.name)
    return loaded.registry, users


def _notes(registry: Registry, health: PluginHealth) -> list[str]:
    """What is in order and may surprise all the same: names that others have too."""
    return registry.clashes(health.name) if health.status is Status.OK else []


def _show(health: PluginHealth, routes: Sequence[str], notes: Sequence[str]) -> None:
    origin = f"{health.distribution} {health.version}".strip() or "unknown origin"
    color = {Status.OK: "green", Status.DISABLED: "yellow"}.get(health.status, "red")
    click.echo(f"{health.name}  {click.style(str(health.status), fg=color)}  ({origin})")
    by_kind: dict[str, list[str]] = {}
    for component in health.components:
        kind, _, name = component.partition(" ")
        by_kind.setdefault(kind, []).append(name)
    for kind, names in by_kind.items():
        click.echo(f"  {kind}s: {', '.join(names)}")
    if routes:
        click.echo(f"  used by: {', '.join(routes)}")
    for note in notes:
        click.echo(f"  note: {note}")
    if health.reason:
        click.echo(f"  {health.reason}")
    if health.status in _BROKEN:
        click.echo("  what now: upgrade or uninstall it; until then the routes that need it stay down, the others run")


plugins.add_command(listing)
plugins.add_command(info)
plugins.add_command(new)
