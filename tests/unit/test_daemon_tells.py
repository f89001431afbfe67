"""When the daemon tells systemd what, over a socket of the test's own and with an application that can be made ill."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import daemon
from gateway.config import model
from gateway.config.reads import Reads
from gateway.daemon import Daemon
from gateway.registry import Registry
from gateway.runtime.stats import GatewayStats
from tests.support.eventually import eventually


class App:
    """An application whose start and health are the test's."""

    def __init__(self) -> None:
        self.config = model.Config(name="test")
        self.stats = GatewayStats("test", "digest")
        self.http_url: str | None = None
        self.may_settle = asyncio.Event()
        self.fails: Exception | None = None
        self.stopped = False
        self.stale_looks = 0
        """So many times the routes were not looked after for a while."""

    @property
    def swept_at(self) -> float:
        if self.stale_looks:
            self.stale_looks -= 1
            return asyncio.get_running_loop().time() - 60
        return asyncio.get_running_loop().time()

    async def start(self) -> None: ...

    async def settled(self) -> None:
        await self.may_settle.wait()
        if self.fails is not None:
            raise self.fails

    async def stop(self) -> None:
        self.stopped = True


class File:
    """A config that nobody reads anew."""

    reads = Reads()

    def load(self) -> tuple[model.Config, Registry]:
        raise AssertionError("nobody reloads")

    def effective(self) -> Callable[[], dict[str, Any]]:
        raise AssertionError("nobody reloads")


class Told:
    """What systemd was told."""

    def __init__(self, receiver: socket.socket) -> None:
        self._receiver = receiver
        self.lines: list[str] = []

    def count(self, word: str) -> int:
        """How many messages had this line, or one that begins so."""
        while True:
            try:
                self.lines += self._receiver.recv(4096).decode().split("\n")
            except BlockingIOError:
                return sum(line.startswith(word) for line in self.lines)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """systemd's end; a watchdog of two hours, so that a second ping within the test is one that was made up for."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "7200000000")
        monkeypatch.setattr(daemon, "TICK", 0.01)
        yield Told(receiver)


async def test_a_ping_that_fell_out_is_made_up_for_at_once(told: Told) -> None:
    """Half of the watchdog's time later would be too late for a loop that was late for a moment only."""
    app = App()
    app.stale_looks = 3
    running = asyncio.create_task(Daemon(app, File()).run())  # type: ignore[arg-type]
    await eventually(lambda: told.count("WATCHDOG=1") == 1)
    assert app.stale_looks == 0
    running.cancel()
    await asyncio.wait({running})


async def test_while_the_routes_are_not_looked_after_the_watchdog_is_not_fed(told: Told) -> None:
    """The loop runs, and that is not enough."""
    app = App()
    app.stale_looks = 1_000_000
    running = asyncio.create_task(Daemon(app, File()).run())  # type: ignore[arg-type]
    await eventually(lambda: app.stale_looks < 1_000_000 - 20)
    assert told.count("WATCHDOG=1") == 0
    running.cancel()
    await asyncio.wait({running})


async def test_a_long_start_is_not_timed_out_and_ready_is_told_at_its_end(told: Told) -> None:
    """As long as the loop runs: the routes have limits of their own."""
    app = App()
    running = asyncio.create_task(Daemon(app, File()).run())  # type: ignore[arg-type]
    await eventually(lambda: told.count("EXTEND_TIMEOUT_USEC=") > 3)
    assert told.count("READY=1") == 0
    app.may_settle.set()
    await eventually(lambda: told.count("READY=1") == 1)
    running.cancel()
    await asyncio.wait({running})
    assert app.stopped
    assert told.count("STOPPING=1") == 1
    # What a drain of 25 s and the closing may take, and no more: what hangs then is ended.
    assert told.lines[told.lines.index("STOPPING=1") + 1] == "EXTEND_TIMEOUT_USEC=55000000"


@pytest.mark.parametrize("amid", ["start", "reload"])
async def test_a_stop_amid_a_start_or_reload_gets_its_time_once(
    told: Told, monkeypatch: pytest.MonkeyPatch, amid: str
) -> None:
    """Told again and again that it goes on, systemd would never end a stop that hangs while the loop runs."""
    app = App()
    gateway = Daemon(app, File())  # type: ignore[arg-type]
    monkeypatch.setattr(gateway, "_reload_once", asyncio.Event().wait)
    if amid == "reload":
        app.may_settle.set()
    ends = asyncio.Event()

    async def stop() -> None:
        await ends.wait()

    monkeypatch.setattr(app, "stop", stop)
    gateway._watchdog = 0.01  # each look is told by a ping
    running = asyncio.create_task(gateway.run())
    if amid == "reload":
        await eventually(lambda: told.count("READY=1") == 1)
        os.kill(os.getpid(), signal.SIGHUP)
    await eventually(lambda: told.count("EXTEND_TIMEOUT_USEC=") > 3)
    os.kill(os.getpid(), signal.SIGTERM)
    await eventually(lambda: told.count("STOPPING=1") == 1)
    pings = told.count("WATCHDOG=1")
    await eventually(lambda: told.count("WATCHDOG=1") > pings + 5)
    extended = [line for line in told.lines[told.lines.index("STOPPING=1") :] if line.startswith("EXTEND_TIMEOUT")]
    assert extended == ["EXTEND_TIMEOUT_USEC=55000000"]
    ends.set()
    await asyncio.wait_for(running, 10)


async def test_a_reload_ends_when_the_routes_have_gone_over(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """`systemctl reload` waits for READY where systemd is new enough; the next reload need not."""
    app = App()
    app.may_settle.set()
    gateway = Daemon(app, File())  # type: ignore[arg-type]
    reloads = 0

    async def reload_once() -> None:
        nonlocal reloads
        reloads += 1

    monkeypatch.setattr(gateway, "_reload_once", reload_once)
    running = asyncio.create_task(gateway.run())
    await eventually(lambda: told.count("READY=1") == 1)
    app.may_settle.clear()
    os.kill(os.getpid(), signal.SIGHUP)
    await eventually(lambda: reloads == 1 and told.count("EXTEND_TIMEOUT_USEC=") > 3)
    assert (told.count("RELOADING=1"), told.count("READY=1")) == (1, 1)
    os.kill(os.getpid(), signal.SIGHUP)
    await eventually(lambda: reloads == 2 and told.count("READY=1") == 2)
    app.may_settle.set()
    await eventually(lambda: told.count("READY=1") == 3)
    running.cancel()
    await asyncio.wait({running})


async def test_children_do_not_inherit_the_line_to_systemd(told: Told) -> None:
    """A plugin's subprocess that knows sd_notify would speak for the gateway."""
    Daemon(App(), File())  # type: ignore[arg-type]
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()


async def test_a_task_of_the_daemon_that_ends_ends_the_daemon(told: Told) -> None:
    """Drained, and with an error, so that it is started again: it would never reload, or say that it is ready."""
    app = App()
    app.fails = ValueError("as a fault of this program would")
    app.may_settle.set()
    with pytest.raises(RuntimeError, match=r"Daemon\._tell ended") as caught:
        await asyncio.wait_for(Daemon(app, File()).run(), 10)  # type: ignore[arg-type]
    assert caught.value.__cause__ is app.fails
    assert app.stopped
