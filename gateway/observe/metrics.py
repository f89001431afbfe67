"""A scrape: copy the numbers on the event loop, write the page in a thread. The loop never waits for the writing."""

from __future__ import annotations

import asyncio
import gzip as gzip_format

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from ..runtime.stats import GatewayStats
from .page import Snapshot

_OPENMETRICS = "application/openmetrics-text"
_GZIP_LEVEL = 1
"""A twentieth of the size already; higher levels cost more time than the network they save."""


class Metrics:
    """Answers scrapes. `registry` holds what is not in the stats: the process, the garbage collector, plugins."""

    def __init__(self, stats: GatewayStats) -> None:
        self._stats = stats
        self._running: dict[tuple[bool, bool], asyncio.Task[tuple[bytes, str]]] = {}
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    async def scrape(self, openmetrics: bool = False, gzip: bool = False) -> tuple[bytes, str]:
        """The page and its content type.

        Scrapes that meet share one page, so that many scrapers cost no more than one.
        """
        key = (openmetrics, gzip)
        running = self._running.get(key)
        if running is None:
            snapshot = Snapshot(self._stats)
            running = asyncio.create_task(asyncio.to_thread(self._write, snapshot, *key))
            self._running[key] = running
            running.add_done_callback(lambda _: self._running.pop(key))
        # Shielded: a scraper that hangs up must not end the page others wait for.
        return await asyncio.shield(running)

    def _write(self, snapshot: Snapshot, openmetrics: bool, gzip: bool) -> tuple[bytes, str]:
        # The library chooses by a header; the client's own may name versions it cannot read, on which it fails.
        encoder, content_type = choose_encoder(f"{_OPENMETRICS}; version=1.0.0" if openmetrics else "")
        body = snapshot.text(openmetrics).encode() + encoder(self.registry)
        return (gzip_format.compress(body, _GZIP_LEVEL) if gzip else body), content_type
