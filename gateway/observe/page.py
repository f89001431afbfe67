"""The metrics page: a copy of the numbers, and its text.

The client library makes an object of every line and takes 6 us for it, holding the interpreter: 150 ms for 200 routes,
in which the event loop gets a turn every 5 ms. Lines of a known shape are written here in a tenth of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias, TypeVar

from ..runtime.stats import Buckets, Exemplar, GatewayStats, RouteState, TracedBuckets
from .catalog import PREFIX, PROCESS_METRICS, ROUTE_METRICS, Metric, Reading

S = TypeVar("S")


class _Histogram(NamedTuple):
    """Buckets as they were."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float
    exemplars: tuple[Exemplar | None, ...]
    """One a bucket, or none at all."""


_Frozen: TypeAlias = float | _Histogram | Mapping[Any, float | _Histogram]


class Snapshot:
    """The gateway's numbers at one moment, consistent because only the loop changes them; any thread may write it."""

    def __init__(self, stats: GatewayStats) -> None:
        """Copy; on the loop."""
        self._routes = [
            (_labels(("route",), (name,)), [_frozen(metric.read(route)) for metric in ROUTE_METRICS])
            for name, route in stats.routes.items()
            if route.state is not RouteState.DISABLED
        ]
        self._process = [_frozen(metric.read(stats)) for metric in PROCESS_METRICS]

    def text(self, openmetrics: bool) -> str:
        """Every metric of the catalog, in its order; without OpenMetrics' end mark."""
        lines: list[str] = []
        for column, metric in enumerate(ROUTE_METRICS):
            lines += _head(metric, openmetrics)
            for labels, values in self._routes:
                lines += _lines(metric, labels, values[column], openmetrics)
        for process_metric, value in zip(PROCESS_METRICS, self._process, strict=True):
            lines += _head(process_metric, openmetrics)
            lines += _lines(process_metric, "", value, openmetrics)
        lines.append("")
        return "\n".join(lines)


def _frozen(reading: Reading) -> _Frozen:
    if isinstance(reading, Buckets):
        return _histogram_of(reading)
    if isinstance(reading, (int, float)):
        return +reading  # True is 1
    return {key: _histogram_of(value) if isinstance(value, Buckets) else value for key, value in reading.items()}


def _histogram_of(buckets: Buckets) -> _Histogram:
    exemplars = tuple(buckets.exemplars) if isinstance(buckets, TracedBuckets) else ()
    return _Histogram(buckets.bounds, tuple(buckets.counts), buckets.total, exemplars)


def _head(metric: Metric[S], openmetrics: bool) -> tuple[str, str]:
    """OpenMetrics names a family without its suffix; the older format knows no infos."""
    name, kind = PREFIX + metric.name, str(metric.kind)
    if openmetrics:
        name = name.removesuffix("_total").removesuffix("_info")
    elif kind == "info":
        kind = "gauge"
    return f"# HELP {name} {_escaped(metric.help, openmetrics)}", f"# TYPE {name} {kind}"


def _lines(metric: Metric[S], labels: str, value: _Frozen, openmetrics: bool) -> list[str]:
    name = PREFIX + metric.name
    if isinstance(value, _Histogram):
        return _histogram(name, labels, value, openmetrics)
    if isinstance(value, (int, float)):
        return [f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"]
    start = f"{labels}," if labels else ""
    made: list[str] = []
    for key, one in value.items():
        all_labels = start + _labels(metric.labels, (key,) if isinstance(key, str) else key)
        if isinstance(one, _Histogram):
            made += _histogram(name, all_labels, one, openmetrics)
        else:
            made.append(f"{name}{{{all_labels}}} {one}")
    return made


def _histogram(name: str, labels: str, value: _Histogram, openmetrics: bool) -> list[str]:
    start = f"{name}_bucket{{{labels}," if labels else f"{name}_bucket{{"
    braced = f"{{{labels}}}" if labels else ""
    counts = list(accumulate(value.counts))
    lines = [f"{start}{bound}{count}" for bound, count in zip(_bounds(value.bounds), counts, strict=True)]
    if openmetrics:  # the older format would take an exemplar for a broken line, and refuse the page
        for place, exemplar in enumerate(value.exemplars):
            if exemplar is not None:
                lines[place] += f' # {{trace_id="{exemplar.trace_id}"}} {exemplar.amount} {exemplar.time:.3f}'
    lines.append(f"{name}_count{braced} {counts[-1]}")
    lines.append(f"{name}_sum{braced} {value.total}")
    return lines


@lru_cache
def _bounds(bounds: tuple[float, ...]) -> tuple[str, ...]:
    return tuple(f'le="{bound}"}} ' for bound in (*bounds, "+Inf"))


@lru_cache(4096)  # codes and outcomes come again with every route
def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ",".join(f'{name}="{_escaped(value, True)}"' for name, value in zip(names, values, strict=True))


def _escaped(text: str, quotes: bool) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text
