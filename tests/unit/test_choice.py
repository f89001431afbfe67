"""The format of the metrics page is the one that its reader likes best."""

from __future__ import annotations

import pytest

from gateway.web.choice import wants_gzip, wants_openmetrics

OPENMETRICS = "application/openmetrics-text"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ([], False),
        (["*/*"], False),
        (["text/html"], False),
        ([OPENMETRICS], True),
        ([f"{OPENMETRICS}; version=nonsense"], True),
        ([f"{OPENMETRICS.title()};Q=0.5"], True),
        # What Prometheus sends, and what it sends when its config puts plain text first.
        ([f"{OPENMETRICS};version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"], True),
        ([f"text/plain;version=0.0.4;q=0.5,{OPENMETRICS};version=1.0.0;q=0.3,*/*;q=0.1"], False),
        ([f"{OPENMETRICS};version=1.0.0,text/plain"], True),
        (["text/plain;q=0.5", f"{OPENMETRICS};q=0.75"], True),
        ([f"{OPENMETRICS};q=0"], False),
        ([f"{OPENMETRICS};q=0.0, */*"], False),
        ([f"{OPENMETRICS};q=much"], True),
        ([f"not-{OPENMETRICS}-either"], False),
        ([",;,;;q=,"], False),
    ],
)
def test_openmetrics_is_for_who_names_it_and_likes_plain_text_no_better(accept: list[str], wanted: bool) -> None:
    assert wants_openmetrics(accept) is wanted


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ([], False),
        (["identity"], False),
        (["gzip, deflate"], True),
        (["br", "GZIP;q=0.1"], True),
        (["gzip;q=0"], False),
    ],
)
def test_gzip_is_for_who_names_it(accept: list[str], wanted: bool) -> None:
    assert wants_gzip(accept) is wanted
