"""The account of outstanding pull requests, against a server that serves them in any turn."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.jetstream.pulls import GRACE, Pulls

EXPIRES = 30.0


@dataclass
class Request:
    """A request as the server has it."""

    number: int
    events: int
    left: int
    deadline: float


class Server(RuleBasedStateMachine):
    """A server and the account of it. It may serve requests in any turn, and its words may be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.pulls = Pulls()
        self.requests: list[Request] = []
        self.now = 1000.0
        self.asked = 0
        self.exact = True
        """Whether every word of the server so far was heard, and said everything."""

    @rule(events=st.integers(1, 5), size=st.integers(0, 100))
    def ask(self, events: int, size: int) -> None:
        """The lane asks for more."""
        self.asked += 1
        before = self.pulls.events, self.pulls.size
        assert self.pulls.asked(events, size, self.now + EXPIRES) == self.asked
        assert (self.pulls.events, self.pulls.size) == (before[0] + events, before[1] + size)
        self.requests.append(Request(self.asked, events, events, self.now + EXPIRES))

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0, 99), size=st.integers(0, 150))
    def deliver(self, which: int, size: int) -> None:
        """A message for any of the requests; the server says nothing when one is used up."""
        request = self.requests[which % len(self.requests)]
        request.left -= 1
        before = self.pulls.events, self.pulls.size
        self.pulls.came(size)
        assert before[0] - 1 <= self.pulls.events or not self.exact
        assert self.pulls.size <= before[1]
        if not request.left:
            self.requests.remove(request)

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0, 99), says=st.sampled_from(["count", "count", "count", "nothing", "lost"]))
    def end(self, which: int, says: str) -> None:
        """The server ends a request: with a count, without one, or unheard."""
        request = self.requests.pop(which % len(self.requests))
        if says == "lost":
            self.exact = False
            return
        self.exact = self.exact and says == "count"
        if self.pulls.ended(request.number, request.left if says == "count" else None):
            assert says == "count"
            assert request.left == request.events, "untouched, but something of it was delivered"

    @rule(seconds=st.sampled_from([0.5, 5.0, EXPIRES / 2, EXPIRES + GRACE / 2]), heard=st.booleans())
    def time_passes(self, seconds: float, heard: bool) -> None:
        """Requests end by themselves at their deadline, and the server says so; then the watchdog looks."""
        self.now += seconds
        for request in [one for one in self.requests if one.deadline <= self.now]:
            self.requests.remove(request)
            self.exact = self.exact and heard
            if heard:
                self.pulls.ended(request.number, request.left)
        self.pulls.expire(self.now)

    @rule(number=st.sampled_from([0, 10**6]), left=st.none() | st.just(0))
    def noise(self, number: int, left: int | None) -> None:
        """Words about requests nobody made."""
        before = self.pulls.events, self.pulls.size
        assert not self.pulls.ended(number, left)
        assert (self.pulls.events, self.pulls.size) == before

    @rule()
    def start_over(self) -> None:
        """The connection was lost: nothing is outstanding any more, and numbers go on."""
        self.pulls.clear()
        self.requests.clear()
        self.exact = True
        assert (self.pulls.events, self.pulls.size) == (0, 0)

    @invariant()
    def never_negative(self) -> None:
        """A lane that thinks it asked for less than nothing asks for too much."""
        assert self.pulls.events >= 0
        assert self.pulls.size >= 0

    @invariant()
    def exact_when_the_server_speaks(self) -> None:
        """Whichever requests it serves first: only the sum is known, and the sum is right."""
        if self.exact:
            assert self.pulls.events == sum(request.left for request in self.requests)

    def teardown(self) -> None:
        """Whatever was lost, nothing is left when every deadline is over."""
        self.pulls.expire(self.now + EXPIRES + GRACE + 0.001)
        assert (self.pulls.events, self.pulls.size) == (0, 0)


Server.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
test_the_account_never_goes_negative_never_leaks_and_is_exact_when_the_server_speaks = Server.TestCase


def test_a_request_is_dropped_a_moment_after_its_deadline_and_not_before() -> None:
    """The server's own word may still be on its way."""
    pulls = Pulls()
    pulls.asked(3, 30, 10.0)
    pulls.asked(4, 40, 20.0)
    pulls.expire(10.0 + GRACE)
    assert (pulls.events, pulls.size) == (7, 70)
    pulls.expire(10.0 + GRACE + 0.001)
    assert (pulls.events, pulls.size) == (4, 40)


def test_bytes_are_taken_off_with_each_message_and_the_rest_with_the_last() -> None:
    """Sizes in the account are what a request asked for: one message may be larger than what is left of it."""
    pulls = Pulls()
    pulls.asked(2, 100, 10.0)
    pulls.asked(1, 50, 10.0)
    pulls.came(30)
    assert (pulls.events, pulls.size) == (2, 120)
    pulls.came(10)
    assert (pulls.events, pulls.size) == (1, 50)
    pulls.came(80)
    assert (pulls.events, pulls.size) == (0, 0)
    pulls.came(80)
    assert (pulls.events, pulls.size) == (0, 0), "nobody asked"


def test_a_request_ended_before_any_of_its_messages_came_is_untouched() -> None:
    """That is how a lane learns that the next message alone is larger than it asked for."""
    pulls = Pulls()
    first = pulls.asked(2, 0, 10.0)
    assert pulls.ended(first, 2)
    second = pulls.asked(2, 0, 10.0)
    pulls.came(1)
    assert not pulls.ended(second, 1)
    assert not pulls.ended(pulls.asked(2, 0, 10.0), None)
    assert pulls.events == 0


def test_messages_of_a_later_request_are_owed_by_the_earlier_ones() -> None:
    """The second of two was served first; when it ends, what stands is what the first still expects."""
    pulls = Pulls()
    first, second = pulls.asked(10, 0, 10.0), pulls.asked(10, 0, 20.0)
    for _ in range(8):
        pulls.came(1)
    assert not pulls.ended(second, 2)
    assert pulls.events == 10
    pulls.expire(10.0 + GRACE + 0.001)
    assert pulls.events == 10, "its place is the second's, whose deadline is later"
    assert not pulls.ended(first, 10)
    assert pulls.events == 0
