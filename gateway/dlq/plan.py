"""What a redrive will do, found out before it does anything: which letters go, which stay and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from enum import StrEnum

import msgspec

from ..routing.letters import written_name
from ..routing.redrive import Letter
from ..routing.route import CompiledRoute
from .selection import Selection, Sieve
from .store import DeadLetters

EXAMPLES = 5
"""Letters named for each reason."""


class Way(StrEnum):
    """Where redriven events go."""

    ROUTE = "route"
    """Through their route again."""
    FAILED_TARGETS = "failed-targets"
    """Through their route, and only to the targets that failed."""
    SOURCE = "source"
    """Back to the subject they came from."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What was ordered."""

    way: Way = Way.ROUTE
    to_route: str = ""
    """The route that takes letters of any route; by default each takes its own."""
    force: bool = False
    """Take also what would be kept for caution."""
    max_redrives: int = 3
    limit: int = 0
    """Letters at most; 0 for all."""
    rate: float = 0.0
    """Letters a second at most; 0 for no limit."""


class Skip(StrEnum):
    """Why a letter that was meant is not redriven."""

    NO_ROUTE = "no-route"
    DISABLED = "route-disabled"
    OTHER_STREAM = "other-stream"
    TARGET_GONE = "target-gone"
    OMITTED = "omitted-headers"
    REDRIVEN = "redriven-often"


WHY: dict[Skip, str] = {
    Skip.NO_ROUTE: "its route is not in the config (--to-route NAME sends it through another)",
    Skip.DISABLED: "its route is disabled",
    Skip.OTHER_STREAM: "it came from another stream than its route reads now (--force)",
    Skip.TARGET_GONE: "a target that failed is not in the config any more",
    Skip.OMITTED: "it is without its original headers, which did not fit (--force)",
    Skip.REDRIVEN: "it was redriven too often already: what fails it is not mended (--force, --max-redrives)",
}
"""The same for people; in brackets what takes it all the same."""


class Judge:
    """Says of each letter which route takes it, and what is against that."""

    def __init__(self, routes: Mapping[str, CompiledRoute], disabled: Collection[str], order: Order) -> None:
        self._routes = routes
        self._disabled = disabled
        self._order = order
        self._written = {
            name: {written_name(target.name) for target in route.targets} for name, route in routes.items()
        }

    def route_of(self, letter: Letter) -> str:
        """The route that is to take a letter."""
        return self._order.to_route or letter.route

    def objection(self, letter: Letter) -> Skip | None:
        """Why a letter stays; None when it goes."""
        order = self._order
        name = self.route_of(letter)
        route = self._routes.get(name)
        if route is None:
            return Skip.DISABLED if name in self._disabled else Skip.NO_ROUTE
        if order.way is Way.FAILED_TARGETS and not self._written[name].issuperset(letter.failed_targets):
            return Skip.TARGET_GONE
        if order.force:
            return None
        if route.origin.stream != letter.source_stream:
            return Skip.OTHER_STREAM
        if letter.redrives >= order.max_redrives:
            return Skip.REDRIVEN
        return Skip.OMITTED if letter.omitted else None


class Share(msgspec.Struct):
    """The letters one route takes of one stream."""

    route: str
    first: int
    last: int
    subject: str | None
    """The one they are all under; None for several."""
    letters: int = 0
    origins: set[str] = msgspec.field(default_factory=set)
    """The routes whose letters they are: others than `route` when that was ordered to take theirs."""


class Plan:
    """What there is to do with one stream."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.shares: dict[str, Share] = {}
        self.codes: Counter[str] = Counter()
        self.skipped: Counter[Skip] = Counter()
        self.examples: dict[Skip, list[str]] = {}
        self.sent_twice = 0
        """Letters that name failed targets, while all targets are sent to."""
        self.no_letters = 0
        self.of_others: dict[str, int] = {}

    @property
    def letters(self) -> int:
        """How many letters go."""
        return sum(share.letters for share in self.shares.values())

    def take(self, route: str, letter: Letter) -> None:
        """A letter goes."""
        share = self.shares.get(route)
        if share is None:
            share = self.shares[route] = Share(route, letter.sequence, letter.sequence, letter.subject)
        share.last = letter.sequence
        share.letters += 1
        share.origins.add(letter.route)
        if share.subject != letter.subject:
            share.subject = None
        self.codes[letter.code] += 1

    def skip(self, why: Skip, letter: Letter) -> None:
        """A letter stays."""
        self.skipped[why] += 1
        examples = self.examples.setdefault(why, [])
        if len(examples) < EXAMPLES:
            examples.append(letter.place)


async def make_plan(letters: DeadLetters, selection: Selection, judge: Judge, order: Order, limit: int) -> Plan:
    """Look at every letter of a stream, and at most `limit` (0: any number) go; raises Retry."""
    plan = Plan(letters.name)
    sieve = Sieve(selection)
    async for letter in sieve.sift(letters.meant(selection.sequences)):
        objection = judge.objection(letter)
        if objection is not None:
            plan.skip(objection, letter)
            continue
        plan.take(judge.route_of(letter), letter)
        if order.way is Way.ROUTE and letter.failed_targets:
            plan.sent_twice += 1
        if plan.letters == limit:
            break
    plan.no_letters, plan.of_others = sieve.no_letters, sieve.of_others
    return plan
