"""The effective config shows what counts, in the order of the model, loads again, and shows no secret."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from gateway.config.effective import effective, effective_yaml
from gateway.config.loader import Loaded, examine_text
from gateway.registry import Registry

from .samples import ROUTE, acme

FULL = """\
name: shop
streams: [{name: S, subjects: [a.>], max-bytes: 1GiB}]
defaults: {rate: 10/h, retry: {max: 90s}}
http: off
routes:
  - name: r
    source: {stream: S, subjects: [a.b], start: {sequence: 3}}
    codec: {rot13: {key: "no"}}
    filters: [pass, acme/above: {path: a."b.c"}, share: 0.5, pattern: {a: [null, {exists: true}], b: [{prefix: "${"}]}]
    transforms: [strip: [a, b]]
    targets: [{subject: "x.{a|or:b}", headers: {A: null, B: "{a}"}}]
""".replace('"${"', '"$${"')


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The built-ins and the plugin acme."""
    return acme()


def loaded(text: str, registry: Registry, env: dict[str, str] | None = None) -> Loaded:
    found = examine_text(text, "c.yaml", env or {}, registry)
    assert [problem for problem in found.problems if not problem.is_warning] == []
    return found


def without_places(config: Any) -> Any:
    """A config as plain data: steps without their nodes, and no digest."""
    config = msgspec.structs.replace(config, digest="")

    def plain(value: Any) -> Any:
        if type(value).__name__ == "Step":
            return value.component, plain(value.config)
        if isinstance(value, msgspec.Struct):
            return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return value

    return plain(config)


@pytest.mark.parametrize("text", [ROUTE, FULL])
def test_what_is_shown_loads_again_as_the_same_config(text: str, registry: Registry) -> None:
    first = loaded(text, registry)
    again = loaded(effective_yaml(first), registry)
    left, right = without_places(first.config), without_places(again.config)
    # A codec nobody chose is shown as what it is.
    for route in (*left["routes"], *right["routes"]):
        route["codec"] = None if route["codec"] and route["codec"][0] == "json" else route["codec"]
    assert left == right


def test_it_is_in_the_order_of_the_model(registry: Registry) -> None:
    found = effective(loaded(FULL, registry))
    assert list(found) == ["name", "nats", "http", "log", "drain", "max-hops", "streams", "routes"]
    assert list(found["routes"][0])[:4] == ["name", "enabled", "source", "codec"]


def test_defaults_are_merged_and_names_filled_in(registry: Registry) -> None:
    found = effective(loaded(FULL, registry))
    route = found["routes"][0]
    assert found["http"] == "off"
    assert route["retry"] == {
        "attempts": 5,
        "max-age": "1d",
        "initial": "1s",
        "factor": 2.0,
        "max": "90s",
        "jitter": 0.2,
    }
    assert route["source"]["durable"] == "shop-r"
    assert route["targets"][0]["name"] == "x.{a|or:b}"
    assert route["filters"][0] == "pass"
    assert effective(loaded(ROUTE, registry))["routes"][0]["codec"] == "json"


EXPANDED = """\
name: "${NAME:-envgw}"
nats: {servers: ["nats://${H:-127.0.0.1}:4222"], user: "${NAME:-me}", password: "${PW}"}
drain: ${DRAIN:-5s}
routes:
  - name: ${RN:-x}
    enabled: ${EN:-true}
    source: {stream: "${ST:-C}", subjects: ["${SU:-c.a}"]}
    codec: {rot13: {key: "${N}"}}
    targets: [{subject: "${T:-co}.a"}]
    max-in-flight: ${N}
"""
ENV = {"NAME": "hunter2", "PW": "hunter2", "N": "3"}


def test_what_is_expanded_is_shown_as_it_stands_in_the_file(registry: Registry) -> None:
    """Whoever asks what counts wants to see which variable does; secrets stay masked."""
    shown = effective(loaded(EXPANDED, registry, ENV))
    assert shown["name"] == "${NAME:-envgw}"
    assert shown["nats"]["servers"] == ["nats://${H:-127.0.0.1}:4222"]
    assert shown["nats"]["password"] == "***"
    assert shown["drain"] == "${DRAIN:-5s}"
    route = shown["routes"][0]
    assert route["source"]["durable"] == "${NAME:-envgw}-${RN:-x}"
    assert route["targets"][0]["name"] == "${T:-co}.a"
    assert (route["enabled"], route["max-in-flight"]) == ("${EN:-true}", "${N}")
    assert msgspec.json.decode(msgspec.json.encode(shown)) == shown, "plain data, quoted or not"


def test_what_is_expanded_loads_again_as_the_same_config(registry: Registry) -> None:
    """A number in quotes stays text, and one without stays a number."""
    first = loaded(EXPANDED.replace(', password: "${PW}"', "").replace(', user: "${NAME:-me}"', ""), registry, ENV)
    again = loaded(effective_yaml(first), registry, ENV)
    assert without_places(first.config) == without_places(again.config)


@pytest.mark.parametrize(
    "url", ["nats://me:${PW:-hunter2}@h", "${URL:-nats://me:hunter2@h}", "nats://${U:-hunter2}@${H:-h}"]
)
def test_a_password_in_a_default_is_masked(url: str, registry: Registry) -> None:
    shown = effective(loaded(f'nats: {{servers: ["{url}"]}}\n' + ROUTE, registry))
    assert "hunter2" not in str(shown)
    assert "://***@" in shown["nats"]["servers"][0]


@pytest.mark.parametrize(
    "text",
    [
        'nats: {token: "hunter2"}\n' + ROUTE,
        'nats: {token: "${PW}"}\n' + ROUTE,
        'nats: {user: "${PW}", password: x}\n' + ROUTE,
        "nats: {servers: ['nats://me:hunter2@host:4222']}\n" + ROUTE,
        "nats: {servers: ['nats://hunter2@host:4222']}\n" + ROUTE,
        'nats: {servers: ["nats://${PW}"]}\n' + ROUTE,
        'name: "${PW}"\n' + ROUTE,
        ROUTE.replace("name: orders", 'name: "${PW}"'),
        ROUTE.replace("billing.orders", '"${PW}"'),
        ROUTE.replace("orders.>", '"${PW}"'),
        ROUTE + "    filters: [above: {path: a, key: hunter2}]\n",
        ROUTE + '    filters: [above: {path: "${PW}"}]\n',
        ROUTE + '    filters: [pattern: {a: ["${PW}", {prefix: "${PW}"}]}]\n',
        ROUTE + '    filters: [pattern: "${PW}"]\n'.replace('"${PW}"', '{a: ["x${PW}"]}'),
        ROUTE + '    transforms: [strip: ["${PW}"]]\n',
        ROUTE + '    codec: {rot13: {key: "${PW}"}}\n',
        'defaults: {description: "${PW}"}\n' + ROUTE,
    ],
)
def test_no_secret_is_shown(text: str, registry: Registry) -> None:
    shown = effective_yaml(loaded(text, registry, {"PW": "hunter2"}))
    assert "hunter2" not in shown
    assert "***" in shown or "${PW}" in shown


def test_a_number_from_an_expansion_is_not_shown_either(registry: Registry) -> None:
    found = effective(loaded("max-hops: ${N}\n" + ROUTE, registry, {"N": "4711"}))
    assert found["max-hops"] == "${N}"


def test_text_that_yaml_could_read_as_something_else_stays_text(registry: Registry) -> None:
    text = (
        ROUTE + "    description: 'no'\n    filters: [pattern: {a: ['1', 'on', '2026-01-01', 'null', '1e3', '0o7']}]\n"
    )
    found = yaml.safe_load(effective_yaml(loaded(text, registry)))
    assert found["routes"][0]["description"] == "no"
    assert found["routes"][0]["filters"][0]["pattern"]["a"] == ["1", "on", "2026-01-01", "null", "1e3", "0o7"]
    again = loaded(effective_yaml(loaded(text, registry)), registry)
    assert again.config is not None
    assert again.config.routes[0].filters[0].config["a"] == ["1", "on", "2026-01-01", "null", "1e3", "0o7"]


def test_a_null_that_says_something_is_shown(registry: Registry) -> None:
    """Left out, a null would become the field's default again: here, another id and no default at all."""
    text = ROUTE + "    codec: {json: {id: null}}\n    transforms: [map: {path: a, table: {b: c}, default: null}]\n"
    [route] = effective(loaded(text, registry))["routes"]
    assert route["codec"]["json"]["id"] is None
    assert route["transforms"] == [{"map": {"path": "a", "table": {"b": "c"}, "default": None}}]


def test_what_nobody_set_and_has_no_default_is_not_shown(registry: Registry) -> None:
    text = ROUTE + "    transforms: [map: {path: a, table: {b: c}}]\n"
    [route] = effective(loaded(text, registry))["routes"]
    assert route["transforms"] == [{"map": {"path": "a", "table": {"b": "c"}}}]


def test_an_empty_value_that_is_not_the_default_is_shown(registry: Registry) -> None:
    text = ROUTE + "    transforms: [map: {path: a, table: {b: ''}, default: ''}]\n"
    [route] = effective(loaded(text, registry))["routes"]
    assert route["transforms"] == [{"map": {"path": "a", "table": {"b": ""}, "default": ""}}]


def test_a_key_that_looks_like_an_expansion_is_shown_so_that_it_loads_again(registry: Registry) -> None:
    text = ROUTE + "    transforms: [set: {'\"$${x}\"': 1}]\n"
    again = loaded(effective_yaml(loaded(text, registry)), registry).config
    assert again is not None
    assert again.routes[0].transforms[0].config == {'"${x}"': 1}


def test_a_whole_rate_is_shown_as_people_write_it(registry: Registry) -> None:
    [route] = effective(loaded(ROUTE + "    rate: 5/s\n", registry))["routes"]
    assert route["rate"] == "5/s"
