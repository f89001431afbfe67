"""Why nobody answered a publish is found out while the event may have begun anew."""

from __future__ import annotations

import asyncio

from gateway.ports import Answer, AnswerKind
from tests.support.eventually import eventually
from tests.unit.lanes import TestBed
from tests.unit.routes import route_of


async def test_what_is_found_out_is_not_said_to_copies_of_the_try_before() -> None:
    """A refusal of such a copy would count as one of the new copies, and the event be settled without them."""
    bed = TestBed(route_of(targets="[{subject: gone.x, name: gone}, {subject: other.x, name: other}]"), 1)
    found = asyncio.Event()

    async def takers(subject: str) -> list[str]:
        await found.wait()
        return []

    bed.publisher.takers = takers  # type: ignore[method-assign]
    bed.start()
    bed.source.hand_out()
    (entry,) = bed.lane.window.entries.values()
    token = next(token for token, subject in bed.publisher.unanswered if subject == "gone.x")
    bed.lane.answered(token, Answer(AnswerKind.NO_RESPONDERS))
    (gone, _) = entry.copies
    bed.lane._sender.let_go(entry)
    found.set()
    await eventually(lambda: not bed.lane._sender._lookups)
    assert (gone.tries, sum(bed.stats.retries.values()), bed.stats.up) == (0, 0, True)
    assert not bed.lane._sender.circuits["gone"].held
