"""Filter events with CEL, Google's Common Expression Language: `- cel: "data.total > 100"`.

The manual is the README of this distribution.
"""

from __future__ import annotations

from gateway import Filter, hookimpl

from .filter import Cel

__all__ = ["Cel", "gateway_filters"]


@hookimpl
def gateway_filters() -> list[type[Filter]]:
    """The filter `cel`."""
    return [Cel]
