"""Hints: what to write instead, for mistakes that people really make. A hint that cannot work is worse than none."""

from __future__ import annotations

import pytest

from gateway.config.loader import examine_text
from gateway.registry import load_plugins
from gateway.routing.compile import compile_config

from .samples import ROUTE

REGISTRY = load_plugins(entry_points=[])


def hints(text: str) -> list[str]:
    """Each problem's hint, as `gateway check` shows them."""
    found = examine_text(text, "c.yaml", {}, REGISTRY)
    _, more = compile_config(found.draft, found.registry)
    return [problem.hint for problem in found.tidy(more) if not problem.is_warning]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('nats: "nats://me:hunter2@h"\n' + ROUTE, 'for example nats: {servers: ["nats://127.0.0.1:4222"]}'),
        ("nats: {url: x}\n" + ROUTE, 'did you mean "servers"? fields: servers, '),
        ("log: debug\n" + ROUTE, "for example log: {level: debug}"),
        (ROUTE + "    dead-letter: dlq.x\n", 'for example dead-letter: {subject: "dlq.{$route}"}; dead letters cannot'),
        (
            ROUTE + "    dead-letter: off\n",
            'for example dead-letter: {subject: "dlq.{$route}"}; dead letters cannot be s',
        ),
        (ROUTE.replace("{stream: ORDERS, subjects: [orders.>]}", "ORDERS"), "for example source: {stream: ORDERS, sub"),
        (
            ROUTE.replace("{subject: billing.orders}", "billing.orders"),
            "for example targets: [{subject: billing.orders}",
        ),
        (
            ROUTE + "    filters: [pattern: '{\"a\": [1]}']\n",
            "take the quotes away: it is no text, and JSON can stand here",
        ),
        (ROUTE + "    transforms: [template: '<a>']\n", "write its fields: {template: ...}; fields: template, paths"),
        ("http: {listen: 9464}\n" + ROUTE, 'for example "127.0.0.1:9464", or ":9464" for every address'),
        (
            ROUTE + "    filters: [pattern: {a: [{exists: yes}]}]\n",
            "spelt like that and without quotes: yes and no are te",
        ),
        # What is not closed, and where it was opened.
        ("name: a\nlog: {level: debug\n" + ROUTE, 'quote a value that holds ": "; or the "{" of line 2 is not closed'),
        (
            "name: a\nlog: {level: debug\ndrain: ${X}\n",
            'quote a value that holds ": "; or the "{" of line 2 is not clo',
        ),
        ("name: a\nlog: {loggers: {a: b},\ndrain: ${X}}\n", 'the "{" of line 2 is not closed; or within {...}'),
    ],
)
def test_the_hint_says_what_to_write(text: str, hint: str) -> None:
    [found] = hints(text)
    assert found.startswith(hint)
    assert "hunter2" not in found


def test_an_unknown_field_of_the_defaults_is_reported_once() -> None:
    """Whatever the routes have besides."""
    text = "defaults: {codecs: json}\n" + ROUTE + "    codec: raw\n"
    assert len(hints(text)) == 1


def test_a_password_that_cannot_be_read_is_one_problem() -> None:
    """It is there, so `user` does not lack it."""
    assert len(hints('nats: {user: a, password: "${file:nowhere}"}\n' + ROUTE)) == 1
