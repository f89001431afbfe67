"""The metrics page: a copy of the numbers, and its text.

The client library makes an object of every line and takes 6 us for it, holding the interpreter: 150 ms for 200 routes,
in which the event loop gets a turn every 5 ms. Lines of a known shape are written here in a tenth of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, TypeAlias, TypeVar

from ..runtime.stats import Buckets, GatewayStats, RouteState
from .catalog import PREFIX, PROCESS_METRICS, ROUTE_METRICS, Metric, Reading, Series

S = TypeVar("S")


class _Histogram(NamedTuple):
    """Buckets as they were."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


_Frozen: TypeAlias = float | Series | _Histogram


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
                lines += _lines(metric, labels, values[column])
        for process_metric, value in zip(PROCESS_METRICS, self._process, strict=True):
            lines += _head(process_metric, openmetrics)
            lines += _lines(process_metric, "", value)
        lines.append("")
        return "\n".join(lines)


def _frozen(reading: Reading) -> _Frozen:
    if isinstance(reading, Buckets):
        return _Histogram(reading.bounds, tuple(reading.counts), reading.total)
    if isinstance(reading, (int, float)):
        return +reading  # True is 1
    return dict(reading)


def _head(metric: Metric[S], openmetrics: bool) -> tuple[str, str]:
    """OpenMetrics names a family without its suffix; the older format knows no infos."""
    name, kind = PREFIX + metric.name, str(metric.kind)
    if openmetrics:
        name = name.removesuffix("_total").removesuffix("_info")
    elif kind == "info":
        kind = "gauge"
    return f"# HELP {name} {_escaped(metric.help, openmetrics)}", f"# TYPE {name} {kind}"


def _lines(metric: Metric[S], labels: str, value: _Frozen) -> Iterator[str]:
    name = PREFIX + metric.name
    if isinstance(value, _Histogram):
        yield from _histogram(name, labels, value)
    elif isinstance(value, (int, float)):
        yield f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"
    else:
        start = f"{name}{{{labels}," if labels else f"{name}{{"
        for key, number in value.items():
            yield f"{start}{_labels(metric.labels, (key,) if isinstance(key, str) else key)}}} {number}"


def _histogram(name: str, labels: str, value: _Histogram) -> Iterator[str]:
    start = f"{name}_bucket{{{labels}," if labels else f"{name}_bucket{{"
    braced = f"{{{labels}}}" if labels else ""
    count = 0
    for bound, here in zip((*value.bounds, "+Inf"), value.counts, strict=True):
        count += here
        yield f'{start}le="{bound}"}} {count}'
    yield f"{name}_count{braced} {count}"
    yield f"{name}_sum{braced} {value.total}"


@lru_cache(4096)  # codes and outcomes come again with every route
def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ",".join(f'{name}="{_escaped(value, True)}"' for name, value in zip(names, values, strict=True))


def _escaped(text: str, quotes: bool) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text
