"""Metrics that plugins make: `event_gateway_plugin_<plugin>_<name>`, one family per name, shared by all routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric

from ..errors import PluginError

_NAME = re.compile(r"[a-z][a-z0-9_]*")

Family = Counter | Gauge | Histogram


class PluginMetrics:
    """Makes and remembers the metrics of all plugins of a process; `of` gives a plugin its own view."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Metrics in `registry`, without the series of when each was made: the gateway's own have none either."""
        self._registry = registry
        self._families: dict[str, tuple[Family, tuple[str, ...]]] = {}

    def of(self, plugin: str) -> OnePlugin:
        """The metrics of one plugin."""
        return OnePlugin(self, re.sub(r"[^a-z0-9]+", "_", plugin.lower()))

    def child(self, kind: type[Family], name: str, labels: Mapping[str, str] | None) -> Any:
        """The series with these labels; raises PluginError when the name is taken by something else."""
        names = tuple(sorted(labels or ()))
        family, known = self._families.get(name, (None, names))
        if family is None:
            family = kind(name, f"Made by a plugin: {name}.", names, registry=None)
            self._registry.register(_Undated(family))
            self._families[name] = (family, names)
        elif not isinstance(family, kind) or known != names:
            raise PluginError(f"the metric {name} is already a {type(family).__name__.lower()} with the labels {known}")
        return family.labels(**labels) if labels else family


class OnePlugin:
    """What `context.metrics` is: metrics under the plugin's own prefix."""

    def __init__(self, metrics: PluginMetrics, plugin: str) -> None:
        self._metrics = metrics
        self._prefix = f"event_gateway_plugin_{plugin}_"

    def counter(self, name: str, labels: Mapping[str, str] | None = None) -> Counter:
        """A counter; a `_total` at the end of the name is added where it is missing."""
        child: Counter = self._metrics.child(Counter, self._named(name), labels)
        return child

    def gauge(self, name: str, labels: Mapping[str, str] | None = None) -> Gauge:
        """A gauge."""
        child: Gauge = self._metrics.child(Gauge, self._named(name), labels)
        return child

    def histogram(self, name: str, labels: Mapping[str, str] | None = None) -> Histogram:
        """A histogram, for seconds unless its name says otherwise."""
        child: Histogram = self._metrics.child(Histogram, self._named(name), labels)
        return child

    def _named(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise PluginError(f"{name!r} is no metric name: lower-case letters, digits and underscores")
        return self._prefix + name


class _Undated:
    """A family without the series of when each was made, which the library leaves out for a whole process or not."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def describe(self) -> Iterable[Metric]:
        return self._family.describe()

    def collect(self) -> Iterable[Metric]:
        for metric in self._family.collect():
            metric.samples = [sample for sample in metric.samples if sample.name != f"{metric.name}_created"]
            yield metric
