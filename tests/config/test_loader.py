"""A config file becomes a Config."""

from __future__ import annotations

from pathlib import Path as File

import msgspec
import nkeys  # type: ignore[import-untyped]
import pytest

from gateway import Duration, Path, Rate, Secret, Size, Subject, Template
from gateway.config import model
from gateway.config.loader import examine_text, load, read
from gateway.errors import ConfigError
from gateway.registry import Registry

from .samples import ENV, ROUTE, acme, config, said


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The built-ins and the plugin acme."""
    return acme()


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
        step_durations=False,
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
    step-durations: true
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
    assert (route.rate, route.retry.factor, route.step_durations) == (Rate(100), 3.0, True)


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


def test_the_seed_of_a_user_s_nkey_is_taken(registry: Registry) -> None:
    seed = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode()
    found = config(f"nats: {{nkey-seed: {seed}}}\n" + ROUTE, registry)
    assert found.nats.nkey_seed == Secret(seed)


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
