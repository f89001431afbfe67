"""Durations, sizes, rates, secrets, subjects as configs write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigProblem
from gateway.values import Duration, Rate, Secret, Size, Subject

wrong = st.none() | st.booleans() | st.integers() | st.floats() | st.lists(st.integers()) | st.text(max_size=6)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("5m", 300), ("24h", 86400), ("7d", 604800), ("1h30m", 5400), ("1.5s", 1.5)],
)
def test_durations_are_numbers_with_units(text: str, seconds: float) -> None:
    """Several may stand together."""
    assert Duration.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "5 s", "s", "-5s", "5s ", "5S", "1h-5m", 5, None, True])
def test_a_duration_without_a_unit_is_refused(text: object) -> None:
    """A bare number could be anything."""
    with pytest.raises(ConfigProblem, match="expected a duration"):
        Duration.parse(text)


@given(st.integers(0, 10**9))
def test_a_duration_reads_back_what_it_writes(milliseconds: int) -> None:
    """str() is what parse() takes."""
    duration = Duration(milliseconds / 1000)
    assert Duration.parse(str(duration)) == pytest.approx(duration, rel=1e-5)


def test_nanoseconds_are_whole() -> None:
    """The JetStream API takes integers."""
    assert Duration.parse("250ms").nanoseconds == 250_000_000


@pytest.mark.parametrize(("text", "size"), [("100B", 100), ("512KiB", 524288), ("1MiB", 1 << 20), ("1GiB", 1 << 30)])
def test_sizes_are_binary(text: str, size: int) -> None:
    """KiB, not kB."""
    assert Size.parse(text) == size
    assert Size.parse(str(Size.parse(text))) == size


@pytest.mark.parametrize("text", ["1MB", "1.5MiB", "1", 1024, "-1B", None])
def test_decimal_sizes_are_refused(text: object) -> None:
    """Nobody has to guess what MB means."""
    with pytest.raises(ConfigProblem, match="expected a size"):
        Size.parse(text)


def test_rates_are_per_second() -> None:
    """Whatever unit they were written in."""
    assert Rate.parse("600/m") == 10
    assert Rate.parse("100/s") == 100


@pytest.mark.parametrize("text", ["0/s", "100", "100/d", "-1/s", 100])
def test_a_rate_of_nothing_is_refused(text: object) -> None:
    """It would stop the route silently."""
    with pytest.raises(ConfigProblem, match="expected a rate"):
        Rate.parse(text)


def test_subjects_are_wildcards_to_listen_on() -> None:
    """A subject stays a str."""
    assert Subject.parse("orders.>") == "orders.>"
    for bad in ("a..b", "", 5, None):
        with pytest.raises(ConfigProblem):
            Subject.parse(bad)


def test_a_secret_never_shows() -> None:
    """Not in repr, str, format or an error."""
    secret = Secret.parse("s3cret")
    assert "s3cret" not in f"{secret!r} {secret} {[secret]}"
    assert secret.reveal() == "s3cret"
    with pytest.raises(ConfigProblem) as caught:
        Secret.parse(123456)
    assert "123456" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("kind", [Duration, Size, Rate, Subject, Secret])
@given(value=wrong)
def test_whatever_is_written_is_taken_or_a_config_problem(kind: Any, value: object) -> None:
    """No value of YAML makes a parser raise anything else."""
    try:
        kind.parse(value)
    except ConfigProblem as problem:
        assert problem.text  # noqa: PT017 # both ends are fine; the text is what matters
