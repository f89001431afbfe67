"""`gateway demo` as a user runs it: a process, a pipe, Ctrl-C."""

from __future__ import annotations

import itertools
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.orders import ACCIDENTS, Message, shop
from gateway.jetstream.server import EmbeddedServer, tied_to_us
from tests.conftest import connected
from tests.support.process import ROOT
from tests.support.streams import consumer_state, count

Counts = dict[str, int]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A folder for temporary files of the demo alone, so that what it leaves is seen."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}


def command(*arguments: str) -> list[str]:
    return tied_to_us([sys.executable, "-m", "gateway", "demo", *arguments])


def counts(line: str) -> Counts:
    words = line.split()
    return {word: int(number) for word, number in zip(words[::2], words[1::2], strict=True)}


def first_counts(process: subprocess.Popen[str]) -> Counts:
    """The first line with events in it."""
    assert process.stdout is not None
    return next(found for line in process.stdout if (found := counts(line))["received"])


def sent_by(notices: str) -> int:
    return int(notices.partition("the shop sent ")[2].split()[0])


def expected(messages: Iterator[Message]) -> Counts:
    """What the four routes of the orders example must make of these messages, worked out by hand."""
    total = {"received": 0, "published": 0, "filtered": 0, "dead-lettered": 0}
    for message in messages:
        # Every message goes to the archive, and to the route of its kind.
        total["received"] += 2
        total["published"] += 1
        if message.kind in ACCIDENTS:
            total["dead-lettered"] += 1
            continue
        event = json.loads(message.data)
        data = event["detail"]["data"]
        accepted, copies = {
            "created": (event["region"].startswith("eu-"), 1),
            "paid": (data["total"] > 0 and data["delivery"] != "download", 2),
            "cancelled": (data["paid"], 1),
        }[message.kind]
        total["published" if accepted else "filtered"] += copies if accepted else 1
    return total


def servers_of(folder: Path) -> list[str]:
    """Processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def test_the_summary_accounts_for_every_order(environment: dict[str, str]) -> None:
    done = subprocess.run(
        command("--for", "3s", "--rate", "200"), env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) >= 3
    history = [counts(line) for line in lines]
    assert all(list(entry) == ["received", "published", "filtered", "dead-lettered"] for entry in history)
    for before, after in itertools.pairwise(history):
        assert all(before[word] <= after[word] for word in before)
    sent = sent_by(done.stderr)
    assert 100 <= sent <= 600, "a busy machine sends fewer"
    assert history[-1] == expected(itertools.islice(shop(), sent))
    assert history[-1]["dead-lettered"] == sent // 25
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_it_and_leaves_nothing(environment: dict[str, str], number: signal.Signals) -> None:
    folder = Path(environment["TMPDIR"])
    with subprocess.Popen(
        command(), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        first = first_counts(process)
        assert len(servers_of(folder)) == 1
        process.send_signal(number)
        out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert counts(out.splitlines()[-1])["received"] >= first["received"]
    assert list(folder.iterdir()) == []
    assert servers_of(folder) == []


def test_a_terminal_gets_a_table_that_ctrl_c_ends_with_a_sum(environment: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(command(), env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = ""
        while not re.search(r"all +[1-9]", shown):
            shown += os.read(ours, 65536).decode()
        process.send_signal(signal.SIGINT)
        try:
            while more := os.read(ours, 65536):
                shown += more.decode()
        except OSError:
            pass  # the terminal's way to say that nobody has it open any more
    os.close(ours)
    assert process.returncode == 0
    assert re.search(r"http://127.0.0.1:\d+/metrics", shown)
    assert "eu-orders-to-billing" in shown
    last = counts(shown.splitlines()[-1])
    assert last["received"] > 0
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


def test_a_killed_demo_takes_its_server_with_it(environment: dict[str, str]) -> None:
    folder = Path(environment["TMPDIR"])
    with subprocess.Popen(
        command(), env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        first_counts(process)
        process.kill()
    deadline = time.monotonic() + 30
    while servers_of(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert servers_of(folder) == []


@pytest.fixture
def slow_config(tmp_path: Path) -> Path:
    """A route slower than the shop, so that something is in flight at any time."""
    config = tmp_path / "mine.yaml"
    config.write_text(
        "streams:\n"
        "  - {name: ORDERS, subjects: [orders.>], provision: create}\n"
        "  - {name: COPIES, subjects: [copies.>], provision: create}\n"
        "routes:\n"
        "  - name: copy\n"
        "    codec: raw\n"
        "    rate: 200/s\n"
        "    max-in-flight: 100\n"
        "    source: {stream: ORDERS, subjects: [orders.>]}\n"
        "    targets: [{subject: copies.all}]\n"
    )
    return config


def test_it_runs_other_routes_to_their_end_and_keeps_what_it_is_asked_to_keep(
    environment: dict[str, str], slow_config: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    arguments = command("--for", "1s", "--rate", "600", "-c", str(slow_config), "--data", str(data))
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    last = counts(done.stdout.splitlines()[-1])
    assert last["received"] == last["published"] == sent_by(done.stderr) > 100
    assert (data / "jetstream").is_dir()


async def test_ctrl_c_ends_between_two_events_and_the_last_line_is_true(
    environment: dict[str, str], slow_config: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    arguments = command("--rate", "1000", "-c", str(slow_config), "--data", str(data))
    with subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        first_counts(process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=90)
    last = counts(out.splitlines()[-1])
    async with EmbeddedServer(data) as server:
        nc = await connected(server.url)
        state = await consumer_state(nc, "ORDERS", "gateway-copy")
        copies = await count(nc, "COPIES")
        await nc.close()
    assert last["published"] == copies == state["ack_floor"]["stream_seq"]
    # The rest of the window went back to the server.
    assert last["received"] - last["published"] == state["num_ack_pending"]
    assert copies < sent_by(err)


def test_a_broken_config_ends_it_with_every_problem(environment: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "broken.yaml"
    config.write_text("nmae: x\nroutes: 5\n")
    done = subprocess.run(command("-c", str(config)), env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 78
    assert "broken.yaml:1:1" in done.stderr
    assert "broken.yaml:2:9" in done.stderr
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


def test_a_config_without_a_stream_for_orders_says_what_is_missing(environment: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "other.yaml"
    config.write_text(
        "routes:\n  - {name: a, source: {stream: OTHER, subjects: [other.>]}, targets: [{subject: copies.other}]}\n"
    )
    done = subprocess.run(command("-c", str(config)), env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 69
    assert "no stream takes orders.created" in done.stderr
