"""A collector that somebody else wrote: Rotel, which takes OTLP and hands it on to the one that the test can ask."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path

from gateway.jetstream.server import free_port, tied_to_us
from tests.plugins.collector import Collector
from tests.support.eventually import eventually


def rotel_binary() -> Path | None:
    """The program; None on a machine that it is not made for: the `test` extra of gateway-otel says which."""
    try:
        files = metadata.files("rotel") or []
    except metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.name == "rotel-agent"), None)


class Rotel:
    """`await start()`, then `endpoint` takes spans; each request is handed on to `behind` at once."""

    def __init__(self, binary: Path, folder: Path, behind: Collector) -> None:
        self._binary = binary
        self._behind = behind
        self._folder = folder
        self._port, self._grpc = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Where spans are to be sent."""
        return f"http://127.0.0.1:{self._port}/v1/traces"

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {
            "otlp-http-endpoint": f"127.0.0.1:{self._port}",
            "otlp-grpc-endpoint": f"127.0.0.1:{self._grpc}",
            "exporter": "otlp",
            "otlp-exporter-protocol": "http",
            "otlp-exporter-endpoint": f"http://127.0.0.1:{self._behind.port}",
            "pid-file": str(self._folder / "rotel.pid"),
        }
        command = [str(self._binary), "start", "--disable-batching"]
        command += [part for name, value in options.items() for part in (f"--{name}", value)]
        with (self._folder / "rotel.log").open("wb") as log:
            self._process = subprocess.Popen(tied_to_us(command), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        await eventually(self._answers, what="rotel answers")

    def end(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError((self._folder / "rotel.log").read_text(errors="replace"))
        try:
            urllib.request.urlopen(self.endpoint, timeout=2).close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            return False
        return True
