"""The hash chain of audit records: what was written verifies, and whatever is done to it is found."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.chain.report import Ending
from gateway.chain.stored import Last, Torn, digest, line_of, read
from gateway.chain.writer import MAX_RECORD, Chain, ranges
from gateway.event import TargetRecord
from tests.support.chains import chain, codes, record, verified


def test_a_stored_record_is_the_audit_record_with_three_more_fields() -> None:
    """Each names the chain, its number, and the SHA-256 of the exact bytes of the one before."""
    made, stored = chain(2)
    whole = [json.loads(data) for data in stored]
    assert [one["n"] for one in whole] == [0, 1, 2, 3]
    assert {one["chain"] for one in whole} == {made.id}
    assert whole[0]["previous"] == ""
    for before, after in zip(stored, whole[1:], strict=False):
        assert after["previous"] == hashlib.sha256(before).hexdigest()
    assert [one.get("kind") for one in whole] == ["start", None, None, "end"]
    assert whole[1]["outcome"] == "published"
    assert whole[1]["id"] == record(1).id
    assert "outcome" not in whole[0]


def test_a_whole_chain_is_good_and_closed() -> None:
    made, stored = chain(3)
    report = verified(stored)
    assert report.good
    (summary,) = report.chains
    assert (summary.chain, summary.records, summary.first, summary.last) == (made.id, 5, 0, 4)
    assert (summary.route, summary.instance, summary.sink) == ("r", "host-1", "stream audit.r")
    assert summary.ending is Ending.CLOSED


def test_a_chain_that_follows_another_names_it() -> None:
    first, stored = chain(3, end=False)
    _, more = chain(2, first.last)
    report = verified(stored + more)
    assert report.good
    assert [one.ending for one in report.chains] == [Ending.CRASHED, Ending.CLOSED]
    assert report.chains[1].follows == first.id


def test_a_chain_without_an_end_is_open() -> None:
    _, stored = chain(3, end=False)
    assert verified(stored).chains[0].ending is Ending.OPEN


def remove(stored: list[bytes]) -> list[bytes]:
    return stored[:4] + stored[5:]


def remove_several(stored: list[bytes]) -> list[bytes]:
    return stored[:2] + stored[3:6] + stored[8:]


def change(stored: list[bytes]) -> list[bytes]:
    return [*stored[:4], stored[4].replace(b'"published"', b'"filtered" '), *stored[5:]]


def change_the_link(stored: list[bytes]) -> list[bytes]:
    other = digest(b"something else").encode()
    return [*stored[:4], stored[4].replace(digest(stored[3]).encode(), other), *stored[5:]]


def swap_neighbours(stored: list[bytes]) -> list[bytes]:
    return [*stored[:4], stored[5], stored[4], *stored[6:]]


def move_far(stored: list[bytes]) -> list[bytes]:
    return [*stored[:2], *stored[3:], stored[2]]


def insert_strange(stored: list[bytes]) -> list[bytes]:
    return [*stored[:4], b'{"outcome":"published"}', *stored[4:]]


def insert_forged(stored: list[bytes]) -> list[bytes]:
    forged = json.loads(stored[4])
    return [*stored[:4], json.dumps({**forged, "outcome": "dropped"}).encode(), *stored[4:]]


def repeat(stored: list[bytes]) -> list[bytes]:
    return [*stored[:5], stored[4], *stored[5:]]


def garble(stored: list[bytes]) -> list[bytes]:
    return [*stored[:4], stored[4][:-20], *stored[5:]]


def truncate_the_followed(stored: list[bytes]) -> list[bytes]:
    return stored[:8] + stored[10:]


def change_the_last_of_the_followed(stored: list[bytes]) -> list[bytes]:
    return [*stored[:9], stored[9].replace(b'"sequence":9', b'"sequence":8'), *stored[10:]]


def remove_the_start_of_the_follower(stored: list[bytes]) -> list[bytes]:
    return stored[:10] + stored[11:]


def remove_a_whole_chain(stored: list[bytes]) -> list[bytes]:
    return stored[:10] + stored[14:]


def go_on_after_the_end(stored: list[bytes]) -> list[bytes]:
    last = json.loads(stored[-1])
    forged = {**json.loads(stored[-2]), "n": last["n"] + 1, "previous": digest(stored[-1])}
    return [*stored, json.dumps(forged).encode()]


TAMPERING: list[tuple[Callable[[list[bytes]], list[bytes]], set[str]]] = [
    (remove, {"missing"}),
    (remove_several, {"missing"}),
    (change, {"changed"}),
    (change_the_link, {"changed"}),
    (swap_neighbours, {"out-of-order"}),
    (move_far, {"out-of-order"}),
    (insert_strange, {"foreign"}),
    (insert_forged, {"duplicate", "changed"}),
    (repeat, {"duplicate"}),
    (garble, {"foreign", "missing"}),
    (truncate_the_followed, {"missing"}),
    (change_the_last_of_the_followed, {"changed"}),
    (remove_the_start_of_the_follower, {"missing"}),
    (remove_a_whole_chain, {"missing"}),
    (go_on_after_the_end, {"forked"}),
]


def three_chains() -> list[bytes]:
    """Numbers 0 to 9 of one without an end, then two that follow, of four and five records."""
    first, stored = chain(9, end=False)
    second, more = chain(2, first.last, first=10)
    _, last = chain(3, second.last, first=12)
    return stored + more + last


@pytest.mark.parametrize(("tamper", "found"), TAMPERING, ids=[tamper.__name__ for tamper, _ in TAMPERING])
@pytest.mark.parametrize("cut", [False, True], ids=["nothing-cut", "front-cut"])
def test_what_is_done_to_the_records_is_found(
    tamper: Callable[[list[bytes]], list[bytes]], found: set[str], cut: bool
) -> None:
    """Also where retention cuts the front: that explains nothing behind it."""
    stored = three_chains()
    assert verified(stored, cut=cut).good
    assert set(codes(verified(tamper(stored), cut=cut))) == found


def test_a_finding_says_where_and_which_record() -> None:
    stored = three_chains()
    (finding,) = verified(remove(stored)).findings
    assert str(finding) == "A:5: record 4 is missing before record 5 (missing)"


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_record_removed_or_changed_is_found_unless_it_is_the_very_last(data: st.DataObject) -> None:
    stored = three_chains()
    at = data.draw(st.integers(0, len(stored) - 2))
    if data.draw(st.booleans()):
        tampered = stored[:at] + stored[at + 1 :]
    else:
        byte = data.draw(st.integers(0, len(stored[at]) - 1))
        changed = (
            stored[at][:byte] + bytes([stored[at][byte] ^ data.draw(st.integers(1, 255))]) + stored[at][byte + 1 :]
        )
        tampered = [*stored[:at], changed, *stored[at + 1 :]]
    assert not verified(tampered).good


@given(st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_any_other_order_is_found(shuffle: random.Random) -> None:
    stored = three_chains()
    other = list(stored)
    shuffle.shuffle(other)
    assert verified(other).good == (other == stored)


def test_what_retention_cut_is_told_and_is_no_finding() -> None:
    stored = three_chains()
    report = verified(stored[4:], cut=True)
    assert report.good
    assert [one.cut for one in report.chains] == [4, 0, 0]
    assert codes(verified(stored[4:])) == {"missing": 1}, "unless retention cannot have done it"


def test_a_followed_chain_that_is_gone_with_the_front_is_cut() -> None:
    assert verified(three_chains()[10:], cut=True).good
    assert codes(verified(three_chains()[10:])) == {"missing": 1}


def test_records_stored_late_are_good_when_the_writer_says_so() -> None:
    """A stream that refuses a record and takes the next one stores them in another order."""
    made = Chain("gateway", "host-1", "r", "stream audit.r")
    start = made.start(None, None).data
    one, two, three, four = (made.seal(record(number)).data for number in range(1, 5))
    said = made.late([1, 2]).data
    rest = made.end().data
    assert verified([start, three, four, one, two, said, rest]).good
    assert verified([start, three, four, two, one, said, rest]).good
    unsaid = verified([start, three, four, one, two])
    assert codes(unsaid) == {"out-of-order": 2}
    changed = one.replace(b'"sequence":1', b'"sequence":9')
    assert "changed" in codes(verified([start, three, four, changed, two, said, rest]))


def test_a_chain_of_its_own_after_another_is_unlinked() -> None:
    """Unless the writer says that it did not look at everything."""
    _, stored = chain(2)
    _, more = chain(2)
    assert codes(verified(stored + more)) == {"unlinked": 1}
    made = Chain("gateway", "host-1", "r", "stream audit.r")
    report = verified([*stored, made.start(None, 20_000).data])
    assert report.good
    assert "20000 records" in report.notes[0]


def test_two_chains_after_one_are_a_fork() -> None:
    first, stored = chain(2)
    _, one = chain(2, first.last)
    _, two = chain(2, first.last)
    assert codes(verified(stored + one + two)) == {"forked": 1}


def test_a_chain_that_goes_on_after_it_was_followed_is_a_fork() -> None:
    first = Chain("gateway", "host-1", "r", "stream audit.r")
    stored = [first.start(None, None).data, first.seal(record(1)).data]
    _, more = chain(2, first.last)
    stored += [*more, first.seal(record(2)).data]
    assert codes(verified(stored)) == {"forked": 1}


def test_writers_do_not_disturb_each_other() -> None:
    """Replicas and routes may share a subject: each writes a chain of its own."""
    chains = [Chain("gateway", f"host-{number}", "r", "stream audit.r") for number in range(3)]
    stored = [one.start(None, None).data for one in chains]
    stored += [chains[number % 3].seal(record(number)).data for number in range(1, 20)]
    assert verified(stored).good
    del stored[10]
    assert codes(verified(stored)) == {"missing": 1}


def test_in_a_file_every_chain_follows_the_one_before_whoever_wrote_it() -> None:
    one, two = Chain("gateway", "host-1", "r", "file a"), Chain("gateway", "host-2", "r", "file a")
    stored = [one.start(None, None).data, two.start(None, None).data]
    assert verified(stored).good
    assert codes(verified(stored, one_writer=True)) == {"unlinked": 1}


def test_half_a_record_is_forgiven_only_when_the_next_start_record_says_so() -> None:
    first, stored = chain(2, end=False)
    half = first.seal(record(9)).data[:50]
    whole = Last(first.id, 2, digest(stored[2]))
    second = Chain("gateway", "host-1", "r", "stream audit.r")
    start = second.start(whole, None, [Torn(len(half), digest(half))]).data
    report = verified([*stored, half, start])
    assert report.good
    assert "left by a crash" in report.notes[0]
    assert codes(verified([*stored, half[:-1], start])) == {"foreign": 1}


def test_a_start_record_with_another_writers_name_is_found() -> None:
    made = Chain("gateway", "host-1", "r", "stream audit.r", line=line_of("gateway", "host-2", "r", "stream audit.r"))
    assert codes(verified([made.start(None, None).data])) == {"changed": 1}


def test_findings_are_bounded_and_counted() -> None:
    report = verified(b"{}" for _ in range(5000))
    assert codes(report) == {"foreign": 5000}
    assert len(report.findings) == 1000


def test_a_record_of_any_size_fits() -> None:
    """Ids come from events and a split makes any number of copies; what no stream takes would hold its route."""
    made = Chain("gateway", "host-1", "r", "stream audit.r")
    targets = tuple(TargetRecord(name="t", subject="x" * 200) for _ in range(5000))
    sealed = made.seal(record(event_id="i" * 2_000_000, targets=targets))
    assert len(sealed.data) < MAX_RECORD
    whole = json.loads(sealed.data)
    assert whole["shortened"] is True
    assert len(whole["targets"]) == 100
    assert whole["event_id"].startswith("iii")


def test_bytes_that_are_no_utf8_are_written_as_escapes() -> None:
    made = Chain("gateway", "host-1", "r", "stream audit.r")
    subject = b"in.\xff".decode("utf-8", "surrogateescape")
    sealed = made.seal(record(subject=subject, targets=(TargetRecord(name="t", subject=subject),)))
    assert json.loads(sealed.data)["subject"] == "in.\\udcff"
    assert read(sealed.data) is not None


def test_numbers_become_ranges() -> None:
    assert ranges([3, 4, 5, 9]) == ((3, 5), (9, 9))
    assert ranges([]) == ()
