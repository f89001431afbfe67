"""Who may ask the admin API."""

from __future__ import annotations

import pytest

from gateway.values import Secret
from gateway.web.guard import FOREIGN, NO_TOKEN, OPEN, REBOUND, Guard


@pytest.mark.parametrize("host", ["127.0.0.1:9464", "localhost:9464", "[::1]:9464", "192.0.2.7", "localhost"])
def test_addresses_and_localhost_name_us(host: str) -> None:
    assert Guard("127.0.0.1", None).refusal({"Host": host}) is None


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9464", "", "localhost.evil.example", "127.0.0.1.evil"])
def test_any_other_name_may_be_one_that_was_pointed_at_us(host: str) -> None:
    assert Guard("127.0.0.1", None).refusal({"Host": host}) == (403, REBOUND)


def test_the_name_that_is_listened_on_is_ours() -> None:
    headers = {"Host": "gateway.internal:9464", "Authorization": "Bearer word"}
    assert Guard("gateway.internal", Secret("word")).refusal(headers) is None


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8080"])
def test_pages_of_other_sites_are_refused(origin: str) -> None:
    assert Guard("127.0.0.1", None).refusal({"Host": "127.0.0.1:9464", "Origin": origin}) == (403, FOREIGN)


def test_a_page_of_our_own_is_served() -> None:
    headers = {"Host": "127.0.0.1:9464", "Origin": "http://127.0.0.1:9464"}
    assert Guard("127.0.0.1", None).refusal(headers) is None


@pytest.mark.parametrize("host", [None, "0.0.0.0", "::", "192.0.2.7", "gateway.internal"])
def test_without_a_token_an_open_port_serves_nobody(host: str | None) -> None:
    assert Guard(host, None).refusal({"Host": "192.0.2.7:9464"}) == (403, OPEN)


@pytest.mark.parametrize(
    "given", ["", "word", "Basic word", "Bearer wrong", "Bearer", "Bearer \udcff\udcfe", "Bearer wörd"]
)
def test_a_token_has_to_be_shown(given: str) -> None:
    headers = {"Host": "127.0.0.1", "Authorization": given}
    assert Guard("127.0.0.1", Secret("word")).refusal(headers) == (401, NO_TOKEN)


def test_the_token_is_enough_on_any_port() -> None:
    headers = {"Host": "192.0.2.7:9464", "Authorization": "bearer word"}
    assert Guard(None, Secret("word")).refusal(headers) is None


def test_a_token_may_hold_more_than_ascii() -> None:
    headers = {"Host": "127.0.0.1", "Authorization": "Bearer wörd"}
    assert Guard("127.0.0.1", Secret("wörd")).refusal(headers) is None


@pytest.mark.parametrize("host", ["Gateway.Internal:9464", "gateway.internal", "LOCALHOST:9464"])
def test_names_of_hosts_have_no_case(host: str) -> None:
    headers = {"Host": host, "Authorization": "Bearer word"}
    assert Guard("gateway.Internal", Secret("word")).refusal(headers) is None
