"""A target's circuit: one failure opens it, one probe at a time, one PubAck closes it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.model import Retry
from gateway.routing.outputs import Copy
from gateway.runtime.circuit import Circuit
from gateway.runtime.window import NEVER, Entry
from gateway.values import Duration
from tests.unit.routes import delivery_of

POLICY = Retry(initial=Duration(1), factor=2.0, max=Duration(5), jitter=0.5)


def copy_of(name: str) -> Copy:
    """A copy, told by its message id."""
    return Copy(None, "billing", b"", b"", name)


def entry_of() -> Entry:
    """The event a copy is of."""
    return Entry(delivery_of(b""), 0.0, NEVER)


def tripped(copy: Copy, now: float = 100.0, circuit: Circuit | None = None, **more: Any) -> Circuit:
    """A circuit that a copy found closed to it."""
    circuit = circuit or Circuit("billing", "target billing", POLICY)
    circuit.trip(copy, "timeout", "no answer", now=now, **{"route_fault": False, "chance": 0.5, **more})
    return circuit


def held(circuit: Circuit, *names: str) -> list[Copy]:
    """Copies that wait for the target."""
    copies = [copy_of(name) for name in names]
    for copy in copies:
        circuit.hold(copy, entry_of())
    return copies


def probed(circuit: Circuit, now: float) -> str:
    """Which copy tries the target now, by name."""
    found = circuit.probe(now)
    return "" if found is None else found[0].message_id


def test_a_circuit_is_closed_until_something_fails() -> None:
    circuit = Circuit("billing", "target billing", POLICY)
    assert not circuit.open
    assert circuit.probe(1e9) is None
    assert tripped(copy_of("a"), circuit=circuit, route_fault=True).open
    assert (circuit.code, circuit.text, circuit.route_fault, circuit.failures) == ("timeout", "no answer", True, 1)


def test_the_first_probe_waits_for_the_first_pause_and_the_oldest_copy_is_it() -> None:
    """With its entry, which tells whether it is still in flight."""
    circuit = tripped(copy_of("x"))
    copy = copy_of("a")
    entry = entry_of()
    circuit.hold(copy, entry)
    held(circuit, "b")
    assert copy.deadline == NEVER, "the circuit alone decides when it is tried again"
    assert circuit.probe(100.999) is None
    assert circuit.probe(101.0) == (copy, entry)
    assert list(circuit.held) != [copy]


def test_there_is_one_probe_at_a_time() -> None:
    circuit = tripped(copy_of("x"))
    held(circuit, "a", "b")
    assert probed(circuit, 101) == "a"
    assert probed(circuit, 1e9) == ""


def test_jitter_spreads_the_pause() -> None:
    assert tripped(copy_of("x"), chance=0.0).probe_at == 100.5
    assert tripped(copy_of("x"), chance=0.999).probe_at == pytest.approx(101.499)


def test_copies_that_fail_together_count_once() -> None:
    """A thousand in flight when a target goes away are one failure; the last one's words are shown."""
    circuit = tripped(copy_of("x"))
    circuit.trip(copy_of("y"), "no-leader", "electing", route_fault=True, now=100.9, chance=0.5)
    assert (circuit.failures, circuit.probe_at) == (1, 101.0)
    assert (circuit.code, circuit.text, circuit.route_fault) == ("no-leader", "electing", True)


def test_it_opens_once_however_many_fail() -> None:
    """The log has a line for it, not for each copy."""
    circuit = Circuit("billing", "target billing", POLICY)
    facts: dict[str, Any] = {"route_fault": False, "now": 100.0, "chance": 0.5}
    assert [circuit.trip(copy_of(name), "timeout", "", **facts) for name in "abc"] == [True, False, False]
    held(circuit, "a")
    probed(circuit, 101)
    assert circuit.probing is not None
    assert not circuit.trip(circuit.probing, "timeout", "", **facts), "a failed probe is no news"
    circuit.close()
    assert circuit.trip(copy_of("d"), "timeout", "", **facts)


def test_pauses_grow_with_each_failed_probe_up_to_the_longest() -> None:
    circuit = tripped(copy_of("x"))
    [copy] = held(circuit, "a")
    now = 100.0
    for pause in (1, 2, 4, 5, 5):
        assert probed(circuit, now + pause - 0.001) == ""
        assert probed(circuit, now + pause) == "a"
        now += pause
        tripped(copy, now, circuit)
        circuit.hold(copy, entry_of())


def test_a_target_is_probed_at_least_every_five_seconds_whatever_the_longest_pause() -> None:
    """What waits should go as soon as it can; a minute would be the pause of an event."""
    policy = Retry(initial=Duration(1), factor=2.0, max=Duration(60), jitter=0.2)
    circuit = Circuit("billing", "target billing", policy)
    now = 100.0
    for pause in (1, 2, 4, 5, 5, 5):
        circuit.trip(circuit.probing or copy_of("a"), "timeout", "", route_fault=False, now=now, chance=0.5)
        circuit.hold(copy_of("b"), entry_of())
        assert circuit.probe_at == now + pause
        now += pause
        assert probed(circuit, now) == "b"


def test_after_a_reconnect_it_is_probed_at_once_unless_it_is_probed_already() -> None:
    circuit = tripped(copy_of("x"))
    held(circuit, "a", "b")
    circuit.hurry(100.1)
    assert probed(circuit, 100.1) == "a"
    circuit.hurry(100.2)
    assert probed(circuit, 100.2) == ""
    closed = Circuit("billing", "target billing", POLICY)
    closed.hurry(100.1)
    assert closed.probe_at == NEVER


def test_a_failed_probe_goes_to_the_end_of_the_line() -> None:
    """One copy that the target hates must not keep the others from trying."""
    circuit = tripped(copy_of("x"))
    copies = {copy.message_id: copy for copy in held(circuit, "a", "b", "c")}
    now = 100.0
    tried = []
    for _ in range(7):
        now += 10
        name = probed(circuit, now)
        tried.append(name)
        tripped(copies[name], now, circuit)
        circuit.hold(copies[name], entry_of())
    assert tried == ["a", "b", "c", "a", "b", "c", "a"]


def test_a_puback_closes_it_and_lets_everything_go_in_order() -> None:
    circuit = tripped(copy_of("x"), route_fault=True)
    held(circuit, "a", "b", "c")
    assert probed(circuit, 101) == "a"
    assert [copy.message_id for copy, _ in circuit.close()] == ["b", "c"]
    assert (circuit.open, circuit.failures, circuit.probing, circuit.route_fault) == (False, 0, None, False)
    assert circuit.probe(1e9) is None
    assert circuit.close() == []
    again = tripped(copy_of("y"), 200.0, circuit)
    assert again.probe_at == 201.0, "the pauses begin anew"


def test_a_probe_with_a_fate_of_its_own_lets_the_next_one_go_at_once() -> None:
    """Too large, or its event given away: that says nothing of the target."""
    circuit = tripped(copy_of("x"))
    first, second, third = held(circuit, "a", "b", "c")
    assert probed(circuit, 101) == "a"
    circuit.release(third, 101.5)
    assert probed(circuit, 101.5) == "", "not the probe: nothing changes"
    circuit.release(first, 101.5)
    assert circuit.open
    assert probed(circuit, 101.4) == ""
    assert probed(circuit, 101.5) == "b"
    assert circuit.probing is second
    assert circuit.failures == 1


def test_with_nothing_held_the_next_event_is_the_probe() -> None:
    """It opens for that one; should it fail, the pause goes on growing."""
    circuit = tripped(copy_of("x"))
    assert probed(circuit, 100.5) == ""
    assert circuit.open, "not before the pause is over"
    assert probed(circuit, 101) == ""
    assert not circuit.open
    tripped(copy_of("y"), 110.0, circuit)
    assert (circuit.failures, circuit.probe_at) == (2, 112.0)


def test_what_the_server_gave_away_is_forgotten_and_the_target_tried_at_once() -> None:
    circuit = tripped(copy_of("x"))
    held(circuit, "a", "b")
    assert probed(circuit, 101) == "a"
    circuit.forget(101.2)
    assert circuit.held == {}
    assert circuit.probing is None
    assert circuit.open
    held(circuit, "c")
    assert probed(circuit, 101.2) == "c"
