"""What the demo shows: a table on a terminal, a line a second elsewhere. Only numbers and text, no terminal."""

from __future__ import annotations

from dataclasses import dataclass

from ..runtime.stats import Buckets, GatewayStats, RouteStats

_COLUMNS = {"received": 9, "published": 10, "filtered": 9, "dead-lettered": 14, "rate": 8, "p99 lag": 9}
"""Names and widths."""


@dataclass(frozen=True)
class Counts:
    """What happened to events, over one route or all. An event that goes to two targets is published twice."""

    received: int
    published: int
    filtered: int
    dead_lettered: int

    @property
    def line(self) -> str:
        """Each word before its count."""
        return (
            f"received {self.received} published {self.published} "
            f"filtered {self.filtered} dead-lettered {self.dead_lettered}"
        )


def count_route(stats: RouteStats) -> Counts:
    """The counts of one route. What a transform drops counts as filtered: it was decided so, not lost."""
    return Counts(
        received=stats.received,
        published=sum(stats.published.values()),
        filtered=stats.outcomes["filtered"] + stats.outcomes["dropped"],
        dead_lettered=stats.outcomes["dead_lettered"],
    )


def count_all(stats: GatewayStats) -> Counts:
    """The sums over all routes; an event two routes receive counts twice."""
    routes = [count_route(route) for route in stats.routes.values()]
    return Counts(
        received=sum(route.received for route in routes),
        published=sum(route.published for route in routes),
        filtered=sum(route.filtered for route in routes),
        dead_lettered=sum(route.dead_lettered for route in routes),
    )


def percentile(buckets: Buckets, share: float) -> float | None:
    """The value below which `share` of the observations lie, linear within its bucket; None without observations.

    Above the last bound nothing is known but the bound.
    """
    rank = share * sum(buckets.counts)
    if not rank:
        return None
    below, lower = 0, 0.0
    for bound, count in zip(buckets.bounds, buckets.counts, strict=False):
        if below + count >= rank:
            return lower + (bound - lower) * (rank - below) / count
        below, lower = below + count, bound
    return lower


class Table:
    """Lines for a terminal; keeps the counts of the last call, from which the rates come."""

    def __init__(self, heading: list[str]) -> None:
        """`heading` goes above the table: what runs where."""
        self._heading = heading
        self._received: dict[str, int] = {}

    def lines(self, stats: GatewayStats, seconds: float, width: int = 120) -> list[str]:
        """The whole table, `seconds` after the last one, in `width` columns; names give way."""
        names = min(max(len(name) for name in [*stats.routes, "route"]) + 1, width - sum(_COLUMNS.values()))
        lines = [*self._heading, "", _joined("route", names, list(_COLUMNS))]
        for name, route in stats.routes.items():
            cells = self._cells(name, count_route(route), seconds)
            lag = percentile(route.lag, 0.99)
            lines.append(_joined(name, names, [*cells, "" if lag is None else shown(lag)]))
            if not route.up and route.reason:
                lines.append(f"  {route.state.value}: {route.reason}")
        return [*lines, _joined("all", names, self._cells("", count_all(stats), seconds))]

    def _cells(self, name: str, counts: Counts, seconds: float) -> list[str]:
        rate = (counts.received - self._received.get(name, 0)) / seconds if seconds > 0 else 0.0
        self._received[name] = counts.received
        numbers = (counts.received, counts.published, counts.filtered, counts.dead_lettered)
        return [*map(str, numbers), f"{rate:.0f}/s"]


def _joined(name: str, width: int, cells: list[str]) -> str:
    cut = name if len(name) < width else f"{name[: width - 2]}~"
    return cut.ljust(width) + "".join(f"{cell:>{size}}" for cell, size in zip(cells, _COLUMNS.values(), strict=False))


def shown(seconds: float) -> str:
    """A length of time in two or three digits: `0.8 ms`, `12 ms`, `3.1 s`."""
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s"
