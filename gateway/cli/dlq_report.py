"""How far a redrive is, and how it ended: in words, or as JSON Lines."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from typing import Any

import click

from ..dlq.engine import Redriven
from ..dlq.plan import WHY, Plan
from ..dlq.tally import Tally
from .dlq_words import beside, printable
from .words import count

_EVERY = 5.0
"""Seconds between two lines where no terminal is watched."""

_KEPT = {
    "filtered": "a filter ended it",
    "dropped": "a transform dropped it",
    "unproved": "its target calls the copy a duplicate and does not have it: consumed or deleted since. Look there;"
    " then purge the letter, or redrive it after the target's duplicate window",
    "unreadable": "its target calls the copy a duplicate, and its stream may not be read (STREAM.MSG.GET)",
    "too-large": "its next letter would not fit",
}


class Reporter(ABC):
    """Told by the redrive; prints."""

    def __init__(self) -> None:
        self._printed_at = time.monotonic()
        self._done = 0
        self._started = time.monotonic()

    def progress(self, tally: Tally) -> None:
        """How far it is; printed now and then."""
        if tally.done > self._done and time.monotonic() - self._printed_at >= self.every:
            self._printed_at = time.monotonic()
            self._done = tally.done
            self._progress(tally)

    @property
    def every(self) -> float:
        """Seconds between two words."""
        return _EVERY

    @abstractmethod
    def close(self) -> None:
        """Nothing more is told of how far it is."""

    def speed(self, tally: Tally) -> float:
        """Letters a second so far."""
        return tally.done / max(time.monotonic() - self._started, 0.001)

    @abstractmethod
    def planned(self, plan: Plan) -> None:
        """What will be done with one stream."""

    @abstractmethod
    def notice(self, text: str) -> None:
        """Something happens to a route."""

    @abstractmethod
    def ended(self, redriven: Redriven) -> None:
        """The whole result."""

    @abstractmethod
    def _progress(self, tally: Tally) -> None: ...


class TextReporter(Reporter):
    """Words: progress and notices to stderr, the result to stdout."""

    def __init__(self, terminal: bool, to_source: bool = False) -> None:
        super().__init__()
        self._terminal = terminal
        self._sent = "sent back to the source" if to_source else "published"
        self._line = ""

    @property
    def every(self) -> float:
        """On a terminal the line is written over."""
        return 0.4 if self._terminal else _EVERY

    def planned(self, plan: Plan) -> None:
        """What goes by route, and what stays and why."""
        for share in plan.shares.values():
            own = share.origins <= {share.route}
            of = "" if own else f" of {', '.join(map(printable, sorted(share.origins)))}"
            self.notice(f"{plan.stream}: {count(share.letters)}{of} for the route {share.route}")
        for why, number in plan.skipped.most_common():
            self.notice(f"{plan.stream}: {count(number)} kept: {WHY[why]} ({_such(number, plan.examples[why])})")
        for line in beside(plan.no_letters, plan.of_others):
            self.notice(f"{plan.stream}: {line}")
        if plan.sent_twice:
            who = "names" if plan.sent_twice == 1 else "name"
            self.notice(
                f"{plan.stream}: {count(plan.sent_twice)} {who} the targets that failed; the others get the event"
                " again, and with --failed-targets they do not"
            )

    def notice(self, text: str) -> None:
        """One line, above the one with the progress."""
        self.close()
        click.echo(text, err=True)

    def close(self) -> None:
        """Leave the line with the progress."""
        if self._line:
            click.echo("", err=True)
            self._line = ""

    def _progress(self, tally: Tally) -> None:
        text = f"{tally.done:,} of {tally.letters:,}, {self.speed(tally):,.0f} a second, {_sums(tally, self._sent)}"
        if self._terminal:
            click.echo(f"\r{text:<{len(self._line)}}", nl=False, err=True)
            self._line = text
        else:
            click.echo(text, err=True)

    def ended(self, redriven: Redriven) -> None:
        """How many went where."""
        tally = redriven.tally
        if redriven.dry_run:
            click.echo(f"{count(tally.letters)} would be redriven, {redriven.skipped:,} kept")
            return
        click.echo(f"{tally.done:,} of {count(tally.letters)} done: {_sums(tally, self._sent)}")
        for reason, number in tally.kept.most_common():
            why = _KEPT.get(reason, f"{reason}")
            click.echo(f"{count(number)} kept: {why} ({_such(number, tally.examples[reason])})")
        if tally.dead_lettered:
            click.echo(f"{count(tally.dead_lettered, 'event')} failed again: see gateway dlq list")
        if tally.gone:
            click.echo(f"{count(tally.gone)} gone before their turn: another redrive, a purge or a limit had them")
        if tally.returned:
            click.echo(
                f"{count(tally.returned)} given back: some of their copies may be stored; go on within the duplicate"
                " window of their targets, and none is doubled"
            )
        if tally.done < tally.letters:
            left = tally.letters - tally.done
            after = f" after {tally.last}" if tally.last else "" if tally.done else " before any was done"
            click.echo(f"stopped{after}, {count(left)} left: give the same command again to go on")


class JsonReporter(Reporter):
    """JSON Lines to stdout; each has `event`: planned, notice, progress, and done at the end."""

    def planned(self, plan: Plan) -> None:
        """What goes by route, and what stays and why."""
        _print(
            "planned",
            stream=plan.stream,
            letters=plan.letters,
            routes={share.route: share.letters for share in plan.shares.values()},
            codes=dict(plan.codes),
            skipped={str(why): number for why, number in plan.skipped.items()},
            skipped_examples={str(why): places for why, places in plan.examples.items()},
            no_letters=plan.no_letters,
            of_other_gateways=plan.of_others,
        )

    def notice(self, text: str) -> None:
        """Something happens to a route."""
        _print("notice", text=text)

    def close(self) -> None:
        """Every line stands for itself."""

    def _progress(self, tally: Tally) -> None:
        _print("progress", **_counts(tally))

    def ended(self, redriven: Redriven) -> None:
        """Everything."""
        _print(
            "done",
            ok=redriven.good,
            dry_run=redriven.dry_run,
            stopped=redriven.stopped,
            skipped=redriven.skipped,
            **_counts(redriven.tally),
        )


def _print(event: str, **fields: Any) -> None:
    click.echo(json.dumps({"event": event, **fields}))


def _counts(tally: Tally) -> dict[str, Any]:
    return {
        "letters": tally.letters,
        "done": tally.done,
        "removed": tally.removed,
        "published": tally.published,
        "dead_lettered": tally.dead_lettered,
        "proved": tally.proved,
        "gone": tally.gone,
        "kept": dict(tally.kept),
        "kept_examples": tally.examples,
        "returned": tally.returned,
        "last": tally.last,
    }


def _sums(tally: Tally, sent: str) -> str:
    words = [f"{tally.published:,} {sent}"]
    if tally.proved:
        words.append(f"{count(tally.proved, 'copy', 'copies')} there from a run before")
    if tally.dead_lettered:
        words.append(f"{count(tally.dead_lettered, 'dead letter')} again")
    if tally.gone:
        words.append(f"{tally.gone:,} gone")
    if tally.kept:
        words.append(f"{sum(tally.kept.values()):,} kept")
    return ", ".join(words)


def _such(number: int, examples: list[str]) -> str:
    return ", ".join(examples) + (", ..." if number > len(examples) else "")
