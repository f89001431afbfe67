"""One guest for all tests of this folder: it boots in a second, and its services are started anew for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .guest import Guest, NotBooted, why_not

HANG = '''
import asyncio
import time

from gateway import Event, Filter, hookimpl


class Hang(Filter, name="hang"):
    """Block the event loop for ever when the body says so."""

    def accepts(self, event: Event) -> bool:
        if event.get("hang", False):
            while True:
                time.sleep(1)
        return True


class Wait(Filter, name="wait"):
    """Take as many seconds as the body says, without blocking anything."""

    async def accepts(self, event: Event) -> bool:
        await asyncio.sleep(event.get("wait", 0))
        return True


@hookimpl
def gateway_filters():
    return [Hang, Wait]
'''

CONFIG = """\
streams:
  - {name: IN, subjects: [in.>], provision: create}
  - {name: OUT, subjects: [out.>], provision: create}
  - {name: DLQ, subjects: [dlq.>], provision: create}
http: {listen: "127.0.0.1:${PORT:-9464}"}
routes:
  - name: one
    source: {stream: IN, subjects: [in.>], ack-wait: 5s}
    filters: [hang, wait]
    timeout: 30s
    targets: [{subject: out.one, stream: OUT}]
"""


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A guest that runs."""
    reason = why_not()
    if reason:
        pytest.skip(f"no guest with a systemd of its own: {reason}")
    with Guest(tmp_path_factory.mktemp("guest")) as guest:
        try:
            guest.boot()
        except NotBooted as error:
            pytest.skip(f"no guest with a systemd of its own: {error}")
        yield guest


@pytest.fixture
def guest(booted: Guest) -> Iterator[Guest]:
    """The guest with an empty nats-server, a good config, and no gateway running yet."""
    guest = booted
    guest.install("hang", "1.0", HANG)
    guest.write("/etc/gateway/gateway.yaml", CONFIG)
    guest.run("systemctl", "start", "nats-server")
    yield guest
    guest.run("systemctl", "stop", "gateway", "gateway@*", "nats-server", check=False)
    guest.run("systemctl", "reset-failed", check=False)
    guest.run(
        "rm",
        "-rf",
        "/var/lib/nats",
        "/etc/gateway",
        "/etc/systemd/system/gateway.service.d/9-test.conf",
        "/etc/systemd/system/gateway@.service.d/9-test.conf",
    )
    guest.run("systemctl", "daemon-reload")
    guest.run("journalctl", "--rotate", "--vacuum-time=1s", "-q")


def drop_in(guest: Guest, text: str, unit: str = "gateway.service") -> None:
    """Lay a drop-in over a unit, for one test."""
    guest.write(f"/etc/systemd/system/{unit}.d/9-test.conf", text)
    guest.run("systemctl", "daemon-reload")


def publish(guest: Guest, *bodies: str, subject: str = "in.x") -> None:
    """Publish to the source stream."""
    guest.tell("publish", subject=subject, bodies=bodies)


def stored(guest: Guest, stream: str = "OUT") -> int:
    """How many messages a stream holds."""
    return int(guest.tell("count", stream=stream)[0])


def different(guest: Guest, stream: str = "OUT") -> int:
    """How many different messages a stream holds."""
    return int(guest.tell("count", stream=stream)[1])


def page(guest: Guest, path: str, port: int = 9464) -> tuple[int, str]:
    """A page of a gateway in the guest: its status, 0 when nobody answers, and its text."""
    status, text = guest.tell("get", url=f"http://127.0.0.1:{port}{path}")
    return int(status), str(text)
