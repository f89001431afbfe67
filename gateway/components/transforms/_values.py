"""Values with templates inside, compiled: `"{a}"`, `{to: "x-{a}", tags: ["{b}", 1]}`."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from ...errors import ConfigProblem, PathStep
from ...event import Event
from ...missing import MISSING
from ...paths import Path
from ...templates import Template
from .._config import within

Value = Callable[[Event], Any]


def compile_value(value: Any, place: tuple[PathStep, ...], paths: list[Path]) -> Value:
    """A function that makes the value for an event, afresh for each; MISSING when its text needs what is absent.

    What is absent inside an object or list is left out of it. The paths read are added to `paths`. Raises
    ConfigProblem.
    """
    if isinstance(value, str | Template):
        with within(*place):
            template = Template(value) if isinstance(value, str) else value
        paths.extend(placeholder.path for placeholder in template.placeholders())
        return template.value
    if isinstance(value, dict):
        fields = {key: compile_value(inner, (*place, key), paths) for key, inner in value.items()}
        return lambda event: {key: made for key, make in fields.items() if (made := make(event)) is not MISSING}
    if isinstance(value, list):
        items = [compile_value(inner, (*place, index), paths) for index, inner in enumerate(value)]
        return lambda event: [made for make in items if (made := make(event)) is not MISSING]
    if isinstance(value, float) and not isfinite(value):
        raise ConfigProblem(place, "NaN and infinity cannot stand in an event", "write a number, or null")
    return lambda event: value
