"""Plugins: found, loaded, checked, and their components looked up by name.

A broken plugin is reported and left out; it never stops its neighbours. Nothing is loaded at import: `load_plugins`
builds a registry for whoever asks.
"""

from .loading import EntryPoint, load_plugins
from .lookup import BUILTIN, Found, PluginHealth, Registry, Status
from .rules import BASES, RESERVED

__all__ = [
    "BASES",
    "BUILTIN",
    "RESERVED",
    "EntryPoint",
    "Found",
    "PluginHealth",
    "Registry",
    "Status",
    "load_plugins",
]
