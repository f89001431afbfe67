"""Who may ask the admin API."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from gateway.values import Secret
from gateway.web.guard import FOREIGN, NO_TOKEN, OPEN, PROXIED, REBOUND, Guard

LOOPBACK = ("Host", "127.0.0.1:9464")


def refused(guard: Guard, *headers: tuple[str, str], target: str = "/api/v1/version") -> tuple[int, str] | None:
    return guard.refusal(CIMultiDict(headers), target)


@pytest.mark.parametrize("host", ["127.0.0.1:9464", "localhost:9464", "[::1]:9464", "192.0.2.7", "localhost"])
def test_addresses_and_localhost_name_us(host: str) -> None:
    assert refused(Guard("127.0.0.1", None), ("Host", host)) is None


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9464", "", "localhost.evil.example", "127.0.0.1.evil"])
def test_any_other_name_may_be_one_that_was_pointed_at_us(host: str) -> None:
    assert refused(Guard("127.0.0.1", None), ("Host", host)) == (403, REBOUND)


def test_the_name_that_is_listened_on_is_ours() -> None:
    headers = [("Host", "gateway.internal:9464"), ("Authorization", "Bearer word")]
    assert refused(Guard("gateway.internal", Secret("word")), *headers) is None


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8080"])
def test_pages_of_other_sites_are_refused(origin: str) -> None:
    assert refused(Guard("127.0.0.1", None), LOOPBACK, ("Origin", origin)) == (403, FOREIGN)


def test_a_page_of_our_own_is_served() -> None:
    headers = [("Host", "127.0.0.1:9464"), ("Origin", "http://127.0.0.1:9464")]
    assert refused(Guard("127.0.0.1", None), *headers) is None


@pytest.mark.parametrize("host", [None, "0.0.0.0", "::", "192.0.2.7", "gateway.internal"])
def test_without_a_token_an_open_port_serves_nobody(host: str | None) -> None:
    assert refused(Guard(host, None), ("Host", "192.0.2.7:9464")) == (403, OPEN)


@pytest.mark.parametrize(
    "given", ["", "word", "Basic word", "Bearer wrong", "Bearer", "Bearer \udcff\udcfe", "Bearer wörd"]
)
def test_a_token_has_to_be_shown(given: str) -> None:
    headers = [("Host", "127.0.0.1"), ("Authorization", given)]
    assert refused(Guard("127.0.0.1", Secret("word")), *headers) == (401, NO_TOKEN)


def test_the_token_is_enough_on_any_port() -> None:
    headers = [("Host", "192.0.2.7:9464"), ("Authorization", "bearer word")]
    assert refused(Guard(None, Secret("word")), *headers) is None


def test_a_token_may_hold_more_than_ascii() -> None:
    headers = [("Host", "127.0.0.1"), ("Authorization", "Bearer wörd")]
    assert refused(Guard("127.0.0.1", Secret("wörd")), *headers) is None


@pytest.mark.parametrize("host", ["Gateway.Internal:9464", "gateway.internal", "LOCALHOST:9464"])
def test_names_of_hosts_have_no_case(host: str) -> None:
    headers = [("Host", host), ("Authorization", "Bearer word")]
    assert refused(Guard("gateway.Internal", Secret("word")), *headers) is None


@pytest.mark.parametrize("site", ["cross-site", "same-site", ""])
def test_what_a_browser_fetches_for_a_page_of_another_site_is_refused(site: str) -> None:
    """A script or an image of ours in such a page comes without an Origin."""
    assert refused(Guard("127.0.0.1", None), LOOPBACK, ("Sec-Fetch-Site", site)) == (403, FOREIGN)


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_an_address_that_somebody_typed_is_served(site: str) -> None:
    assert refused(Guard("127.0.0.1", None), LOOPBACK, ("Sec-Fetch-Site", site)) is None


@pytest.mark.parametrize("name", ["Forwarded", "Via", "X-Forwarded-For", "x-forwarded-host", "X-Real-Ip"])
def test_without_a_token_nothing_is_served_through_a_proxy(name: str) -> None:
    """It comes from this host, but who asks may be anybody."""
    assert refused(Guard("127.0.0.1", None), LOOPBACK, (name, "192.0.2.7")) == (403, PROXIED)
    token = ("Authorization", "Bearer word")
    assert refused(Guard("127.0.0.1", Secret("word")), LOOPBACK, (name, "192.0.2.7"), token) is None


def test_a_second_host_or_none_is_nobodys() -> None:
    assert refused(Guard("127.0.0.1", None), LOOPBACK, ("Host", "evil.example")) == (403, REBOUND)
    assert refused(Guard("127.0.0.1", None)) == (403, REBOUND)


@pytest.mark.parametrize(
    "origins", [("null", "http://127.0.0.1:9464"), ("http://127.0.0.1:9464", "http://evil.example")]
)
def test_every_origin_counts(origins: tuple[str, str]) -> None:
    headers = [("Origin", origin) for origin in origins]
    assert refused(Guard("127.0.0.1", None), LOOPBACK, *headers) == (403, FOREIGN)


def test_of_two_tokens_none_counts() -> None:
    tokens = [("Authorization", "Bearer word"), ("Authorization", "Bearer word")]
    assert refused(Guard("127.0.0.1", Secret("word")), LOOPBACK, *tokens) == (401, NO_TOKEN)


@pytest.mark.parametrize(
    "target", ["http://evil.example/api/v1/version", "http://x@127.0.0.1:9464/api/v1/version", "evil.example:443"]
)
def test_a_target_with_a_host_of_its_own_must_have_that_of_the_header(target: str) -> None:
    assert refused(Guard("127.0.0.1", None), LOOPBACK, target=target) == (403, REBOUND)


def test_a_target_with_our_host_is_served() -> None:
    """As through a proxy that was told to ask for everything."""
    assert refused(Guard("127.0.0.1", None), LOOPBACK, target="http://127.0.0.1:9464/api/v1/version") is None
