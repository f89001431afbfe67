"""Everything that is wrong with a config is found in one run, and told at its token."""

from __future__ import annotations

import pytest

from gateway.problems import Problem
from gateway.registry import Registry

from .samples import ROUTE, SECOND, acme, loaded, marked, said


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The built-ins and the plugin acme."""
    return acme()


TARGET = "    targets: [{subject: billing.orders}]\n"
SOURCE = "    source: {stream: ORDERS, subjects: [orders.>]}\n"

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


def test_more_problems_join_the_others_sorted_and_once(registry: Registry) -> None:
    found = loaded("drain: 5\n" + ROUTE + "    nope: 1\n", registry)
    more = Problem("c.yaml", 3, 1, found.problems[0].code, "between")
    assert [problem.line for problem in found.tidy([more, *found.problems])] == [1, 3, 6]
