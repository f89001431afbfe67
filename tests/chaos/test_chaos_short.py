"""Eleven faults in twenty seconds, of the kind that `make chaos` makes sixty of in seven minutes; docs/proof.md."""

from __future__ import annotations

from pathlib import Path

from tests.chaos import events
from tests.chaos.report import report
from tests.chaos.run import SCENE, run
from tests.chaos.say import Say
from tests.chaos.schedule import Fault, Kind

RATE = 80
FAULTS = [
    Fault(0, 0.3, 2.0, Kind.GATEWAY_KILL, ("g0",)),
    Fault(1, 1.5, 1.5, Kind.LINK_HOLD, ("g1", "n1")),
    Fault(2, 2.5, 0.0, Kind.STREAM_STEP_DOWN, ("OUT",)),
    Fault(3, 3.0, 4.0, Kind.SERVER_KILL, ("n0",)),
    Fault(4, 4.5, 2.0, Kind.LINK_CUT, ("g0", "n2")),
    Fault(5, 8.5, 0.0, Kind.CONSUMER_STEP_DOWN, (SCENE.consumers[0],)),
    Fault(6, 9.0, events.ACK_WAIT + 0.5, Kind.GATEWAY_STOP, ("g1",)),
    Fault(7, 11.5, 2.5, Kind.NODE_CUT, ("n1",)),
    Fault(8, 16.0, 0.0, Kind.GATEWAY_TERM, ("g0",)),
    Fault(9, 17.0, 0.0, Kind.META_STEP_DOWN, ()),
    Fault(10, 18.0, 0.0, Kind.GATEWAY_RELOAD, ("g1",)),
]
"""By hand, not by seed: the pause is longer than ack-wait, so that the other gateway has its events meanwhile."""


async def test_every_event_is_accounted_for_after_a_short_chaos(tmp_path: Path, say: Say) -> None:
    """Two gateways, three servers, three replicas of everything: nothing lost, doubled, changed or unaudited."""
    outcome = await run(tmp_path, 0, FAULTS, RATE, lambda _line: None)
    assert outcome.good, report(outcome)
    assert {done.fault for done in outcome.done} == set(FAULTS)
    assert min(outcome.ledger.outcomes.values()) > RATE
    say(
        f"{len(FAULTS)} faults, {outcome.ledger.events} events, {outcome.ledger.copies} copies: all accounted for; "
        f"longest stall {outcome.stall.seconds:.1f} s"
    )
