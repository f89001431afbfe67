"""A config file becomes a Config, or the list of everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path as File
from typing import Any

import msgspec
import nkeys  # type: ignore[import-untyped]
import pytest

from gateway import Duration, Filter, Path, Rate, Secret, Size, Subject, Template, hookimpl
from gateway.config import model
from gateway.config.loader import Loaded, examine_text, load, read
from gateway.errors import ConfigError
from gateway.problems import Code, Problem
from gateway.registry import Registry, load_plugins

from .samples import ROUTE, Point, acme, acme_point, marked, said

ENV = {"PW": "hunter2", "N": "3", "NAME": "hunter2"}


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The built-ins and the plugin acme."""
    return acme()


def loaded(text: str, registry: Registry) -> Loaded:
    return examine_text(text, "c.yaml", ENV, registry)


def config(text: str, registry: Registry) -> model.Config:
    found = loaded(text, registry)
    assert [problem for problem in found.problems if not problem.is_warning] == []
    assert found.config is not None
    return found.config


def test_the_smallest_config_gets_every_documented_default(registry: Registry) -> None:
    found = config(ROUTE, registry)
    assert found.name == "gateway"
    assert found.nats.servers == ["nats://127.0.0.1:4222"]
    assert found.http == model.Http(listen="127.0.0.1:9464")
    assert (found.log.level, found.log.format, found.log.loggers) == ("info", "auto", {})
    assert (found.drain, found.max_hops) == (25, 16)
    assert (found.plugins.disable, found.plugins.only) == ([], None)
    [route] = found.routes
    assert route == model.Route(
        name="orders",
        source=model.Source(
            stream="ORDERS",
            subjects=[Subject("orders.>")],
            durable="gateway-orders",
            start="all",
            ack_wait=Duration(30),
            max_ack_pending=20_000,
            manage="create",
        ),
        targets=[model.Target(subject=Template("billing.orders"), name="billing.orders")],
        enabled=True,
        codec=None,
        audit_mode="required",
        dead_letter=model.DeadLetter(subject=Template("dlq.{$route}")),
        retry=model.Retry(
            attempts=5, max_age=Duration(86_400), initial=Duration(1), factor=2.0, max=Duration(60), jitter=0.2
        ),
        ordering="none",
        max_in_flight=1024,
        max_in_flight_bytes=Size(16 << 20),
        rate=None,
        timeout=Duration(5),
    )


def test_every_field_of_the_contract_is_read(registry: Registry) -> None:
    found = config(
        """\
name: shop
nats:
  servers: ["tls://a:4222", "wss://b"]
  credentials: /etc/x.creds
  tls: {ca: a.pem, cert: b.pem, key: c.pem, handshake-first: true}
  domain: hub
  inbox-prefix: _INBOX.shop
http: off
log: {level: debug, format: json, loggers: {gateway: warning}}
drain: 1m
max-hops: 3
plugins: {disable: [], only: null, settings: {}}
streams:
  - {name: ORDERS, subjects: [orders.>], provision: create, storage: memory, replicas: 3, retention: workqueue,
     duplicate-window: 5m, max-age: 7d, max-bytes: 1GiB, discard: new}
routes:
  - name: r
    description: What it is for.
    enabled: false
    source: {stream: ORDERS, subjects: [orders.a, orders.b.*], durable: D_1, start: {sequence: 12}, ack-wait: 10s,
             max-ack-pending: 100, manage: update}
    codec: {rot13: {turns: 1}}
    filters: [pass, above: {path: a.b, limit: 2}, acme/share: 0.5, pattern: {a: [1]}]
    transforms: [strip: [a, b.c]]
    targets:
      - subject: "billing.{a}"
        name: billing
        stream: BILLING
        headers: {X-Region: "{region}", X-Old: null}
        codec: raw
    audit-mode: best-effort
    dead-letter: {subject: "dead.{$gateway}.{$route}"}
    retry: {attempts: 2, max-age: 1h, initial: 100ms, factor: 3, max: 5s, jitter: 0}
    ordering: none
    max-in-flight: 10
    max-in-flight-bytes: 1MiB
    rate: 100/s
    timeout: 1s
""",
        registry,
    )
    assert found.http is None
    assert found.nats.tls == model.Tls(ca="a.pem", cert="b.pem", key="c.pem", handshake_first=True)
    assert found.streams[0].max_bytes == 1 << 30
    route = found.routes[0]
    assert route.source.durable == "D_1"
    assert route.source.start == model.StartAt(sequence=12)
    assert route.codec is not None
    assert (route.codec.component, route.codec.config.turns) == ("rot13", 1)
    assert [step.component for step in route.filters] == ["pass", "above", "acme/share", "pattern"]
    assert route.filters[1].config.path == Path("a.b")
    assert route.filters[2].config == 0.5
    assert route.filters[3].config == {"a": [1]}
    assert route.filters[3].path == ("routes", 0, "filters", 3, "pattern")
    assert route.transforms[0].config == [Path("a"), Path("b.c")]
    assert route.targets[0].headers == {"X-Region": Template("{region}"), "X-Old": None}
    assert (route.rate, route.retry.factor) == (Rate(100), 3.0)


@pytest.mark.parametrize(
    ("text", "start"),
    [("all", "all"), ("new", "new"), ("{time: 2026-01-31T12:00:00Z}", model.StartAt(time="2026-01-31T12:00:00Z"))],
)
def test_every_form_of_start_is_read(text: str, start: object, registry: Registry) -> None:
    found = config(ROUTE.replace("[orders.>]", f"[orders.>], start: {text}"), registry)
    assert found.routes[0].source.start == start


@pytest.mark.parametrize("section", ["nats", "http", "log", "plugins", "streams", "defaults", "name", "drain"])
def test_an_empty_section_is_as_good_as_none(section: str, registry: Registry) -> None:
    empty = msgspec.structs.replace(config(f"{section}:\n{ROUTE}", registry), digest="")
    assert empty == msgspec.structs.replace(config(ROUTE, registry), digest="")


def test_secrets_stay_secrets(registry: Registry) -> None:
    found = config('nats: {user: me, password: "${PW}"}\n' + ROUTE, registry)
    assert found.nats.password == Secret("hunter2")
    assert "hunter2" not in repr(found)


def test_no_repr_shows_a_secret_that_stands_in_the_file(registry: Registry) -> None:
    loaded = examine_text("nats: {user: me, password: hunter2}\n" + ROUTE, registry=registry)
    assert loaded.config is not None
    assert "hunter2" not in repr(loaded)


def test_no_repr_shows_what_an_expansion_put_into_a_route(registry: Registry) -> None:
    """Headers, steps and descriptions may hold a secret as well as a password field."""
    text = ROUTE.replace("billing.orders}", "billing.orders, headers: {X: 'Bearer ${PW}'}}")
    steps = "    description: '${PW}'\n    transforms: [set: {a: '${PW}'}]\n    filters: [meta: {$type: ['${PW}']}]\n"
    found = config(text + steps, registry)
    [route] = found.routes
    assert "hunter2" not in repr(found) + repr(route) + repr(route.transforms) + repr(route.targets[0].headers)


TARGET = "    targets: [{subject: billing.orders}]\n"
SOURCE = "    source: {stream: ORDERS, subjects: [orders.>]}\n"
SECOND = "  - name: two\n    source: {stream: OTHER, subjects: [x]}\n    targets: [{subject: y}]\n"

FAULTS = [
    # The document.
    ("«", ["the file is empty (empty)"]),
    ("«# only a comment\n", ["the file is empty (empty)"]),
    ("«{}", ["the file is empty (empty)"]),
    ("«name: x\n", ["the config has no route (empty)"]),
    ("«name: x\nroutes: []\n", ["the config has no route (empty)"]),
    ("«name: x\nroutes:\n", ["the config has no route (empty)"]),
    ("«[1]", ["a config is a mapping, found list (wrong-type)"]),
    ("«routes", ["a config is a mapping, found string (wrong-type)"]),
    ("routes: «{name: x}", ["routes: expected a list, found mapping (wrong-type)"]),
    (
        "routes: [«1, «null]",
        ["routes[0]: expected a mapping, found integer", "routes[1]: expected a mapping, found null"],
    ),
    ("«nmae: x\n" + ROUTE, ["nmae: unknown field (unknown-field)"]),
    ("«digest: x\n" + ROUTE, ["digest: unknown field (unknown-field)"]),
    # The top.
    ("name: «Shop\n" + ROUTE, ['name: "Shop" does not match ^[a-z0-9-]{1,32}$ (invalid-value)']),
    ("name: «" + "a" * 33 + "\n" + ROUTE, ["name: "]),
    ("nats: {servers: «[]}\n" + ROUTE, ["nats.servers: needs at least 1 item, found 0 (invalid-value)"]),
    ("nats: {servers: [«localhost, «'http://x', 'nats://[::1]:4222', «'nats://']}\n" + ROUTE, ["nats.servers["] * 3),
    ("nats: {servers: [«'nats://u:hunter2@ho st']}\n" + ROUTE, ["nats.servers[0]: not the URL of a NATS server"]),
    ("nats: {user: a, password: b, «token: c}\n" + ROUTE, ['nats.token: "token" and "user" exclude each other']),
    (
        "nats: {user: a, password: b, «nkey-seed: «b, «token: «5}\n" + ROUTE,
        ['nats.nkey-seed: "nkey-seed" and', "nats.nkey-seed: not the seed of a", "nats.token", "nats.token"],
    ),
    ("nats: {nkey-seed: «SUxyz}\n" + ROUTE, ["nats.nkey-seed: not the seed of a user's nkey (invalid-value)"]),
    ("nats: {nkey-seed: «'${PW}'}\n" + ROUTE, ["nats.nkey-seed: the value is not valid here (invalid-value)"]),
    ("nats: {user: a, password: «'${file:nowhere}'}\n" + ROUTE, ['nats.password: file "nowhere" ']),
    ("nats: {«user: a}\n" + ROUTE, ['nats.user: "user" needs "password" (missing-field)']),
    ("nats: {«password: a}\n" + ROUTE, ['nats.password: "password" needs "user" (missing-field)']),
    ("nats: {tls: {«cert: a}}\n" + ROUTE, ['nats.tls.cert: "cert" needs "key" (missing-field)']),
    ("nats: {inbox-prefix: «a.>}\n" + ROUTE, ["nats.inbox-prefix: 'a.>' is no subject"]),
    ("http: «on\n" + ROUTE, ["http: expected off or a mapping, found string (wrong-type)"]),
    ("http: «false\n" + ROUTE, ["http: expected off or a mapping, found boolean (wrong-type)"]),
    ("http: {listen: «9464}\n" + ROUTE, ["http.listen: expected a string, found integer"]),
    ("http: {listen: «localhost}\n" + ROUTE, ["http.listen: 'localhost' is not HOST:PORT"]),
    ("http: {listen: «':70000'}\n" + ROUTE, ["http.listen: "]),
    ("http: {«port: 1}\n" + ROUTE, ["http.port: unknown field"]),
    ("log: {level: «warn}\n" + ROUTE, ['log.level: "warn" is not one of "debug", "info", "warning", "error"']),
    ("log: {loggers: {nats: «loud}}\n" + ROUTE, ['log.loggers.nats: "loud" is not one of']),
    ("drain: «0s\n" + ROUTE, ["drain: must be above 0ms, found 0ms"]),
    ("max-hops: «0\n" + ROUTE, ["max-hops: must be at least 1, found 0"]),
    ("plugins: {settings: {«akme: {}}}\n" + ROUTE, ['plugins.settings.akme: no plugin called "akme" is installed']),
    ("plugins: {settings: {«acme: {a: 1}}}\n" + ROUTE, ["plugins.settings.acme: the plugin acme has no settings"]),
    # Streams.
    ("streams: [«{}]\n" + ROUTE, ['streams[0]: the field "name" is missing']),
    ("streams: [{name: «a.b}]\n" + ROUTE, ["streams[0].name: "]),
    ("streams: [{name: A, replicas: «6}]\n" + ROUTE, ["streams[0].replicas: must be at most 5, found 6"]),
    (
        "streams: [{name: A}, {name: «A}]\n" + ROUTE,
        ['streams[1].name: "A" is already used at line 1 (duplicate-stream)'],
    ),
    (
        "streams: [{name: A, subjects: [a.>]}, {name: B, subjects: [«a.*]}]\n" + ROUTE,
        ['streams[1].subjects[0]: "a.*" overlaps "a.>" at line 1'],
    ),
    (
        "streams: [{name: A, subjects: [a, «a]}]\n" + ROUTE,
        ['streams[0].subjects[1]: "a" overlaps "a" at line 1 (invalid-subject)'],
    ),
    # Routes.
    (
        "routes: [«{}]",
        [
            'routes[0]: the field "name" is missing (missing-field)',
            'routes[0]: the field "source" is missing',
            'routes[0]: the field "targets" is missing',
        ],
    ),
    (
        ROUTE + SECOND.replace("two", "«orders"),
        ['routes[1].name: "orders" is already used at line 2 (duplicate-route)'],
    ),
    (ROUTE.replace("orders\n", "«Orders\n"), ['routes[0].name: "Orders" does not match']),
    (ROUTE.replace("{stream: ORDERS, s", "«{s"), ['routes[0].source: the field "stream" is missing']),
    (ROUTE.replace(", subjects: [orders.>]", "").replace("{st", "«{st"), ['routes[0].source: the field "subjects" is']),
    (ROUTE.replace("[orders.>]", "«[]"), ["routes[0].source.subjects: needs at least 1 item, found 0"]),
    (ROUTE.replace("[orders.>]", "«orders.>"), ["routes[0].source.subjects: expected a list, found string"]),
    (ROUTE.replace("[orders.>]", "[«a..b, «'a b', «a.>.b, «a*]"), ["routes[0].source.subjects["] * 4),
    (ROUTE.replace("[orders.>]", "[a.*, b, «a.b]"), ['routes[0].source.subjects[2]: "a.b" overlaps "a.*" at line 3']),
    (ROUTE.replace("ORDERS", "«'OR DERS'"), ["routes[0].source.stream: "]),
    (ROUTE.replace("ORDERS", "ORDERS, durable: «a.b"), ["routes[0].source.durable: "]),
    (ROUTE.replace("ORDERS", "ORDERS, start: «late"), ['routes[0].source.start: "late" is not one of "all", "new"']),
    (ROUTE.replace("ORDERS", "ORDERS, start: {sequence: «0}"), ["routes[0].source.start.sequence: must be at least 1"]),
    (ROUTE.replace("ORDERS", "ORDERS, start: {time: «noon}"), ["routes[0].source.start.time: 'noon' is no RFC 3339"]),
    (ROUTE.replace("ORDERS", "ORDERS, start: {time: «'2026-01-31T12:00:00'}"), ["routes[0].source.start.time: "]),
    (ROUTE.replace("ORDERS", "ORDERS, start: «{}"), ["routes[0].source.start: start needs a sequence or a time"]),
    (
        ROUTE.replace("ORDERS", "ORDERS, start: {sequence: 1, «time: «noon}"),
        ["routes[0].source.start.time: sequence and time exclude", "routes[0].source.start.time: 'noon'"],
    ),
    (
        ROUTE.replace("ORDERS", "ORDERS, ack-wait: «999ms"),
        ["routes[0].source.ack-wait: must be at least 1s, found 999ms"],
    ),
    (ROUTE.replace("ORDERS", "ORDERS, max-ack-pending: «0"), ["routes[0].source.max-ack-pending: must be at least 1"]),
    (ROUTE.replace("ORDERS", "ORDERS, manage: «no"), ['routes[0].source.manage: "no" is not one of']),
    (
        ROUTE.replace("ORDERS", "S, durable: d") + SECOND.replace("OTHER", "S, durable: «d"),
        ['routes[1].source.durable: the durable "d" is already used on this stream by routes[0] at line 3'],
    ),
    (
        ROUTE.replace("ORDERS", "S, durable: gateway-two") + SECOND.replace("OTHER", "S").replace("two", "«two"),
        ["routes[1].name: its durable is already used on this stream by routes[0] at line 3 (duplicate-durable)"],
    ),
    # Targets.
    (ROUTE.replace("[{subject: billing.orders}]", "«[]"), ["routes[0].targets: needs at least 1 item, found 0"]),
    (ROUTE.replace("{subject: billing.orders}", "«{}"), ['routes[0].targets[0]: the field "subject" is missing']),
    (
        ROUTE.replace("billing.orders", "«billing.*"),
        ["routes[0].targets[0].subject: 'billing.*' is no subject: '*' is"],
    ),
    (ROUTE.replace("billing.orders", "«'b .{x}'"), ["routes[0].targets[0].subject: 'b .{x}' is no subject"]),
    (ROUTE.replace("billing.orders", "«'a.{b'"), ["routes[0].targets[0].subject: '{' at character 3 is never closed"]),
    (ROUTE.replace("billing.orders", "«'a.{$nope}'"), ["routes[0].targets[0].subject: nobody knows '$nope'"]),
    (
        ROUTE.replace("billing.orders", "«$JS.API"),
        ["routes[0].targets[0].subject: '$JS.API' is one of the server's own"],
    ),
    (
        ROUTE.replace("}]\n", "}, {subject: «billing.orders}]\n"),
        ['routes[0].targets[1].subject: "billing.orders" is alr'],
    ),
    (
        ROUTE.replace("}]\n", ", name: a}, {subject: b, name: «a}]\n").replace("subjects: [orders.>], name: a}", "s"),
        ['routes[0].targets[1].name: "a" is already the name of the target at line 4 (duplicate-target)'],
    ),
    (
        ROUTE.replace("billing.orders", "b, headers: {«Nats-Msg-Id: x, «gateway-x: y, «'a b': z, Ok: «'{', «ok: z}"),
        ["routes[0].targets[0].headers"] * 5,
    ),
    (ROUTE.replace("billing.orders", 'b, headers: {A: «"x\\ny"}'), ["routes[0].targets[0].headers.A: a header value"]),
    (ROUTE.replace("billing.orders", "b, codec: «xml"), ['routes[0].targets[0].codec: no codec is called "xml"']),
    # The rest of a route.
    (ROUTE + "    dead-letter: {subject: «'dlq.{id}'}\n", ["routes[0].dead-letter.subject: {id} may not stand here"]),
    (ROUTE + "    dead-letter: {subject: «dlq.>}\n", ["routes[0].dead-letter.subject: 'dlq.>' is no subject"]),
    (ROUTE + "    dead-letter: «off\n", ["routes[0].dead-letter: expected a mapping, found string"]),
    (
        ROUTE + "    retry: {attempts: «0, max-age: «0s, initial: «1, factor: «0.5, max: «x, jitter: «1.5}\n",
        [
            "routes[0].retry.attempts: must be at least 1, found 0",
            "routes[0].retry.max-age: must be above 0ms",
            "routes[0].retry.initial: expected a duration, found integer",
            "routes[0].retry.factor: must be at least 1, found 0.5",
            "routes[0].retry.max: expected a duration",
            "routes[0].retry.jitter: must be at most 1, found 1.5",
        ],
    ),
    (
        ROUTE + "    max-in-flight: «0\n    max-in-flight-bytes: «0B\n    rate: «0/s\n    timeout: «0s\n",
        [
            "routes[0].max-in-flight: must be at least 1, found 0",
            "routes[0].max-in-flight-bytes: must be at least 1B, found 0B",
            "routes[0].rate: expected a rate, got '0/s'",
            "routes[0].timeout: must be above 0ms, found 0ms",
        ],
    ),
    (ROUTE + "    audit-mode: «never\n", ['routes[0].audit-mode: "never" is not one of "required", "best-effort"']),
    (ROUTE + "    enabled: «yes\n", ["routes[0].enabled: expected true or false, found string"]),
    (ROUTE + "    ordering: {key: «$deliveries}\n", ["routes[0].ordering.key: $deliveries is no key to order by"]),
    (ROUTE + "    ordering: {key: «$sequence}\n", ["routes[0].ordering.key: $sequence is no key to order by"]),
    (ROUTE + "    ordering: {key: «$stream}\n", ["routes[0].ordering.key: $stream is no key to order by"]),
    (ROUTE + "    ordering: {key: «$nope}\n", ["routes[0].ordering.key: nobody knows '$nope'"]),
    (ROUTE + "    ordering: «loose\n", ['routes[0].ordering: "loose" is not one of "none", "strict"']),
    (ROUTE + "    ordering: «{«keys: a}\n", ["routes[0].ordering"] * 2),
    # Steps.
    (ROUTE + "    filters: «pass\n", ["routes[0].filters: expected a list, found string"]),
    (ROUTE + "    filters: [«1, «[], «{}]\n", ["routes[0].filters[0]: expected a filter, found integer", "", ""]),
    (ROUTE + "    filters: [«pas]\n", ['routes[0].filters[0]: no filter is called "pas" (unknown-component)']),
    (ROUTE + "    filters: [{«set: {a: b}}]\n", ['routes[0].filters[0]: no filter is called "set"']),
    (ROUTE + "    filters: [«acme/pas]\n", ['routes[0].filters[0]: the plugin acme offers no filter called "pas"']),
    (ROUTE + "    filters: [«akme/pass]\n", ['routes[0].filters[0]: no plugin called "akme" is installed']),
    (ROUTE + "    filters: [{pass: {}, «above: {}}]\n", ["routes[0].filters[0]: a filter is one key"]),
    (ROUTE + "    filters: [{pattern: {a: [1]}, «when: x}]\n", ['routes[0].filters[0].when: "when" is reserved']),
    (ROUTE + "    filters: [«timeout]\n", ['routes[0].filters[0]: "timeout" is reserved']),
    (ROUTE + "    filters: [pass: {«a: 1}]\n", ["routes[0].filters[0].pass.a: unknown field"]),
    (ROUTE + "    filters: [pass: «3]\n", ["routes[0].filters[0].pass: expected a mapping, found integer"]),
    (ROUTE + "    filters: [«above]\n", ['routes[0].filters[0]: the field "path" is missing']),
    (ROUTE + "    filters: [above: «null]\n", ['routes[0].filters[0].above: the field "path" is missing']),
    (
        ROUTE + "    filters: [above: {path: «a..b, limit: «-1, «limt: 3}, above: {path: a, limit: «x}]\n",
        [
            "routes[0].filters[0].above.path: 'a..b' is not a path",
            "routes[0].filters[0].above.limit: must be at least 0, found -1",
            "routes[0].filters[0].above.limt: unknown field",
            "routes[0].filters[1].above.limit: expected a number",
        ],
    ),
    (ROUTE + "    filters: [share: «2]\n", ["routes[0].filters[0].share: must be at most 1, found 2"]),
    (ROUTE + "    filters: [share: {rate: «x, key: a}]\n", ["routes[0].filters[0].share.rate: expected a number"]),
    (ROUTE + "    transforms: [«strip]\n", ['routes[0].transforms[0]: "strip" needs settings: a list (missing-field)']),
    (ROUTE + "    transforms: [strip: «]\n", ['routes[0].transforms[0].strip: "strip" needs settings: a list']),
    (ROUTE + "    transforms: [strip: [a, «1, «'$x']]\n", ["routes[0].transforms[0].strip["] * 2),
    (
        ROUTE + "    transforms: [split: «items.*]\n",
        ["routes[0].transforms[0].split: 'items.*' leads to"],
    ),
    (
        ROUTE + "    transforms: [enrich: {bucket: b, key: «'{a[0]}', into: «y.*}]\n",
        [
            "routes[0].transforms[0].enrich.key: 'a[0]' is not a path",
            "routes[0].transforms[0].enrich.into: 'y.*' leads",
        ],
    ),
    (
        ROUTE + "    transforms: [redact: {paths: [«a.**, b.*, «'c[*]', «'d[0].e']}]\n",
        [
            "routes[0].transforms[0].redact.paths[0]: 'a.**' is not a path: a star is a step by itself",
            "routes[0].transforms[0].redact.paths[2]: 'c[*]' is not a path: an index is a step of its own",
            "routes[0].transforms[0].redact.paths[3]: 'd[0].e' is not a path: an index is a step of its own",
        ],
    ),
    (ROUTE + "    codec: {rot13: {turns: «x, «keys: y}}\n", ["routes[0].codec.rot13."] * 2),
    (ROUTE + "    «fitlers: []\n", ["routes[0].fitlers: unknown field (unknown-field)"]),
]


@pytest.mark.parametrize(("text", "problems"), FAULTS)
def test_a_fault_is_reported_at_its_token(text: str, problems: list[str], registry: Registry) -> None:
    text, places = marked(text)
    found = loaded(text, registry)
    assert found.config is None
    assert [(problem.line, problem.column) for problem in found.problems if not problem.is_warning] in (
        places,
        places * len(problems),
    ), "\n".join(map(str, found.problems))
    errors = [problem for problem in found.problems if not problem.is_warning]
    for problem, start in zip(errors, problems, strict=True):
        assert said(problem).startswith(start)
        assert "hunter2" not in str(problem)


def test_problems_of_all_parts_are_found_in_one_run(registry: Registry) -> None:
    """One fault of each part in one file, and none hides another."""
    text, places = marked(
        """\
name: «X
nats: {servers: [«x], user: a, password: b, «token: c}
streams: [{name: A, replicas: «9}]
defaults: {retry: {attempts: «0}}
routes:
  - name: one
    source: {stream: A, subjects: [a, «a]}
    filters: [«nope, above: {path: «1}]
    targets: [{subject: x}, {subject: «x}]
    ordering: {key: «$attempt}
  - name: «one
    source: {stream: A, subjects: [a], «durabel: x}
    targets: «[]
"""
    )
    found = loaded(text, registry)
    assert [(problem.line, problem.column) for problem in found.problems] == places


def test_load_raises_all_errors_in_file_order_and_no_warnings(tmp_path: File, registry: Registry) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("drain: 5\n" + ROUTE.replace("billing.orders", "orders.x") + "    nope: 1\n")
    with pytest.raises(ConfigError) as caught:
        load(path, ENV, registry)
    assert [(problem.line, problem.code) for problem in caught.value.problems] == [
        (1, "wrong-type"),
        (6, "unknown-field"),
    ]
    assert str(caught.value).startswith(f"{path}:1:8: drain: expected a duration, found integer (wrong-type)\n  hint: ")
    nothing, problems = read(path, ENV, registry)
    assert nothing is None
    assert len(problems) == 3


def test_load_gives_the_config_and_its_digest(tmp_path: File, registry: Registry) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(ROUTE)
    first = load(path, ENV, registry)
    assert first.routes[0].name == "orders"
    assert len(first.digest) == 12
    path.write_text(ROUTE + "# changed\n")
    assert load(path, ENV, registry).digest != first.digest


def test_a_file_that_is_not_there_is_one_problem(tmp_path: File, registry: Registry) -> None:
    with pytest.raises(ConfigError, match=r"nope\.yaml:1:1: the file cannot be read: No such file or directory"):
        load(tmp_path / "nope.yaml", ENV, registry)


def test_a_problem_in_an_included_file_names_that_file(tmp_path: File, registry: Registry) -> None:
    (tmp_path / "main.yaml").write_text("include: more.yaml\n" + ROUTE)
    (tmp_path / "more.yaml").write_text(ROUTE)
    _, problems = read(tmp_path / "main.yaml", ENV, registry)
    [problem] = problems
    assert problem.file == str(tmp_path / "more.yaml")
    assert said(problem) == (
        f'routes[1].name: "orders" is already used at line 3 of {tmp_path / "main.yaml"} (duplicate-route)'
    )


def test_what_an_unreadable_include_may_hold_is_not_missed(tmp_path: File, registry: Registry) -> None:
    (tmp_path / "main.yaml").write_text("include: gone.yaml\n")
    nothing, problems = read(tmp_path / "main.yaml", ENV, registry)
    assert nothing is None
    assert [problem.code for problem in problems] == ["include"]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            ROUTE.replace("billing.orders", "«orders.copy"),
            "routes[0].targets[0].subject: the route reads what it publish",
        ),
        (
            ROUTE + "    dead-letter: {subject: «orders.dead}\n",
            "routes[0].dead-letter.subject: the route reads what it",
        ),
        (ROUTE + "    max-in-flight: «30000\n", "routes[0].max-in-flight: more than source.max-ack-pending allows"),
        (ROUTE + "    retry: {initial: «2m}\n", "routes[0].retry.initial: longer than retry.max"),
        (
            "streams: [{name: ORDERS, subjects: [orders.>]}]\n" + ROUTE.replace("[orders.>]", "[orders.a, «order.b]"),
            'routes[0].source.subjects[1]: "order.b" is outside the subjects this config declares for the stream',
        ),
        (
            "streams: [{name: B, subjects: [b.*]}]\n" + ROUTE.replace("billing.orders", "«billing.orders, stream: B"),
            'routes[0].targets[0].subject: "billing.orders" is outside the subjects this config declares for the s',
        ),
        ("plugins: {disable: [«nope]}\n" + ROUTE, 'plugins.disable[0]: no plugin called "nope" is installed (plugin)'),
        ("plugins: {only: [acme, «akme]}\n" + ROUTE, 'plugins.only[1]: no plugin called "akme" is installed (plugin)'),
    ],
)
def test_what_is_most_likely_not_meant_is_a_warning(text: str, warning: str, registry: Registry) -> None:
    text, places = marked(text)
    found = loaded(text, registry)
    assert found.config is not None
    [problem] = found.problems
    assert problem.is_warning
    assert said(problem).startswith(warning)
    assert [(problem.line, problem.column)] == places


def test_expanded_values_are_printed_by_no_check(registry: Registry) -> None:
    """Each check that shows a value shows none that may be a secret."""
    text = """\
name: "${PW} "
nats: {servers: ["${PW}"], inbox-prefix: "${PW}.>"}
http: {listen: "${PW}"}
streams: [{name: "${PW}", subjects: ["${PW}.>"]}, {name: "${PW}", subjects: ["${PW}.a"]}]
routes:
  - name: "${PW}"
    source: {stream: "${PW}", subjects: ["${PW}.>", "${PW}.a"], durable: "${PW}", start: {time: "${PW}"}}
    filters: ["${PW}", "${PW}/x", above: "${PW}", above: {path: "$${PW}", limit: "${PW}"}, {"${PW}": 1}]
    targets: [{subject: "${PW}", headers: {a: "{${PW}"}}, {subject: "${PW}"}, {subject: x, codec: "${PW}/y"}]
    codec: "${PW}"
    ordering: "${PW}"
    rate: "${PW}"
  - name: "${PW}"
    source: {stream: "${PW}", subjects: ["${PW}"], durable: "${PW}"}
    targets: [{subject: "${PW}", name: "${PW}"}, {subject: "${PW}.a", name: "${PW}"}]
    max-in-flight: "${N}"
"""
    problems = loaded(text, registry).problems
    assert len(problems) > 20
    assert "hunter2" not in "\n".join(map(str, problems))


class Maybe(Filter, name="maybe"):
    """A list, or nothing."""

    Config = list[str] | None

    def accepts(self, event: Any) -> bool:
        """Nobody calls it here."""
        return True


class Either(Maybe, name="either"):
    """A mapping, or nothing."""

    Config = dict[str, Any] | None


class Anything(Maybe, name="anything"):
    """Whatever it is."""

    Config = Any


class Unknown(Maybe, name="unknown"):
    """Of a type that is not there."""

    Config = "nowhere"


class Loose:
    @hookimpl
    def gateway_filters(self) -> Any:
        return [Maybe, Either, Anything, Unknown]


@pytest.mark.parametrize(
    ("name", "value"), [("maybe", None), ("either", {}), ("anything", None)], ids=["list", "mapping", "any"]
)
@pytest.mark.parametrize("text", ["{0}", "{0}:", "{0}: null"])
def test_a_step_without_settings_gets_none_or_an_empty_mapping(text: str, name: str, value: object) -> None:
    registry = load_plugins(entry_points=[Point("loose", Loose)])
    found = config(f"{ROUTE}    filters:\n      - {text.format(name)}\n", registry)
    assert found.routes[0].filters[0].config == value


def test_a_config_type_that_is_not_there_is_a_problem_of_the_plugin() -> None:
    registry = load_plugins(entry_points=[Point("loose", Loose)])
    [problem] = loaded(ROUTE + "    filters: [unknown: {a: 1}]\n", registry).problems
    assert problem.code in ("component", "wrong-type")


def test_a_component_s_name_out_of_an_expansion_is_not_guessed_at(registry: Registry) -> None:
    found = examine_text(ROUTE + '    filters: ["${NEAR}"]\n', "c.yaml", {"NEAR": "abov"}, registry)
    [problem] = found.problems
    assert (problem.text, problem.hint) == ("no such filter", "")


def test_a_plugin_that_failed_keeps_only_its_routes_down() -> None:
    def broken() -> None:
        raise ImportError("no such library")

    registry = load_plugins(entry_points=[acme_point(), Point("broken", broken)])
    text = ROUTE + SECOND + "    filters: [frobnicate, broken/x]\n"
    found = loaded(text, registry)
    assert [problem.code for problem in found.problems if not problem.is_warning] == ["plugin", "plugin"]
    assert "the plugin broken failed to load: ImportError: no such library" in found.problems[0].hint
    assert "the plugin broken failed to load: " in found.problems[1].text
    assert found.config is not None
    assert [step.config for step in found.config.routes[1].filters] == [None, None]
    assert found.config.routes[0].filters == []


def test_a_disabled_plugin_keeps_only_its_routes_down() -> None:
    registry = load_plugins(disable=["acme"], entry_points=[acme_point()])
    found = loaded(ROUTE + "    filters: [pass]\n", registry)
    assert [problem.code for problem in found.problems] == ["plugin"]
    assert "disabled by plugins.disable" in found.problems[0].hint
    assert found.config is not None


def test_a_name_two_plugins_claim_keeps_its_routes_down_and_the_long_name_helps() -> None:
    registry = load_plugins(entry_points=[acme_point(), acme_point("other", "other-gateway", "3")])
    found = loaded(ROUTE + "    filters: [pass, other/pass]\n", registry)
    [problem] = found.problems
    assert problem.code == "ambiguous-component"
    assert problem.text == 'acme (acme-gateway 1.2) and other (other-gateway 3) both offer a filter called "pass"'
    assert problem.hint == "write acme/pass or other/pass"
    assert found.config is not None


def test_a_draft_holds_every_good_step_of_a_faulty_route(registry: Registry) -> None:
    """So that what is wrong in them can be found in the same run."""
    text = ROUTE.replace("orders\n", "Orders\n").replace("billing.orders", "b, codec: raw")
    found = loaded(text + "    filters: [nope, pattern: {a: [1]}]\n    codec: rot13\n", registry)
    assert found.config is None
    [draft] = found.draft.routes
    assert [step.component for step in draft.filters] == ["pattern"]
    assert [target.codec.component for target in draft.targets if target.codec] == ["raw", "rot13"]


def test_what_a_component_advises_about_an_expansion_is_not_shown(registry: Registry) -> None:
    """It may repeat the value."""
    found = loaded(ROUTE + '    filters: [pattern: {a: "${PW}", b: c}]\n', registry)
    at_secret = Problem("c.yaml", 5, 28, Code.INVALID_PATTERN, "one", 'write ["hunter2"]')
    beside_it = Problem("c.yaml", 5, 40, Code.INVALID_PATTERN, "two", 'write ["c"]')
    assert [problem.hint for problem in found.tidy([at_secret, beside_it])] == ["", 'write ["c"]']


def test_more_problems_join_the_others_sorted_and_once(registry: Registry) -> None:
    found = loaded("drain: 5\n" + ROUTE + "    nope: 1\n", registry)
    more = Problem("c.yaml", 3, 1, found.problems[0].code, "between")
    assert [problem.line for problem in found.tidy([more, *found.problems])] == [1, 3, 6]


def test_the_seed_of_a_user_s_nkey_is_taken(registry: Registry) -> None:
    seed = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode()
    found = config(f"nats: {{nkey-seed: {seed}}}\n" + ROUTE, registry)
    assert found.nats.nkey_seed == Secret(seed)
