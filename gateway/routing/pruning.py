"""All faults of one component's config, although `prepare` raises the first it meets.

What was refused is taken out, and the rest is tried again. Only for finding problems: a config that was pruned is
never run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..config.report import ConfigPath
from ..errors import ConfigProblem, PatternError

MAX_TRIES = 50
"""Of one config; more faults than anybody reads at once."""

Fault = ConfigProblem | PatternError


def all_faults(first: Fault, config: Any, prepare: Callable[[Any], None]) -> Iterator[tuple[Fault, ConfigPath]]:
    """`first`, and what `prepare` says of `config` without what is at fault so far; each with its path in `config`."""
    fault = first
    indices = list(range(len(config))) if isinstance(config, list) else []
    for _ in range(MAX_TRIES):
        path: ConfigPath = fault.path
        config = _without(config, fault.path)
        if indices and path and isinstance(path[0], int) and path[0] < len(indices):
            path = (indices.pop(path[0]), *path[1:])
        yield fault, path
        if not config:
            return
        try:
            prepare(config)
        except (ConfigProblem, PatternError) as another:
            if not another.path:
                return  # of the config as a whole: perhaps only that something is missing, which was taken out here
            fault = another
        except (Exception, SystemExit):  # noqa: BLE001 - a third party's code met what it does not know; the first stays
            return
        else:
            return


def _without(config: Any, path: ConfigPath) -> Any:
    """A copy without the innermost field on the path, or without the item of a list; None when that cannot be done."""
    if isinstance(config, list) and path and isinstance(path[0], int):
        return [item for index, item in enumerate(config) if index != path[0]]
    return _without_field(config, path)


def _without_field(config: Any, path: ConfigPath) -> Any:
    """The same below: lists go as a whole, so that the indices in later faults are those of the file."""
    if not isinstance(config, dict) or not path or path[0] not in config:
        return None
    inner = _without_field(config[path[0]], path[1:])
    rest = {name: value for name, value in config.items() if name != path[0] or inner}
    return {**rest, path[0]: inner} if inner else rest
