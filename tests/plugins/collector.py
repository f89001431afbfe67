"""A collector: OTLP over HTTP on loopback, which decodes what it gets and answers what it is told."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """Keeps every span it acknowledged. `close` must be called."""

    def __init__(self, port: int = 0) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.refused = 0
        self.gate = threading.Event()
        """While it is not set, nobody is answered."""
        self.gate.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Where spans are to be sent."""
        return f"http://127.0.0.1:{self.port}/v1/traces"

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def named(self, name: str) -> list[Span]:
        """The spans with this name, in the order they came in."""
        return [span for span in self.spans if span.name == name]

    def close(self) -> None:
        """Answer who waits, and end."""
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        self.gate.wait(30)
        if path != "/v1/traces" or headers.get("content-type") != "application/x-protobuf":
            return 404
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        spans = [span for one in request.resource_spans for scope in one.scope_spans for span in scope.spans]
        if self.status != 200:
            self.refused += len(spans)
            return self.status
        self.headers.append(headers)
        self.resources += [attributes_of(one.resource) for one in request.resource_spans]
        self.spans += spans
        return 200

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = collector._take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                """Nobody reads it."""

        return Handler


def attributes_of(holder: Any) -> dict[str, Any]:
    """The attributes of a span or resource as plain data."""
    return {pair.key: _plain(pair.value) for pair in holder.attributes}


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(part) for part in value.array_value.values]
    return getattr(value, kind)
