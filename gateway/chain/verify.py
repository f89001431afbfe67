"""Proves chains whole: reads every record once, in the order it was stored, and keeps a few numbers per chain."""

from __future__ import annotations

from typing import Protocol

from .report import ChainSummary, Code, Ending, Place, Report
from .state import ChainState, Gap
from .stored import Kind, Stored, digest, line_in, line_of, read


class Cut(Protocol):
    """What the place where records are kept says of its own beginning."""

    def explains(self, place: Place) -> bool:
        """Whether retention can have removed what stood before the record at `place`."""
        ...


class Verifier:
    """Takes stored records by `see`; `finish` says what was found."""

    def __init__(self, cut: Cut, *, one_writer: bool = False) -> None:
        """With `one_writer`, as in a file, every chain has to follow the one before it, whoever wrote it."""
        self.report = Report()
        self._cut = cut
        self._one_writer = one_writer
        self._chains: dict[str, ChainState] = {}
        self._strange: list[tuple[Place, int, str]] = []
        """What was no record, until the next start record says whether a crash left it."""

    def see(self, place: Place, data: bytes) -> None:
        """Take one stored record."""
        self.report.records += 1
        stored = read(data)
        if stored is None:
            self._strange.append((place, len(data), digest(data)))
            if len(self._strange) > 100:
                self._foreign(None)
            return
        if self._strange:
            self._foreign(stored)
        chain = self._chains.get(stored.chain)
        if chain is None:
            self._chains[stored.chain] = ChainState(stored, digest(data), place, self.report)
        else:
            chain.see(stored, digest(data), place)

    def finish(self) -> Report:
        """Nothing more comes: judge what is open, and the links between chains."""
        self._foreign(None)
        lines: dict[str, ChainState] = {}
        cuts = {}
        for chain in self._chains.values():
            line = "" if self._one_writer else line_in(chain.id)
            cuts[chain.id] = self._judge(chain, lines.get(line))
            lines[line] = chain
        for chain in self._chains.values():
            # Only now is it known which chains are followed, and are faulty over it.
            self.report.chains.append(self._summary(chain, cuts[chain.id]))
        return self.report

    def _foreign(self, follower: Stored | None) -> None:
        """What is no record is a finding, unless the start record right after it says that a crash left it."""
        known = (
            {(torn.bytes, torn.digest) for torn in follower.torn} if follower and follower.kind is Kind.START else ()
        )
        for place, size, its_digest in self._strange:
            if (size, its_digest) in known:
                self.report.note(f"{place}: half a record of {size} bytes, left by a crash, as the next one says")
            else:
                self.report.find(Code.FOREIGN, place, "this is no record of a chain")
        self._strange.clear()

    def _judge(self, chain: ChainState, before: ChainState | None) -> int:
        """The gaps, late records and link of one chain; `before` is the writer's chain before, if one is present.

        Returns how many of its records retention has cut.
        """
        cut = 0
        for gap in sorted(chain.gaps, key=lambda gap: gap.low):
            if gap.low == 0 and self._is_cut(chain, gap, before):
                cut = gap.high + 1
            else:
                chain.missing(gap)
        for n, place in chain.late.items():
            text = f"record {n} stands after younger ones; it is whole, but was moved here or stored late by a crash"
            self.report.find(Code.OUT_OF_ORDER, place, text, chain.id)
        if chain.start is not None:
            self._link(chain, chain.start, before)
        return cut

    def _is_cut(self, chain: ChainState, gap: Gap, before: ChainState | None) -> bool:
        """Retention cuts from the front: not the start of a chain whose writer's chain before is still there."""
        return before is None and gap.high + 1 == chain.first and self._cut.explains(chain.first_place)

    def _link(self, chain: ChainState, start: Stored, before: ChainState | None) -> None:
        report, place = self.report, chain.first_place
        line = line_of(start.gateway, start.instance, start.route, start.sink)
        if not self._one_writer and line_in(chain.id) != line:
            report.find(Code.CHANGED, place, "the start record names another writer than the chain's name", chain.id)
        if start.follows is None:
            if before is None:
                return
            if start.searched is None:
                text = f"a chain of its own, although {before.id} of the same writer is before it"
                report.find(Code.UNLINKED, place, text, chain.id)
            else:
                report.note(f"{place}: not tied to {before.id}: the writer did not see it in {start.searched} records")
            return
        followed = self._chains.get(start.follows.chain)
        if followed is None:
            if before is not None or not self._cut.explains(place):
                text = f"the chain {start.follows.chain}, which this one follows, is missing"
                report.find(Code.MISSING, place, text, chain.id)
            return
        self._compare(chain, start, followed)

    def _compare(self, chain: ChainState, start: Stored, followed: ChainState) -> None:
        """The last record of a chain, as it is and as the chain after it says."""
        assert start.follows is not None
        report, place, n = self.report, followed.last_place, start.follows.n
        if followed.last < n:
            followed.missing(Gap(followed.last + 1, n, followed.head, start.previous, place))
        elif followed.last > n:
            text = f"the chain goes on to record {followed.last}, but {chain.id} followed it at record {n}"
            report.find(Code.FORKED, place, text, followed.id)
        elif followed.head != start.previous:
            text = f"record {n} is not the one that the chain {chain.id} was tied to: one of them was changed"
            report.find(Code.CHANGED, place, text, followed.id)
        if followed.follower:
            text = f"two chains follow {followed.id}: {followed.follower} and this one"
            report.find(Code.FORKED, chain.first_place, text, chain.id)
        followed.follower = chain.id

    def _summary(self, chain: ChainState, cut: int) -> ChainSummary:
        writer, start = chain.writer, chain.start
        follows = "" if start is None or start.follows is None else start.follows.chain
        crashed = Ending.CRASHED if chain.follower else Ending.OPEN
        return ChainSummary(
            chain=chain.id,
            gateway=writer.gateway,
            instance=writer.instance,
            route=writer.route,
            sink=writer.sink,
            records=chain.records,
            first=chain.first,
            last=chain.last,
            first_place=chain.first_place,
            last_place=chain.last_place,
            cut=cut,
            ending=Ending.CLOSED if chain.ended else crashed,
            follows=follows,
            sound=chain.id not in self.report.faulty,
        )
