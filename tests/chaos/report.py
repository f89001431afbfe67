"""The table at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from .faults import Done
from .run import Outcome

_SHOWN = 20


def report(outcome: Outcome) -> str:
    """A run in words and figures."""
    return "\n".join(_lines(outcome))


def _lines(outcome: Outcome) -> Iterator[str]:
    ledger = outcome.ledger
    yield f"seed {outcome.seed}: {len(outcome.done)} faults in {outcome.lasted:.0f} s"
    yield ""
    yield "| fault | times | seconds, together | not possible |"
    yield "|---|---:|---:|---:|"
    for kind, number in sorted(Counter(str(done.fault.kind) for done in outcome.done).items()):
        these = [done for done in outcome.done if done.fault.kind == kind]
        seconds = sum(done.ended - done.began for done in these)
        yield f"| {kind} | {number} | {seconds:.0f} | {sum('leader' in done.note for done in these) or ''} |"
    yield ""
    yield "| what | number |"
    yield "|---|---:|"
    yield f"| events | {ledger.events} |"
    for name, number in sorted(ledger.outcomes.items()):
        yield f"| of them {name} | {number} |"
    yield f"| copies and dead letters | {ledger.copies} |"
    for name in ("lost", "duplicated", "changed", "foreign", "out_of_order", "unaudited", "audited_wrong", "source"):
        yield f"| {name.replace('_', ' ')} | {len(getattr(ledger, name))} |"
    yield f"| audit records told again after a crash | {ledger.repeats} |"
    chains = ", ".join(f"{number} {ending}" for ending, number in sorted(outcome.chains.items()))
    yield f"| audit chains | {chains} |"
    for code, number in sorted(outcome.chain_notes.items()):
        yield f"| {code} in audit chains, as a crash explains | {number} |"
    for name, (before, after) in sorted(outcome.memory.items()):
        yield f"| memory of {name}, MiB | {before / (1 << 20):.1f} → {after / (1 << 20):.1f} |"
    yield f"| longest stall | {_stall(outcome)} |"
    yield ""
    faults = [*outcome.ledger.faults, *outcome.wrong]
    yield from faults[:_SHOWN]
    if len(faults) > _SHOWN:
        yield f"... and {len(faults) - _SHOWN} more"
    again = f"make chaos SEED={outcome.seed} FAULTS={len(outcome.schedule)}"
    yield ("good" if outcome.good else "NOT GOOD") + f"; the same again: {again}"


def _stall(outcome: Outcome) -> str:
    stall = outcome.stall
    at = stall.began - outcome.began
    during = sorted({str(done.fault.kind) for done in outcome.done if _overlaps(done, stall.began, stall.seconds)})
    return f"{stall.seconds:.1f} s ({stall.route}, at {at:.0f} s: {', '.join(during) or 'nothing going on'})"


def _overlaps(done: Done, began: float, seconds: float) -> bool:
    return done.began < began + seconds and (done.ended or done.began) + 1.0 > began
