"""Which connections the doorman closes, and which it must not."""

from __future__ import annotations

import asyncio

import pytest

from gateway.web import doorman
from gateway.web.doorman import Connection, Doorman
from tests.support.eventually import eventually


class Transport(asyncio.Transport):
    """The way to a client that does nothing by itself."""

    aborted = False

    def abort(self) -> None:
        self.aborted = True


def opened(by: Doorman) -> tuple[Connection, Transport]:
    """A new connection."""
    connection, transport = by(), Transport()
    assert isinstance(connection, Connection)
    connection.connection_made(transport)
    return connection, transport


async def test_with_too_many_those_go_that_wait_and_one_at_work_only_for_want_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scrape that is being written is older than the connections that came meanwhile."""
    monkeypatch.setattr(doorman, "MOST", 2)
    door = Doorman(asyncio.Protocol)
    scrape, scraped = opened(door)
    scrape.arrived()
    _, idle = opened(door)
    second, at_work = opened(door)
    assert (scraped.aborted, idle.aborted) == (False, True)
    second.arrived()
    _, newest = opened(door)
    assert (scraped.aborted, at_work.aborted, newest.aborted) == (True, False, False)


async def test_a_request_that_has_come_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large page takes longer than its request."""
    monkeypatch.setattr(doorman, "HEAD_TIME", 0.05)
    door = Doorman(asyncio.Protocol)
    scrape, scraped = opened(door)
    scrape.arrived()
    _, silent = opened(door)
    await eventually(lambda: silent.aborted)
    assert not scraped.aborted


async def test_who_takes_its_answer_in_the_end_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorman, "TAKE_TIME", 0.05)
    door = Doorman(asyncio.Protocol)
    slow, slowly = opened(door)
    greedy, left = opened(door)
    slow.pause_writing()
    slow.resume_writing()
    greedy.pause_writing()
    await eventually(lambda: left.aborted)
    assert not slowly.aborted


async def test_a_connection_that_is_gone_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its timers."""
    monkeypatch.setattr(doorman, "MOST", 2)
    monkeypatch.setattr(doorman, "HEAD_TIME", 0.05)
    door = Doorman(asyncio.Protocol)
    ended, gone = opened(door)
    ended.pause_writing()
    ended.connection_lost(None)
    others = [opened(door)[1] for _ in range(2)]
    assert [other.aborted for other in others] == [False, False]
    await eventually(lambda: all(other.aborted for other in others))
    assert not gone.aborted
