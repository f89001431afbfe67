"""What a client likes best, by its Accept headers."""

from __future__ import annotations

from collections.abc import Iterable

OPENMETRICS = "application/openmetrics-text"


def wants_openmetrics(accept: Iterable[str]) -> bool:
    """Whether the headers name OpenMetrics, and plain text not before it."""
    headers = list(accept)
    return 0 < _weight(headers, OPENMETRICS) >= _weight(headers, "text/plain")


def wants_gzip(accept_encoding: Iterable[str]) -> bool:
    """Whether the headers name gzip."""
    return _weight(accept_encoding, "gzip") > 0


def _weight(headers: Iterable[str], name: str) -> float:
    """From 0, which is not at all, to 1; what is not named has 0, what cannot be read 1. Versions do not matter."""
    weights = [0.0]
    for choice in ",".join(headers).lower().split(","):
        named, *parameters = [part.strip() for part in choice.split(";")]
        if named == name:
            weights.append(next((_number(part[2:]) for part in parameters if part.startswith("q=")), 1.0))
    return max(weights)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0
