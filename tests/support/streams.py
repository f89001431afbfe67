"""Reading streams byte for byte, without a consumer: the witness of what really was stored."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nats.aio.client import Client

_AT_ONCE = 500


@dataclass(frozen=True)
class Stored:
    """One message of a stream exactly as the server keeps it."""

    seq: int
    subject: str
    data: bytes
    header_block: bytes
    time: str
    at: float = 0.0
    """Seconds since the epoch when the server stored it; 0 where whoever read it left that out."""

    @cached_property
    def header_pairs(self) -> list[tuple[str, str]]:
        """Name and value in order, repeated names and all."""
        lines = self.header_block.decode("utf-8", "surrogateescape").split("\r\n")[1:]
        return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]

    @cached_property
    def headers(self) -> dict[str, str]:
        """The last value of each name, names in the sender's case."""
        return dict(self.header_pairs)

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.data)


async def api(nc: Client, request: str, body: dict[str, Any] | None = None, timeout: float = 15.0) -> dict[str, Any]:
    """One JetStream API request, the answer as it came, `error` included."""
    message = await nc.request(f"$JS.API.{request}", json.dumps(body).encode() if body else b"", timeout=timeout)
    answer: dict[str, Any] = json.loads(message.data)
    return answer


async def make_stream(nc: Client, name: str, subjects: list[str], **config: Any) -> dict[str, Any]:
    """Make a file stream; `config` in the server's own words. Fails the test if the server refuses."""
    answer = await api(nc, f"STREAM.CREATE.{name}", {"name": name, "subjects": subjects, "storage": "file", **config})
    assert "error" not in answer, answer["error"]
    return answer


async def change_stream(nc: Client, name: str, **changes: Any) -> None:
    """Change a stream's config as an administrator does, in the server's own words."""
    config = (await api(nc, f"STREAM.INFO.{name}"))["config"]
    answer = await api(nc, f"STREAM.UPDATE.{name}", {**config, **changes})
    assert "error" not in answer, answer["error"]


async def stream_state(nc: Client, stream: str) -> dict[str, Any]:
    """`messages`, `first_seq`, `last_seq` and the rest of the server's own account."""
    answer = await api(nc, f"STREAM.INFO.{stream}")
    assert "error" not in answer, answer["error"]
    state: dict[str, Any] = answer["state"]
    return state


async def count(nc: Client, stream: str) -> int:
    """How many messages the stream holds; 0 while there is no such stream."""
    answer = await api(nc, f"STREAM.INFO.{stream}")
    return int(answer["state"]["messages"]) if "state" in answer else 0


async def read_message(nc: Client, stream: str, seq: int) -> Stored | None:
    """The message at `seq`; None if it is not (or no longer) there."""
    answer = await api(nc, f"STREAM.MSG.GET.{stream}", {"seq": seq})
    if "error" in answer:
        assert answer["error"]["err_code"] == 10037, answer["error"]
        return None
    message = answer["message"]
    return Stored(
        seq=message["seq"],
        subject=message["subject"],
        data=base64.b64decode(message.get("data", "")),
        header_block=base64.b64decode(message.get("hdrs", "")),
        time=message["time"],
    )


async def read_stream(nc: Client, stream: str) -> list[Stored]:
    """Every message of the stream, in order. Works on every retention, moves no consumer, removes nothing."""
    state = await stream_state(nc, stream)
    found: list[Stored] = []
    for start in range(state["first_seq"], state["last_seq"] + 1, _AT_ONCE):
        seqs = range(start, min(start + _AT_ONCE, state["last_seq"] + 1))
        batch = await asyncio.gather(*(read_message(nc, stream, seq) for seq in seqs))
        found += [message for message in batch if message is not None]
    return found


async def consumer_state(nc: Client, stream: str, durable: str) -> dict[str, Any]:
    """CONSUMER.INFO: `num_pending`, `num_ack_pending`, `num_redelivered`, `delivered`, `ack_floor`, `config`."""
    answer = await api(nc, f"CONSUMER.INFO.{stream}.{durable}")
    assert "error" not in answer, answer["error"]
    return answer


async def left_to_do(nc: Client, stream: str, durable: str) -> tuple[int, int]:
    """How many messages a durable has still to give out, and how many of those given out are not settled.

    The server counts what was just stored as pending only a moment after it has acknowledged it. Here it counts at
    once: there is something left as long as the last message that the durable is for has not been given out.
    """
    state = await consumer_state(nc, stream, durable)
    pending, unsettled = int(state["num_pending"]), int(state["num_ack_pending"])
    if pending or unsettled:
        return pending, unsettled
    config = state["config"]
    filters = config.get("filter_subjects") or [config.get("filter_subject") or ">"]
    last = max([await _last(nc, stream, subjects) for subjects in filters])
    return int(last > state["delivered"]["stream_seq"]), 0


async def _last(nc: Client, stream: str, subjects: str) -> int:
    """The sequence of the last message there is on these subjects; 0 without any."""
    answer = await api(nc, f"STREAM.MSG.GET.{stream}", {"last_by_subj": subjects})
    if "error" in answer:
        assert answer["error"]["err_code"] == 10037, answer["error"]
        return 0
    return int(answer["message"]["seq"])
