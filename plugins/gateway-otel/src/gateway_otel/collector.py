"""One collector over OTLP/HTTP: a request, and what its answer means. Source: the OTLP specification, 1.5.

Blocking, for a thread of its own.
"""

from __future__ import annotations

import gzip
import logging
import random
import ssl
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import IO

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from .settings import OtelSettings

_TRY_AGAIN = frozenset({429, 502, 503, 504})
"""What the specification calls retryable; any other refusal is final."""
_MAX_ANSWER = 1 << 20


class Refused(Exception):
    """The collector did not take a request. `again`: it may later, after `pause` seconds if it said so."""

    def __init__(self, text: str, *, again: bool, pause: float | None = None) -> None:
        super().__init__(text)
        self.again = again
        self.pause = pause


class Collector:
    """Sends requests, and again what may pass the next time, for as long as `timeout` says."""

    def __init__(self, settings: OtelSettings, log: logging.Logger) -> None:
        """Reads the CA's file; connects to nobody."""
        self._endpoint = settings.endpoint
        self._headers = {name: value.reveal() for name, value in settings.headers.items() if value.reveal()}
        self._headers |= {"Content-Type": "application/x-protobuf", "User-Agent": "gateway-otel"}
        self._zip = settings.compression == "gzip"
        if self._zip:
            self._headers["Content-Encoding"] = "gzip"
        self._limit = float(settings.timeout)
        self._log = log
        handlers = []
        if settings.endpoint.startswith("https:"):
            handlers = [urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=settings.certificate))]
        self._opener = urllib.request.build_opener(*handlers)
        self._abandoned = threading.Event()
        self._failing = False

    def abandon(self) -> None:
        """Try nothing again any more: the gateway ends."""
        self._abandoned.set()

    def send(self, request: bytes, spans: int) -> int:
        """Deliver a request; returns how many of its spans were taken, 0 when it was given up."""
        data = gzip.compress(request, 1) if self._zip else request
        deadline = time.monotonic() + self._limit
        tries = 0
        while True:
            try:
                rejected = self._post(data, max(0.1, deadline - time.monotonic()))
            except Refused as refusal:
                pause = 2**tries * random.uniform(0.4, 0.6) if refusal.pause is None else refusal.pause
                tries += 1
                over = time.monotonic() + pause > deadline
                if not refusal.again or over or self._abandoned.wait(pause):
                    self._note(str(refusal))
                    return 0
            else:
                self._note(f"{rejected} spans were rejected" if rejected else "")
                return max(0, spans - rejected)

    def _post(self, data: bytes, timeout: float) -> int:
        """One try; returns how many spans were rejected, raises Refused when all were."""
        # Only http and https get here: the settings' pattern sees to it.
        request = urllib.request.Request(self._endpoint, data, self._headers, method="POST")  # noqa: S310
        try:
            with self._opener.open(request, timeout=timeout) as answer:
                return _rejected(answer)
        except urllib.error.HTTPError as error:
            with error:
                again = error.code in _TRY_AGAIN
                raise Refused(f"HTTP {error.code}", again=again, pause=_retry_after(error)) from None
        except (OSError, HTTPException) as error:
            raise Refused(str(error) or type(error).__name__, again=True) from None

    def _note(self, fault: str) -> None:
        """One line when it begins to fail and one when that is over, not one a batch."""
        if fault and not self._failing:
            self._log.warning("the collector takes no spans: %s", fault, extra={"event": "otel.failing"})
        elif self._failing and not fault:
            self._log.info("the collector takes spans again", extra={"event": "otel.healed"})
        self._failing = bool(fault)


def _rejected(answer: IO[bytes]) -> int:
    """A collector may take a part only. One that answers something else, as proxies do, has taken all."""
    body = answer.read(_MAX_ANSWER)
    try:
        return int(ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans)
    except DecodeError:
        return 0


def _retry_after(error: urllib.error.HTTPError) -> float | None:
    text = error.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
