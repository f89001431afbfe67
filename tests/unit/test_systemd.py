"""What systemd is told, over a NOTIFY_SOCKET of the test's own; and the unit file."""

from __future__ import annotations

import configparser
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.config.model import Config
from gateway.runtime.stats import GatewayStats, RouteState, RouteStats
from gateway.systemd import Notifier, Throughput, status_line, told_by_systemd, watchdog_interval

UNIT = Path(__file__).parents[2] / "systemd" / "gateway.service"
DROP_INS = UNIT.parent / "drop-ins"


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Notifier, socket.socket]]:
    """A notifier and the socket its messages arrive at, for both kinds of address."""
    address = str(tmp_path / "n") if request.param == "path" else f"@gateway-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address.replace("@", "\0") if request.param == "abstract" else address)
        receiver.settimeout(2)
        yield Notifier({"NOTIFY_SOCKET": address}), receiver


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n: n.ready(), "READY=1"),
        (lambda n: n.ready("2 routes up"), "READY=1\nSTATUS=2 routes up"),
        (lambda n: n.stopping(55, "draining"), "STOPPING=1\nEXTEND_TIMEOUT_USEC=55000000\nSTATUS=draining"),
        (lambda n: n.status("line one\nREADY=1"), "STATUS=line one READY=1"),
        (lambda n: n.watchdog(), "WATCHDOG=1"),
        (lambda n: n.busy(2.5), "EXTEND_TIMEOUT_USEC=2500000"),
    ],
)
def test_each_call_is_one_message(
    call: Callable[[Notifier], bool], message: str, systemd: tuple[Notifier, socket.socket]
) -> None:
    notifier, receiver = systemd
    assert call(notifier)
    assert receiver.recv(4096).decode() == message


def test_a_reload_carries_the_monotonic_time_in_microseconds(systemd: tuple[Notifier, socket.socket]) -> None:
    notifier, receiver = systemd
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    first, _, usec = receiver.recv(4096).decode().partition("\nMONOTONIC_USEC=")
    assert first == "RELOADING=1"
    assert before <= int(usec) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_without_systemd_nothing_is_sent_and_nothing_fails() -> None:
    notifier = Notifier({})
    assert not notifier.ready("x")
    assert not notifier.watchdog()


def test_a_socket_that_is_gone_is_not_fatal(tmp_path: Path) -> None:
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


def fill(receiver: socket.socket) -> int:
    """Send to a receiver until it has room for no more; returns how many messages that were."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for number in range(100_000):
            try:
                sender.sendto(b"x", receiver.getsockname())
            except BlockingIOError:
                return number
    raise AssertionError("it takes everything")


def test_a_full_queue_of_systemd_holds_nobody_up(systemd: tuple[Notifier, socket.socket]) -> None:
    """What must not be missed is told in its order once there is room; a ping or a status would be of no use then."""
    notifier, receiver = systemd
    filled = fill(receiver)
    began = time.monotonic()
    told = [notifier.ready("a"), notifier.watchdog(), notifier.status("b"), notifier.busy(1), notifier.reloading()]
    assert time.monotonic() - began < 0.2
    assert not any([*told, notifier.flush()])
    for _ in range(filled):
        receiver.recv(4096)
    assert notifier.watchdog()
    assert [receiver.recv(4096).split(b"\n")[0] for _ in range(3)] == [b"READY=1", b"RELOADING=1", b"WATCHDOG=1"]


def test_what_waits_for_room_is_bounded(systemd: tuple[Notifier, socket.socket]) -> None:
    """The last things told are kept: they say what is the case."""
    notifier, receiver = systemd
    filled = fill(receiver)
    for number in range(1000):
        notifier.ready(str(number))
    for _ in range(filled):
        receiver.recv(4096)
    assert receiver.recv(4096) if notifier.flush() else filled
    last = b""
    receiver.setblocking(False)
    while not notifier.flush() or last != b"READY=1\nSTATUS=999":
        last = receiver.recv(4096)


def test_a_child_is_not_told_how_to_speak_for_us() -> None:
    """What systemd told by the environment is taken out of it, the rest stays."""
    env = {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "3", "WATCHDOG_PID": "7", "HOME": "/root"}
    assert told_by_systemd(env) == {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "3", "WATCHDOG_PID": "7"}
    assert env == {"HOME": "/root"}


@pytest.mark.parametrize(
    ("env", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_at_half_of_what_systemd_allows(env: dict[str, str], seconds: float | None) -> None:
    assert watchdog_interval(env) == seconds


def stats_of(**states: RouteState) -> GatewayStats:
    stats = GatewayStats("test", "digest")
    stats.connected = True
    for name, state in states.items():
        stats.routes[name] = RouteStats(name)
        stats.routes[name].state = state
    return stats


def test_the_status_line_says_what_is_up_how_fast_and_what_is_down() -> None:
    stats = stats_of(a=RouteState.UP, b=RouteState.UP, eu=RouteState.DOWN, d=RouteState.UP, off=RouteState.DISABLED)
    stats.routes["eu"].code = "no-stream"
    assert status_line(stats, 1240.4) == "3 of 4 routes up, 1,240 events/s; down: eu (no-stream)"


def test_the_status_line_of_a_good_day_is_short() -> None:
    assert status_line(stats_of(a=RouteState.UP), 0.0) == "1 of 1 routes up, 0 events/s"


def test_the_status_line_says_what_else_is_wrong() -> None:
    stats = stats_of(a=RouteState.STARTING)
    stats.connected = stats.last_reload_successful = False
    stats.replicas_seen(3, 2)
    assert status_line(stats, 0.0) == (
        "not connected to NATS; 0 of 1 routes up, 0 events/s; down: a (starting); the last reload failed; "
        "3 replicas run 2 different configs"
    )


def test_the_status_line_names_five_routes_at_most() -> None:
    stats = stats_of(**{f"r{number}": RouteState.STARTING for number in range(8)})
    assert status_line(stats, 0.0).endswith("r4 (starting) and 3 more")


def test_throughput_is_settled_events_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stats = stats_of(a=RouteState.UP, b=RouteState.UP)
    throughput = Throughput(stats)
    assert throughput.rate() == 0.0
    stats.routes["a"].outcomes["published"] += 20
    stats.routes["b"].outcomes["filtered"] += 10
    now[0] += 2
    assert throughput.rate() == 15.0
    del stats.routes["a"]
    now[0] += 1
    assert throughput.rate() == 0.0


def unit() -> dict[str, list[str]]:
    """The [Service] section; a key may come more than once."""
    found: dict[str, list[str]] = {}
    section = UNIT.read_text().partition("[Service]")[2].partition("[Install]")[0]
    for line in section.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_the_unit_leaves_time_to_drain() -> None:
    assert float(unit()["TimeoutStopSec"][0].removesuffix("s")) > Config().drain + 5


def test_the_unit_does_not_restart_over_an_invalid_config() -> None:
    assert unit()["Restart"] == ["always"]
    assert unit()["RestartPreventExitStatus"] == ["78"]


def test_the_unit_checks_a_config_before_it_reloads_it() -> None:
    """Without credentials, which systemd hides from it."""
    check, hup = unit()["ExecReload"]
    assert " check --no-credentials -c /etc/gateway/gateway.yaml" in check
    assert hup == "/bin/kill -HUP $MAINPID"
    assert "ExecStartPre" not in unit()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    """It warns with exit code 0, so that nothing at all on stderr is the only good sign."""
    copy = tmp_path / "gateway.service"
    copy.write_text(UNIT.read_text().replace("/opt/nats-event-gateway/bin/gateway", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("drop_in", ["", *sorted(path.name for path in DROP_INS.iterdir())])
@pytest.mark.parametrize("unit", ["gateway.service", "gateway@.service"])
def test_a_unit_has_no_more_of_the_system_than_it_needs(unit: str, drop_in: str, tmp_path: Path) -> None:
    """Exposure of at most 1.2 on systemd's scale of 10, also with each drop-in."""
    copy = tmp_path / unit
    copy.write_text((UNIT.parent / unit).read_text())
    if drop_in:
        (tmp_path / f"{unit}.d").mkdir()
        (tmp_path / f"{unit}.d" / drop_in).write_text((DROP_INS / drop_in).read_text())
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=12", "--no-pager", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_unit_is_an_ini_file_without_typing_errors_in_its_sections() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(UNIT)
    assert parser.sections() == ["Unit", "Service", "Install"]
