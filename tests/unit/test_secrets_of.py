"""Which words of a config are its secrets."""

from __future__ import annotations

from gateway.config import model
from gateway.config.secrets import secrets_of
from gateway.values import Secret


def test_of_a_server_s_address_the_password_is_one_or_a_name_alone_as_it_is_written_and_as_it_is_sent() -> None:
    """A name beside a password is none."""
    servers = ["nats://someone:pass%40word@a:4222", "tls://to%2Fken@b", "nats://c:4222", "nats://[broken"]
    config = model.Config(nats=model.Nats(servers=servers))
    assert secrets_of(config) == {"pass%40word", "pass@word", "to%2Fken", "to/ken"}


def test_an_empty_secret_is_none() -> None:
    config = model.Config(nats=model.Nats(servers=["nats://a:@b"], user="u", password=Secret("")))
    assert secrets_of(config) == set()
