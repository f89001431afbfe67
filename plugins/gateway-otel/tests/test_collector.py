"""What the answers of a collector mean: taken, taken in part, later, never."""

from __future__ import annotations

import gzip
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from gateway import Duration, Secret
from gateway_otel.collector import Collector
from gateway_otel.settings import OtelSettings

LOG = logging.getLogger("tests.otel")
TAKEN = ExportTraceServiceResponse().SerializeToString()
PARTLY = ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=3)).SerializeToString()

Answer = tuple[int, bytes, dict[str, str]]


class Endpoint:
    """Answers what it is told, one after the other, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [(200, TAKEN, {})]
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                status, answer, headers = endpoint.answers[0]
                if len(endpoint.answers) > 1:
                    del endpoint.answers[0]
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                """Nobody reads it."""

        return Handler


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()


def collector_at(url: str, timeout: float = 10.0, **settings: Any) -> Collector:
    return Collector(OtelSettings(endpoint=url, timeout=Duration(timeout), **settings), LOG)


@pytest.mark.parametrize(
    ("body", "taken"), [(TAKEN, 10), (PARTLY, 7), (b"", 10), (b"<html>", 10)], ids=["all", "part", "empty", "other"]
)
def test_an_answer_says_how_many_spans_were_taken(endpoint: Endpoint, body: bytes, taken: int) -> None:
    endpoint.answers = [(200, body, {})]
    assert collector_at(endpoint.url).send(b"spans", 10) == taken
    assert len(endpoint.got) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_collector_is_tried_again_when_it_says(endpoint: Endpoint, status: int) -> None:
    endpoint.answers = [(status, b"", {"Retry-After": "0"}), (status, b"", {"Retry-After": "0"}), (200, TAKEN, {})]
    assert collector_at(endpoint.url).send(b"spans", 10) == 10
    assert [body for _, body in endpoint.got] == [b"spans"] * 3


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500])
def test_a_refusal_is_final(endpoint: Endpoint, status: int) -> None:
    endpoint.answers = [(status, b"", {}), (200, TAKEN, {})]
    assert collector_at(endpoint.url).send(b"spans", 10) == 0
    assert len(endpoint.got) == 1


def test_trying_again_ends_at_the_timeout(endpoint: Endpoint) -> None:
    endpoint.answers = [(503, b"", {"Retry-After": "3600"})]
    begun = time.monotonic()
    assert collector_at(endpoint.url, timeout=1.0).send(b"spans", 10) == 0
    endpoint.answers = [(503, b"", {})]
    assert collector_at(endpoint.url, timeout=0.2).send(b"spans", 10) == 0
    assert time.monotonic() - begun < 10


def test_a_collector_that_is_given_up_is_not_waited_for(endpoint: Endpoint) -> None:
    endpoint.answers = [(503, b"", {"Retry-After": "3600"})]
    collector = collector_at(endpoint.url, timeout=7200)
    threading.Timer(0.05, collector.abandon).start()
    begun = time.monotonic()
    assert collector.send(b"spans", 10) == 0
    assert time.monotonic() - begun < 30


def test_headers_go_along_and_empty_ones_stay_away(endpoint: Endpoint) -> None:
    headers = {"Authorization": Secret("Bearer x"), "X-None": Secret("")}
    collector_at(endpoint.url, headers=headers).send(b"spans", 1)
    ((got, body),) = endpoint.got
    assert (got["authorization"], got["content-type"], body) == ("Bearer x", "application/x-protobuf", b"spans")
    assert "x-none" not in got


def test_a_request_can_be_compressed(endpoint: Endpoint) -> None:
    collector_at(endpoint.url, compression="gzip").send(b"spans" * 100, 1)
    ((got, body),) = endpoint.got
    assert (got["content-encoding"], gzip.decompress(body)) == ("gzip", b"spans" * 100)


def test_failing_and_healing_are_told_once_each(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    """A collector that is away for a night writes one line, not one a second."""
    caplog.set_level(logging.INFO)
    collector = collector_at(endpoint.url)
    endpoint.answers = [(400, b"", {})] * 3 + [(200, TAKEN, {})]
    for _ in range(5):
        collector.send(b"spans", 1)
    assert [record.getMessage() for record in caplog.records] == [
        "the collector takes no spans: HTTP 400",
        "the collector takes spans again",
    ]


def test_a_ca_that_cannot_be_read_is_found_at_the_start() -> None:
    with pytest.raises(OSError, match="No such file"):
        collector_at("https://127.0.0.1:1/v1/traces", certificate="/nowhere/ca.pem")
