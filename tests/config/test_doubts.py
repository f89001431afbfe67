"""Warnings: what a config that can be used most likely did not mean, and what looks like it and is right."""

from __future__ import annotations

from pathlib import Path as File

import pytest

from gateway import Event, Transform, hookimpl
from gateway.config.loader import examine_text
from gateway.problems import Problem
from gateway.registry import Registry, load_plugins

from .samples import ROUTE, Point, marked, said

ALL = "- {name: ORDERS, subjects: [orders.>], provision: create}\n- {name: OUT, subjects: [out.>]}\n"
DECLARED = "streams:\n" + ALL + "- {name: DEAD, subjects: [dlq.>]}\n"
"""Streams for all that `flow` reads and writes."""


class Stamp(Transform, name="stamp"):
    """A plugin's transform, which may make any body."""

    def apply(self, event: Event) -> Event:
        """Nobody calls it here."""
        return event


class Acme:
    """A plugin with one transform."""

    @hookimpl
    def gateway_transforms(self) -> list[type[Transform]]:
        return [Stamp]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_plugins(entry_points=[Point("acme", Acme)])


def warnings(text: str, registry: Registry) -> list[Problem]:
    """The warnings about a config without faults."""
    found = examine_text(text, "c.yaml", {"NAME": "hunter2"}, registry)
    assert found.config is not None, found.problems
    return found.problems


def flow(reads: str, writes: str, name: str = "a", stream: str = "ORDERS", more: str = "") -> str:
    """A route as an item of a list; `writes` is what stands in the braces of its target."""
    source = f"source: {{stream: {stream}, subjects: [{reads}]}}"
    return f"- {{name: {name}, {source}, targets: [{{subject: {writes}}}]{more}}}\n"


ONE = "routes:\n" + flow("orders.new", "out.a")
RAW = ROUTE + "    codec: raw\n"
ROUTES = "routes:\n"

MISTAKES = [
    # Streams and subjects.
    (
        DECLARED + ROUTES + flow("orders.new", '«"billing.{id}", stream: OUT'),
        'routes[0].targets[0].subject: "billing.{id}" is outside the subjects this config declares for the stream',
    ),
    (
        DECLARED + ROUTES + flow("orders.new", '«"bill.x-{a}.{b}", stream: OUT'),
        'routes[0].targets[0].subject: "bill.x-{a}.{b}" is outside the subjects this config declares',
    ),
    (
        DECLARED + ROUTES + flow("orders.new", "out.a", stream="«ORDRES"),
        'routes[0].source.stream: "ORDRES" is none of the streams this config declares',
    ),
    (
        DECLARED + ROUTES + flow("orders.new", "out.a", stream="«orders"),
        'routes[0].source.stream: "orders" is none of the streams',
    ),
    (
        DECLARED.replace("OUT", "RESULTS") + ROUTES + flow("orders.new", '"out.{id}", stream: «RESULT'),
        'routes[0].targets[0].stream: "RESULT" is none of the streams',
    ),
    (
        "streams: «\n" + ALL + ROUTES + flow("orders.new", '"out.{id}"'),
        'streams: no stream declared here takes "dlq.{$route}", the dead letters of a route',
    ),
    (
        "streams: «\n" + ALL + ROUTES + flow("orders.a", "out.a") + flow("orders.b", "out.b", "b"),
        'streams: no stream declared here takes "dlq.{$route}", the dead letters of 2 routes',
    ),
    # Circles.
    (
        ROUTES + flow("a.>", "«b.x") + flow("b.>", "a.x", "b"),
        'routes[0].targets[0].subject: what the route publishes to "b.x" comes back to it by way of routes[1]',
    ),
    (
        ROUTES + flow("a.*", '«"b.{id}"') + flow("b.*", '"c.{id}"', "b") + flow("c.>", '"a.{id}"', "c"),
        'routes[0].targets[0].subject: what the route publishes to "b.{id}" comes back to it by way of routes[1] or ',
    ),
    (ROUTES + flow("a.>", '«"a.copy.{id}"'), 'routes[0].targets[0].subject: the route reads what it publishes to "a.c'),
    # Audits.
    (
        DECLARED + ROUTES + flow("orders.new", "out.a", more=", audits: [stream: {subject: «audit.x, stream: OUT}]"),
        'routes[0].audits[0].stream.subject: "audit.x" is outside the subjects this config declares for the stream',
    ),
    (
        DECLARED.replace("OUT", "AUDITS")
        + ROUTES
        + flow("orders.new", "out.a", more=", audits: [builtin/stream: {subject: out.x, stream: «AUDIT}]"),
        'routes[0].audits[0].builtin/stream.stream: "AUDIT" is none of the streams',
    ),
    (
        ROUTES + flow("audit.>", "out.a", more=", audits: [stream: {subject: «'audit.{$route}'}]"),
        'routes[0].audits[0].stream.subject: the route reads the records it writes to "audit.{$route}"',
    ),
    # Bytes have no fields.
    (
        RAW + "    filters: [pattern: «{a: [b]}]\n",
        "routes[0].filters[0].pattern: codec raw gives bytes, in which a pat",
    ),
    (RAW + "    transforms: [set: «{a: b}]\n", "routes[0].transforms[0].set: codec raw gives bytes, which have no fie"),
    (
        RAW + "    transforms: [builtin/rename: «{a: b}]\n",
        "routes[0].transforms[0].builtin/rename: codec raw gives byte",
    ),
    (
        RAW.replace("billing.orders", '«"billing.{id}"'),
        "routes[0].targets[0].subject: codec raw gives bytes, which have no fields for a subject: every event",
    ),
    # Words of other languages.
    (
        ROUTE + "    filters: [pattern: {«$subject: [{prefix: orders.}]}]\n",
        'routes[0].filters[0].pattern.$subject: a pattern looks for a key "$subject" in the body',
    ),
    (
        ROUTE.replace("billing.orders", '«"billing.{{detail.id}}"'),
        'routes[0].targets[0].subject: doubled braces are literal: "billing.{{detail.id}}" is published to as it sta',
    ),
    (
        ROUTE + "    transforms: [enrich: {bucket: customers, key: «cust, into: y}]\n",
        'routes[0].transforms[0].enrich.key: every event looks up the same key, "cust"',
    ),
    # Loggers.
    (
        "log: {loggers: {«gateway.routes: debug}}\n" + ROUTE,
        'log.loggers."gateway.routes": nothing logs as "gateway.rou',
    ),
    ("log: {loggers: {«gatway: debug}}\n" + ROUTE, 'log.loggers.gatway: nothing logs as "gatway"'),
]


@pytest.mark.parametrize(("text", "warning"), MISTAKES)
def test_what_is_most_likely_not_meant_is_a_warning(text: str, warning: str, registry: Registry) -> None:
    """One warning at its place."""
    text, places = marked(text)
    [problem] = warnings(text, registry)
    assert problem.is_warning
    assert said(problem).startswith(warning)
    if not warning.startswith("streams:"):  # a list has the place of its first item
        assert [(problem.line, problem.column)] == places


RIGHT = [
    # Streams that others look after, or that only look alike.
    "streams: [{name: ORDERS, subjects: [orders.>]}]\n" + ONE,
    "streams: [{name: ORDERS, subjects: [orders.>], provision: create}]\n" + ONE,
    "streams:\n" + ALL + ROUTES + flow("orders.new", "elsewhere.a"),
    "streams:\n" + ALL + "- {name: MIRROR}\n" + ROUTES + flow("orders.new", "out.a"),
    "streams:\n" + ALL + ROUTES + flow("orders.new", "out.a", more=", enabled: false"),
    "streams:\n" + ALL + ROUTES + flow("orders.new", "out.a", more=", dead-letter: {subject: out.dead}"),
    DECLARED + ROUTES + flow("events.new", "out.a", stream="ORDER"),
    DECLARED.replace("ORDERS", "ORDERS1") + ROUTES + flow("orders.new", "out.a", stream="ORDERS2"),
    DECLARED + ROUTES + flow("orders.new", "out.a", stream="ORDERS_MIRROR"),
    DECLARED + ROUTES + flow("orders.new", '"{kind}.{id}", stream: OUT'),
    DECLARED + ROUTES + flow("orders.new", '"out.{id}.{$subject.1}", stream: OUT'),
    DECLARED + ROUTES + flow("orders.new", "out.a", more=", audits: [log, stream: {subject: out.x, stream: OUT}]"),
    DECLARED + ROUTES + flow("orders.new", "out.a", more=", audits: [stream: {subject: out.x}, file: {path: a.jsonl}]"),
    # No circle, or one that a filter or the end of a route may open.
    ROUTES + flow("a.>", "b.x") + flow("b.>", "c.x", "b"),
    ROUTES + flow("a.>", "b.x", more=", filters: [sample: 0.5]") + flow("b.>", "a.x", "b"),
    ROUTES + flow("a.>", "b.x") + flow("b.>", "a.x", "b", more=", enabled: false"),
    ROUTES + flow("a.new", '"b.{id}"') + flow("b.*", '"a.{id}"', "b"),
    ROUTES + flow("a.>", "b.x, stream: ARCHIVE") + flow("b.>", "a.x", "b"),
    ROUTES + flow("orders.new", "out.a") + flow("dlq.>", "orders.new", "again"),
    # Bytes that nobody looks into, or that become something else.
    RAW + "    filters: [meta: {$headers.X-Tenant: [acme]}, subject: [orders.>]]\n",
    RAW + '    transforms: [template: {paths: {id: $id}, template: \'{"id": "<id>"}\'}, set: {a: b}]\n',
    RAW + "    transforms: [acme/stamp, rename: {a: b}]\n",
    RAW.replace("billing.orders", '"billing.{$subject.1}.{id|or:none}"'),
    # Keys and braces as somebody may well have them.
    ROUTE + "    filters: [pattern: {$type: [Order], $id: [{exists: true}], $schema: [a]}]\n",
    ROUTE.replace("billing.orders", "billing.orders, headers: {X-Note: '{{detail.id}}'}"),
    # Look-ups by a value of the event, or of one key whose absence is told.
    ROUTE
    + "    transforms: [enrich: {bucket: b, key: '{cust}', into: y}, enrich: {bucket: b, key: 'eu.{$id}', into: z}]\n",
    ROUTE + "    transforms: [enrich: {bucket: rates, key: eur, into: y, on-missing: reject}]\n",
    # Loggers of the gateway, of plugins and of installed libraries.
    "log: {loggers: {gateway.plugin.acme.orders: debug, gateway.nats: debug, nats.aio.client: info, asyncio: error}}\n"
    + ROUTE,
    "log: {loggers: {'': debug, gateway: info, yaml: error}}\n" + ROUTE,
]


@pytest.mark.parametrize("text", RIGHT)
def test_what_may_well_be_meant_is_no_warning(text: str, registry: Registry) -> None:
    """Warnings about right configs teach people not to read them."""
    assert warnings(text, registry) == []


def test_a_warning_shows_no_value_that_may_be_a_secret(registry: Registry) -> None:
    text = ROUTES + flow("a.>", '"b.${NAME}"') + flow("b.>", "a.x", "b")
    [problem] = warnings(text, registry)
    assert "hunter2" not in str(problem)
    assert "***" in problem.text


def _broken() -> None:
    raise ImportError("no such library")


def test_a_plugin_that_failed_is_told_although_no_route_needs_it() -> None:
    """Its life-cycle hooks are missed at least; a sentence says who, what and what now."""
    registry = load_plugins(entry_points=[Point("broken", _broken, "bad-gateway", "0.1")])
    [problem] = warnings(ROUTE + "plugins: {}\n", registry)
    assert problem.is_warning
    assert said(problem).startswith(
        "plugins: the plugin broken (bad-gateway 0.1) failed to load: ImportError: no such library ("
    )
    assert "plugins: {disable: [broken]}" in problem.hint
    assert (problem.line, problem.column) == (5, 1)


def test_a_plugin_two_packages_claim_is_told_once() -> None:
    points = [Point("acme", Acme, "one", "1"), Point("acme", Acme, "two", "2")]
    [problem] = warnings(ROUTE, load_plugins(entry_points=points))
    assert 'is not loaded: the name "acme" is claimed by one 1 and two 2' in problem.text


def test_a_plugin_a_route_needs_is_told_once() -> None:
    registry = load_plugins(entry_points=[Point("broken", _broken)])
    [problem] = warnings(ROUTE + "    filters: [broken/x]\n", registry)
    assert not problem.is_warning


def test_a_plugin_that_is_left_out_on_purpose_is_no_warning() -> None:
    assert warnings(ROUTE, load_plugins(disable=["broken"], entry_points=[Point("broken", _broken)])) == []


@pytest.mark.parametrize(
    ("section", "path"),
    [("credentials: «nope.creds", "nats.credentials"), ("tls: {ca: «nope.pem}", "nats.tls.ca")],
)
def test_a_file_the_connection_needs_and_that_is_not_here_is_a_warning(
    section: str, path: str, registry: Registry
) -> None:
    text, places = marked(f"nats: {{{section}}}\n" + ROUTE)
    [problem] = warnings(text, registry)
    assert said(problem).startswith(f'{path}: "nope.')
    assert said(problem).endswith('" is not there (unreadable)')
    assert [(problem.line, problem.column)] == places


def test_a_file_that_is_here_is_no_warning(registry: Registry, tmp_path: File) -> None:
    for name in ("a.creds", "ca.pem"):
        (tmp_path / name).touch()
    text = f"nats: {{credentials: {tmp_path}/a.creds, tls: {{ca: {tmp_path}/ca.pem}}}}\n" + ROUTE
    assert warnings(text, registry) == []
