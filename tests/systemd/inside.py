"""A hand inside the guest: does what it is told by a JSON line on stdin and answers with one. Started once a guest.

{"do": "publish", "subject": "in.x", "bodies": ["{}"]}    stored in a stream, in order
{"do": "count", "stream": "OUT"}                          messages, and different bodies among them
{"do": "subjects", "stream": "OUT"}                       those of its messages, sorted, each once
{"do": "get", "url": "http://127.0.0.1:9464/readyz"}      the status, 0 when nobody answers, and the body
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
from typing import Any

import nats

URL = "nats://127.0.0.1:4222"


async def publish(subject: str, bodies: list[str]) -> None:
    """Publish, and wait until each is stored."""
    client = await nats.connect(URL)
    js = client.jetstream()
    for body in bodies:
        await js.publish(subject, body.encode(), timeout=30)
    await client.close()


async def count(stream: str) -> list[int]:
    """How many messages a stream holds, and how many different bodies."""
    client = await nats.connect(URL)
    js = client.jetstream(timeout=30)
    state = (await js.stream_info(stream)).state
    numbers = range(state.first_seq, state.last_seq + 1) if state.messages else ()
    bodies = {(await js.get_msg(stream, number)).data for number in numbers}
    await client.close()
    return [state.messages, len(bodies)]


async def subjects(stream: str) -> list[str]:
    """The subjects of the messages a stream holds."""
    client = await nats.connect(URL)
    info = await client.jetstream(timeout=30).stream_info(stream, subjects_filter=">")
    await client.close()
    return sorted(info.state.subjects or {})


async def get(url: str) -> list[Any]:
    """GET a page of a gateway."""
    return await asyncio.to_thread(_get, url)


def _get(url: str) -> list[Any]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return [answer.status, answer.read().decode()]
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]
    except OSError:
        return [0, ""]


async def _main() -> None:
    does = {"publish": publish, "count": count, "subjects": subjects, "get": get}
    for line in sys.stdin:
        told = json.loads(line)
        try:
            answer = {"answer": await does[told.pop("do")](**told)}  # type: ignore[operator]
        except Exception as error:  # noqa: BLE001 - the test that asked is to fail, and the next one to go on
            answer = {"failed": repr(error)}
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main())
