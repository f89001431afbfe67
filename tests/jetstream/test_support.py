"""What the tests themselves stand on: fixtures, `eventually`, the stream readers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from tests.support.cluster import Cluster
from tests.support.eventually import LONG, eventually
from tests.support.streams import count, make_stream, read_message, read_stream


async def test_eventually_returns_what_the_condition_gave() -> None:
    states = iter([0, None, 7])
    assert await eventually(lambda: next(states)) == 7


async def test_eventually_says_what_it_waited_for_and_what_it_saw() -> None:
    async def condition() -> int:
        raise AssertionError("2 of 3 there")

    with pytest.raises(AssertionError, match=r"all there: not within 0.05 s; last seen: .*2 of 3 there"):
        await eventually(condition, 0.05, "all there")


async def test_eventually_lets_real_errors_through() -> None:
    with pytest.raises(ZeroDivisionError):
        await eventually(lambda: 1 / 0)


async def test_a_stream_is_read_byte_for_byte(nc: Client, js: JetStreamContext) -> None:
    await make_stream(nc, "S", ["s.>"], retention="workqueue")
    await nc.publish("s.raw", b"\xff\x00", headers={"a": "1", "A": "2"})
    for number in range(1200):
        await nc.publish(f"s.{number}", b"%d" % number)

    async def stored() -> bool:
        return await count(nc, "S") == 1201

    await eventually(stored)
    await js.delete_msg("S", 3)
    messages = await read_stream(nc, "S")
    assert len(messages) == await count(nc, "S") == 1200
    assert messages[0].data == b"\xff\x00"
    assert messages[0].header_pairs == [("a", "1"), ("A", "2")]
    assert [message.seq for message in messages[1:]] == [2, *range(4, 1202)]
    assert await read_message(nc, "S", 3) is None


async def test_a_stream_that_is_not_there_counts_zero(session_nc: Client, unique: Callable[[str], str]) -> None:
    assert await count(session_nc, unique("NONE")) == 0


async def test_the_cluster_stores_with_three_replicas_and_survives_its_leader(
    cluster: Cluster, cluster_nc: Client
) -> None:
    await cluster.make_stream(cluster_nc, "S", ["s.>"], num_replicas=3)
    await cluster_nc.jetstream().publish("s.one", b"1")
    old = await cluster.leader(cluster_nc, "S")
    old.kill()

    async def another_leads() -> bool:
        return await cluster.leader(cluster_nc, "S") is not old

    await eventually(another_leads, LONG, "another leader")
    assert [message.data for message in await read_stream(cluster_nc, "S")] == [b"1"]
