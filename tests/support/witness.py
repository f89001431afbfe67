"""Reading whole streams fast, over a socket of our own: hundreds of thousands of messages in a few seconds.

Shares no code with the gateway or with nats-py, whose view of headers loses some.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterable
from typing import Any, BinaryIO

import nats.errors
from nats.aio.client import Client

from .eventually import PATIENCE, eventually
from .streams import Stored, left_to_do

_BATCH = 2000


async def read_all(url: str, stream: str) -> list[Stored]:
    """Every message of a stream that is no work queue, in order, as the server keeps it; of times, `at` is told."""
    return await asyncio.to_thread(_read_all, url, stream)


def ask(url: str, request: str, body: dict[str, Any], timeout: float = 30.0) -> None:
    """One JetStream API request; an AssertionError when it is refused, an OSError or ValueError when it failed."""
    host, _, port = url.removeprefix("nats://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout) as link, link.makefile("rb") as lines:
        link.sendall(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB _INBOX.witness.> 1\r\n')
        _ask(link, lines, request, body)


def _read_all(url: str, stream: str) -> list[Stored]:
    host, _, port = url.removeprefix("nats://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as link, link.makefile("rb") as lines:
        link.sendall(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB _INBOX.witness.> 1\r\n')
        state = _ask(link, lines, f"STREAM.INFO.{stream}", {})["state"]
        # An ephemeral consumer without acks: it leaves no trace, and the server forgets it by itself.
        config = {"ack_policy": "none", "deliver_policy": "all", "mem_storage": True, "inactive_threshold": 10**10}
        name = _ask(link, lines, f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": config})["name"]
        found: list[Stored] = []
        deadline = time.monotonic() + 30
        while len(found) < state["messages"]:
            batch = min(_BATCH, state["messages"] - len(found))
            _publish(link, f"CONSUMER.MSG.NEXT.{stream}.{name}", {"batch": batch, "expires": 10**10})
            for _ in range(batch):
                subject, reply, header_block, data = _message(lines)
                if header_block.startswith(b"NATS/1.0 503") and time.monotonic() < deadline:
                    time.sleep(0.1)  # in a cluster the request may come before the consumer is known to all
                    break
                assert reply.startswith("$JS.ACK."), f"reading {stream}: {header_block!r}"
                words = reply.split(".")
                found.append(Stored(int(words[5]), subject, data, header_block, "", int(words[7]) / 1e9))
        return found


def _ask(link: socket.socket, lines: BinaryIO, request: str, body: dict[str, Any]) -> dict[str, Any]:
    _publish(link, request, body)
    answer: dict[str, Any] = json.loads(_message(lines)[3])
    assert "error" not in answer, answer["error"]
    return answer


def _publish(link: socket.socket, request: str, body: dict[str, Any]) -> None:
    data = json.dumps(body).encode()
    link.sendall(f"PUB $JS.API.{request} _INBOX.witness.answer {len(data)}\r\n".encode() + data + b"\r\n")


def _message(lines: BinaryIO) -> tuple[str, str, bytes, bytes]:
    """The next message: subject, reply, header block, payload."""
    while True:
        words = lines.readline().split()
        assert words, "the server closed the connection"
        if words[0] in (b"MSG", b"HMSG"):
            with_headers = words[0] == b"HMSG"
            body = lines.read(int(words[-1]) + 2)[:-2]
            head = int(words[-2]) if with_headers else 0
            reply = words[3].decode() if len(words) == (6 if with_headers else 5) else ""
            return words[1].decode(), reply, body[:head], body[head:]
        assert words[0] != b"-ERR", words


async def open_events(nc: Client, stream: str, durables: Iterable[str]) -> int:
    """How many events the durables have not settled yet; more than none while that cannot be found out."""
    total = 0
    for durable in durables:
        try:
            total += sum(await left_to_do(nc, stream, durable))
        except (nats.errors.Error, OSError, AssertionError):
            return 1 << 30
    return total


async def all_settled(nc: Client, stream: str, durables: Iterable[str], timeout: float = PATIENCE) -> None:
    """Wait until nothing is left for the durables to do."""
    names = list(durables)
    left: list[int] = []

    async def none_open() -> bool:
        left.append(await open_events(nc, stream, names))
        return left[-1] == 0

    try:
        await eventually(none_open, timeout, "all settled", interval=0.05)
    except AssertionError as error:
        raise AssertionError(f"{error}; open events: {left[-5:]}") from None
