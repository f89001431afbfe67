"""The daemon's life on its loop: nothing that a plugin has begun beside its calls ends the process or keeps it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
import uvloop

from gateway import daemon
from gateway.errors import GatewayError

LOOPS = pytest.mark.parametrize("new_loop", [None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
NewLoop = Callable[[], asyncio.AbstractEventLoop] | None


@pytest.fixture(autouse=True)
def parted(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once the process would begin to wait for what is left behind; it would end this one."""
    begun = threading.Event()
    monkeypatch.setattr(daemon, "_part", lambda loop: begun.set())
    # The daemon handles SIGINT; here pytest does, by raising.
    monkeypatch.setattr(daemon, "_interrupts", lambda: False)
    return begun


async def _raise(error: BaseException) -> None:
    raise error


def _begun(error: BaseException) -> asyncio.Task[None]:
    """A task that raises; what it raised counts as seen, so that the collector finds nothing to complain of."""
    task = asyncio.get_running_loop().create_task(_raise(error))
    task.add_done_callback(lambda done: done.exception())
    return task


@LOOPS
def test_a_task_that_exits_or_stops_the_loop_ends_nothing(
    new_loop: NewLoop, parted: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    ended = False

    async def main() -> None:
        nonlocal ended
        loop = asyncio.get_running_loop()
        for error in (SystemExit(3), KeyboardInterrupt()):
            # One after the other: of two in one turn of the loop uvloop tells the last only.
            await asyncio.wait([_begun(error)])
        loop.call_soon(loop.stop)
        await asyncio.sleep(0.05)
        ended = True

    daemon.live(main(), new_loop)
    assert ended
    assert parted.wait(5)
    told = [record.__dict__["error"] for record in caplog.records if record.__dict__.get("event")]
    assert sorted(told) == ["KeyboardInterrupt", "RuntimeError", "SystemExit"]


@LOOPS
@pytest.mark.parametrize("error", [GatewayError("the port"), SystemExit(3)], ids=repr)
def test_what_the_daemon_itself_raises_is_raised(
    new_loop: NewLoop, error: BaseException, parted: threading.Event
) -> None:
    with pytest.raises(type(error)):
        daemon.live(_raise(error), new_loop)
    assert not parted.is_set()


def test_an_operator_s_interrupt_ends_it_while_no_handler_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "_interrupts", lambda: True)

    async def main() -> None:
        await asyncio.wait([_begun(KeyboardInterrupt())])
        await asyncio.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        daemon.live(main())
