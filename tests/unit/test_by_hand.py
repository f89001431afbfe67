"""The command that makes a durable by hand: whole, and as the gateway itself would make it."""

from __future__ import annotations

import shlex
import subprocess
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.jetstream.by_hand import consumer_line

WANTED: dict[str, Any] = {
    "durable_name": "gateway-r",
    "ack_policy": "explicit",
    "ack_wait": 90_000_000_000,
    "max_deliver": -1,
    "max_ack_pending": 512,
    "filter_subjects": ["in.>", "other.*"],
    "deliver_policy": "all",
}


def test_the_command_has_all_that_the_route_depends_on_and_asks_nothing() -> None:
    """Tried with `nats` 0.5.0, which takes `--max-deliver -1` for an option of its own and wants the `=`."""
    assert consumer_line("IN", WANTED) == (
        "nats consumer add IN gateway-r --pull --deliver all --filter 'in.>' --filter 'other.*' --ack explicit"
        " --wait 90s --max-pending 512 --max-deliver=-1 --defaults"
    )


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ({"deliver_policy": "new"}, "--deliver new "),
        ({"deliver_policy": "by_start_sequence", "opt_start_seq": 17}, "--deliver 17 "),
    ],
)
def test_the_start_is_the_one_of_the_config(start: dict[str, Any], said: str) -> None:
    assert said in consumer_line("IN", WANTED | start)


def test_a_start_at_an_instant_is_never_later_whenever_the_command_is_run() -> None:
    """`nats` takes only how long ago; the shell counts that when it runs the command, not when it was printed."""
    moment = datetime(2026, 1, 31, 13, 0, 0, 500_000, tzinfo=UTC)
    wanted = WANTED | {"deliver_policy": "by_start_time", "opt_start_time": moment.isoformat()}
    line = consumer_line("IN", wanted)
    began = time.time()
    words = subprocess.run(["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True).stdout
    ago = words.splitlines()[words.splitlines().index("--deliver") + 1]
    assert ago.endswith("s")
    start = began - int(ago[:-1])
    assert moment.timestamp() - 4 < start < moment.timestamp()


def test_an_ordered_durable_is_pinned() -> None:
    pinned = {"priority_groups": ["gateway"], "priority_policy": "pinned_client", "priority_timeout": 4_000_000_000}
    words = shlex.split(consumer_line("IN", WANTED | pinned))
    assert words[words.index("--pinned-groups") :] == ["--pinned-groups", "gateway", "--pinned-ttl", "4s", "--defaults"]
