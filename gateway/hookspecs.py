"""The hooks a plugin may implement, through pluggy. All run at start or when a route begins or ends, none per event.

A plugin is the module or object an entry point of the group `gateway.plugins` names; a hook is a function of it with
one of these names under `@hookimpl`. It may take fewer arguments than are listed. Every plugin is loaded under a guard
of its own: what goes wrong in one is reported by `gateway plugins`, and its neighbours do not notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pluggy

from .lent import GatewayInfo, RouteInfo
from .plugin import Audit, Codec, Filter, Transform

PROJECT = "gateway"
GROUP = "gateway.plugins"
"""The entry-point group plugins are found under."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

# ---------------------------------------------------------------- components: called once, when plugins are loaded


@hookspec
def gateway_codecs() -> Sequence[type[Codec]]:  # type: ignore[empty-body]
    """Offer codecs. Called once, when plugins are loaded: by `gateway run` at the start and at every reload, and by
    every command that reads a config.

    Returns a list or tuple of subclasses of `Codec`, each with a name of its own; the classes, not instances. An empty
    list offers nothing. A name that another plugin offers too is no fault: routes then write `PLUGIN/NAME`. When it
    raises, or returns anything else, the whole plugin is left out, and the routes that need it stay down.

    Example:

        @hookimpl
        def gateway_codecs():
            return [Avro]
    """


@hookspec
def gateway_filters() -> Sequence[type[Filter]]:  # type: ignore[empty-body]
    """Offer filters. Called once, when plugins are loaded; everything as for `gateway_codecs`.

    Returns a list or tuple of subclasses of `Filter`.

    Example:

        @hookimpl
        def gateway_filters():
            return [Above, Below]
    """


@hookspec
def gateway_transforms() -> Sequence[type[Transform]]:  # type: ignore[empty-body]
    """Offer transforms. Called once, when plugins are loaded; everything as for `gateway_codecs`.

    Returns a list or tuple of subclasses of `Transform`.

    Example:

        @hookimpl
        def gateway_transforms():
            return [Geocode]
    """


@hookspec
def gateway_audits() -> Sequence[type[Audit]]:  # type: ignore[empty-body]
    """Offer audits. Called once, when plugins are loaded; everything as for `gateway_codecs`.

    Returns a list or tuple of subclasses of `Audit`.

    Example:

        @hookimpl
        def gateway_audits():
            return [Postgres]
    """


@hookspec
def gateway_settings() -> Any:
    """Name the type of the plugin's own settings, which all its components share. Called once, when plugins are loaded.

    Returns a type, best a subclass of `Settings`; what stands under `plugins.settings.<plugin>` in the config is
    converted to it, with faults reported at their place, and components find it as `context.settings`. A plugin
    without this hook, or that returns None, has no settings, and what stands there is a fault. Where nothing stands
    there the defaults count; a required field is asked for only when a route uses the plugin. When it raises, the
    plugin is left out.

    Example:

        class Own(Settings):
            endpoint: str
            token: Secret | None = None


        @hookimpl
        def gateway_settings():
            return Own
    """


# ---------------------------------------------------------------- life cycle: sync, on the event loop, so be quick


@hookspec
def gateway_started(info: GatewayInfo) -> None:
    """Be told that the gateway has started. Called once per process, when every route is up, or down with a reason, or
    when there has been no server for two seconds. Not called again after a reload, nor for plugins that come with one.

    `info` has the gateway's name, the instance, the version and the digest of the config. It runs on the event loop:
    what takes long belongs into a thread. What it raises is logged, and changes nothing.

    Example:

        @hookimpl
        def gateway_started(info):
            resource.set("service.instance.id", info.instance)
    """


@hookspec
def gateway_stopping(info: GatewayInfo) -> None:
    """Be told that the gateway is about to end. Called once per process, before routes drain and components close.

    `info` is as in `gateway_started`. A process that is killed does not call it. What it raises is logged.

    Example:

        @hookimpl
        def gateway_stopping(info):
            log.info("goodbye from %s", info.instance)
    """


@hookspec
def gateway_route_started(route: RouteInfo) -> None:
    """Be told that a route works. Called when it begins to pull for the first time in this process, and again after a
    reload replaced it; not when it comes back after a fault.

    `route` has the gateway's and the route's name, its description, stream, durable and the names of its targets. It
    runs on the event loop. What it raises is logged.

    Example:

        @hookimpl
        def gateway_route_started(route):
            durables[route.name] = route.durable
    """


@hookspec
def gateway_route_stopped(route: RouteInfo) -> None:
    """Be told that a route has ended. Called once it is drained and its components are closed: at the end, or because
    a reload changed or removed it. Only for routes that had started.

    `route` is as in `gateway_route_started`. What it raises is logged.

    Example:

        @hookimpl
        def gateway_route_stopped(route):
            durables.pop(route.name, None)
    """
