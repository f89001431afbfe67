"""The two loops people write with nats-py, as processes: `python -m benchmarks.loops naive URL STREAM DURABLE`."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import nats
import uvloop
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.client import JetStreamContext as Js

from . import work

Pull = JetStreamContext.PullSubscription
BATCH = 256


async def naive(js: Js, source: Pull) -> None:
    """One at a time: fetch, publish, wait for the stream's word, ack."""
    while True:
        with contextlib.suppress(nats.errors.TimeoutError):
            for message in await source.fetch(1, timeout=30):
                body = work.by_hand(message.data)
                if body is not None:
                    await js.publish(work.OUT_SUBJECT, body, headers={"Nats-Msg-Id": _id(message)})
                await message.ack()


async def pipelined(js: Js, source: Pull) -> None:
    """A batch at a time: fetch, publish all, wait for all, ack all."""
    while True:
        with contextlib.suppress(nats.errors.TimeoutError):
            messages = await source.fetch(BATCH, timeout=30)
            stored = []
            for message in messages:
                body = work.by_hand(message.data)
                if body is not None:
                    headers = {"Nats-Msg-Id": _id(message)}
                    stored.append(await js.publish_async(work.OUT_SUBJECT, body, headers=headers))
            await asyncio.gather(*stored)
            for message in messages:
                await message.ack()


def _id(message: Msg) -> str:
    return f"order.{message.metadata.sequence.stream}"


async def main(name: str, url: str, stream: str, durable: str) -> None:
    """Say `ready`, then work until killed."""
    client = await nats.connect(url)
    js = client.jetstream()
    source = await js.pull_subscribe_bind(durable, stream)
    print("ready", flush=True)
    await {"naive": naive, "pipelined": pipelined}[name](js, source)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
