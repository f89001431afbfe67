"""What an operator types to make the durable that the gateway may not make itself."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Any

from ..values import Duration

_MARGIN = 2
"""Seconds a start at an instant is put back: `nats` takes only how long ago, and counts it from when it has begun."""


def consumer_line(stream: str, config: dict[str, Any]) -> str:
    """The `nats` command that makes a consumer with this config. It asks nothing: it can stand in a script."""
    begin = ["nats", "consumer", "add", stream, config["durable_name"], "--pull"]
    end = [word for subject in config["filter_subjects"] for word in ("--filter", subject)]
    end += ["--ack", config["ack_policy"], "--wait", str(Duration(config["ack_wait"] / 1e9))]
    # With a space, `nats` takes -1 for an option of its own.
    end += ["--max-pending", str(config["max_ack_pending"]), f"--max-deliver={config['max_deliver']}"]
    for group in config.get("priority_groups") or ():
        end += ["--pinned-groups", group, "--pinned-ttl", str(Duration(config["priority_timeout"] / 1e9))]
    return f"{shlex.join(begin)} --deliver {_start(config)} {shlex.join([*end, '--defaults'])}"


def _start(config: dict[str, Any]) -> str:
    """Where it starts, for a shell; never later than it should, whenever the command is run."""
    if "opt_start_seq" in config:
        return str(config["opt_start_seq"])
    if "opt_start_time" in config:
        since = int(datetime.fromisoformat(config["opt_start_time"]).timestamp()) - _MARGIN
        return f'"$(($(date +%s) - {since}))s"'
    return str(config["deliver_policy"])
