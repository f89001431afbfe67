"""How often the gateway looks after itself: often with anything under way, seldom while every route only waits."""

from __future__ import annotations

import asyncio

import pytest

from gateway.runtime import ticks
from gateway.runtime.ticks import Pace
from tests.support.eventually import eventually


@pytest.fixture
def never_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """A calm tick does not come before the test is over, unless something stirs."""
    monkeypatch.setattr(ticks, "SELDOM", 3600.0)


@pytest.mark.usefixtures("never_seldom")
async def test_an_event_ends_the_calm_for_everybody_who_waits() -> None:
    pace, heard = Pace(), []
    pace.stirred.append(lambda: heard.append(pace.calm))
    pace.rest()
    waiting = [asyncio.create_task(pace.tick()) for _ in range(2)]
    await eventually(lambda: len(pace._waiting) == 2)
    pace.stir()
    assert heard == [False], "told before anybody goes on"
    await asyncio.wait_for(asyncio.gather(*waiting), 30)
    assert not pace._waiting


@pytest.mark.usefixtures("never_seldom")
async def test_what_stirs_nothing_is_told_to_nobody() -> None:
    """Each event of a busy gateway comes by."""
    pace, heard = Pace(), []
    pace.stirred.append(lambda: heard.append(1))
    pace.stir()
    pace.rest()
    pace.stir()
    pace.stir()
    assert heard == [1]


@pytest.mark.usefixtures("never_seldom")
async def test_who_is_cancelled_waits_no_more() -> None:
    pace = Pace()
    pace.rest()
    waiting = asyncio.create_task(pace.tick())
    await eventually(lambda: pace._waiting)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not pace._waiting


@pytest.mark.parametrize("calm", [False, True])
async def test_ticks_come_also_when_nothing_stirs(calm: bool) -> None:
    pace = Pace()
    if calm:
        pace.rest()
    await asyncio.wait_for(pace.tick(), 30)
    assert pace.calm == calm
