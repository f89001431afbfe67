"""The floors of the code as data; `test_floors.py` fails when the code leaves them.

A module imports from lower floors, and without cycles from its own package. On floors 0 and 1, where modules stand
alone, they import from each other.
"""

from __future__ import annotations

FLOORS: dict[str, int] = {
    # Plain data.
    "gateway.chain": 0,
    "gateway.delivery": 0,
    "gateway.errors": 0,
    "gateway.event": 0,
    "gateway.headers": 0,
    "gateway.missing": 0,
    "gateway.paths": 0,
    "gateway.problems": 0,
    "gateway.records": 0,
    "gateway.subjects": 0,
    "gateway.templates": 0,
    "gateway.trace": 0,
    "gateway.values": 0,
    # The plugin contract, and what an edge must offer.
    "gateway.hookspecs": 1,
    "gateway.lent": 1,
    "gateway.plugin": 1,
    "gateway.ports": 1,
    # Re-exports for plugin authors, nothing else.
    "gateway": 2,
    # The built-ins.
    "gateway.components": 2,
    # File to Structs; plugins found and checked.
    "gateway.config": 3,
    "gateway.registry": 3,
    # Pure: compile routes, run one event, decide.
    "gateway.routing": 4,
    # Async: one lane per route.
    "gateway.runtime": 5,
    # The edges.
    "gateway.audit_files": 6,
    "gateway.clock": 6,
    "gateway.instance": 6,
    "gateway.jetstream": 6,
    "gateway.observe": 6,
    "gateway.systemd": 6,
    "gateway.web": 6,
    # Where concrete classes meet.
    "gateway.app": 7,
    "gateway.facts": 7,
    "gateway.testing": 7,
    "gateway.daemon": 7,
    "gateway.dlq": 7,
    "gateway.demo": 7,
    "gateway.proof": 7,
    # One command a file.
    "gateway.cli": 8,
    "gateway.__main__": 9,
}
"""Each module, or the package it is in, and its floor. A new top-level module needs a line here."""

TOGETHER: tuple[frozenset[str], ...] = (
    frozenset(unit for unit, floor in FLOORS.items() if floor == 0),
    frozenset(unit for unit, floor in FLOORS.items() if floor == 1),
)
"""Units of one floor that may import from each other."""

NEIGHBOURS: dict[tuple[str, str], str] = {
    ("gateway.config", "gateway.registry"): "a step is read as the type its component says",
    ("gateway.app", "gateway.facts"): "the application gives the admin API its facts",
    ("gateway.daemon", "gateway.app"): "the daemon is the application with signals and a supervisor around it",
    ("gateway.demo", "gateway.app"): "the demo is a user of the daemon it shows",
    ("gateway.testing", "gateway.app"): "the kit for authors starts real gateways",
}
"""(importer, imported) of one floor, one way only, and why."""

OWNERS: dict[str, tuple[str, ...]] = {
    "nats": ("gateway.jetstream",),
    "aiohttp": ("gateway.web",),
    "prometheus_client": ("gateway.observe",),
    "yaml": ("gateway.config", "gateway.cli"),
    "pluggy": ("gateway.hookspecs", "gateway.registry"),
    "click": ("gateway.cli",),
    "uvloop": ("gateway.app", "gateway.cli"),
}
"""Who may import a library: one place to change when it changes."""

PURE = frozenset({0, 1, 4})
"""Floors that do no I/O."""

IO_MODULES = frozenset(
    {
        "aiohttp",
        "asyncio",
        "concurrent",
        "fcntl",
        "glob",
        "http",
        "io",
        "multiprocessing",
        "nats",
        "os",
        "pathlib",
        "select",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "socketserver",
        "sqlite3",
        "ssl",
        "subprocess",
        "tempfile",
        "threading",
        "urllib",
        "yaml",
    }
)

IO_ALLOWED: dict[tuple[str, str], str] = {}
"""(module, imported) and why that is no I/O."""

LAZY_ALLOWED: dict[str, str] = {
    "gateway.cli": "a command loads only what it runs: `gateway check` must not wait for aiohttp and nats",
    "gateway.registry": "it loads the built-in components by name, as any plugin's",
    "gateway.testing": "its fixtures load with every run of pytest where the gateway is installed",
}
"""Packages whose functions may import, and why. Nowhere else is an import hidden in a function."""

MAX_LINES = 350
