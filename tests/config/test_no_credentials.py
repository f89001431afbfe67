"""`gateway check --no-credentials`: credentials are taken as given and good, all else is checked as always."""

from __future__ import annotations

import datetime
import json
from pathlib import Path as File
from typing import Literal

import msgspec
import pytest
from click.testing import CliRunner, Result

from gateway import Event, Filter, cli
from gateway.config.loader import examine
from gateway.errors import ConfigProblem
from gateway.problems import Problem
from gateway.routing.compile import compile_config
from gateway.values import Secret
from tests.support.distribution import install
from tests.support.running import registry_with

ROUTE = """\
routes:
  - name: copy
    source: {stream: ORDERS, subjects: [orders.>]}
    targets: [{subject: billing.orders}]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> File:
    """A folder to write configs into, and the one commands run in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return tmp_path


def check(text: str, *args: str, env: dict[str, str] | None = None) -> Result:
    File("c.yaml").write_text(text)
    return CliRunner().invoke(cli.gateway, ["check", "--no-credentials", *args, "c.yaml"], env=env)


def unchecked(*paths: str) -> str:
    return f"notice: c.yaml: not checked, for credentials are not read: {', '.join(paths)}\n"


GOOD = {
    "nats.password": 'nats: {user: a, password: "${credential:x}"}\n' + ROUTE,
    "nats.nkey-seed": 'nats: {nkey-seed: "${credential:x}"}\n' + ROUTE,
    "nats.servers[0]": 'nats: {servers: ["nats://a:${credential:x}@127.0.0.1"]}\n' + ROUTE,
    "http.token": 'http: {listen: "0.0.0.0:80", token: "${credential:x}"}\n' + ROUTE,
    "http.listen": 'http: {listen: "${credential:x}"}\n' + ROUTE,
    "drain": "drain: ${credential:x}\n" + ROUTE,
    "max-hops": "max-hops: ${credential:x}\n" + ROUTE,
    "plugins.only[0]": 'plugins: {only: ["${credential:x}"]}\n' + ROUTE,
    "plugins.disable[0]": 'plugins: {disable: ["${credential:x}"]}\n' + ROUTE,
    "routes[0].source.start.time": ROUTE.replace("[orders.>]", '[orders.>], start: {time: "${credential:x}"}'),
    "routes[0].ordering": ROUTE + "    ordering: ${credential:x}\n",
    "routes[0].codec": ROUTE + "    codec: ${credential:x}\n",
    "routes[0].max-in-flight": ROUTE + "    max-in-flight: ${credential:x}\n",
    "routes[0].targets[0].subject": ROUTE.replace("billing.orders", '"${credential:x}"'),
    "routes[0].targets[0].headers.Key": ROUTE.replace("billing.orders", 'a, headers: {Key: "${credential:x}"}'),
    "routes[0].transforms[0].redact.key": ROUTE
    + '    transforms: [{redact: {paths: [a], with: hmac, key: "${credential:x}"}}]\n',
    "routes[0].filters[0].pattern.a[0]": ROUTE + '    filters: [{pattern: {a: ["${credential:x}"]}}]\n',
    "routes[0].filters[0].pattern.a[0].cidr": ROUTE + '    filters: [{pattern: {a: [{cidr: "${credential:x}"}]}}]\n',
}


@pytest.mark.parametrize("path", GOOD)
def test_a_credential_is_good_wherever_it_stands_and_named_in_the_notice(path: str) -> None:
    """Whatever its place wants: a number, a subject, a key with a form of its own. Nobody knows that it is not one."""
    result = check(GOOD[path])
    assert (result.exit_code, result.stdout) == (0, "c.yaml: ok (1 route)\n")
    assert result.stderr == unchecked(path)


BAD = {
    "c.yaml:1:8: nats.pasword: unknown field": 'nats: {pasword: "${credential:x}"}\n' + ROUTE,
    'nats.password: "password" needs "user"': 'nats: {password: "${credential:x}"}\n' + ROUTE,
    'nats.token: "token" and "user" exclude': 'nats: {user: a, password: "${credential:x}", token: b}\n' + ROUTE,
    "nats.servers[1]": 'nats: {servers: ["nats://a:${credential:x}@b", "http://c"]}\n' + ROUTE,
    "targets[0].subject: ": ROUTE.replace("billing.orders", "a..b") + "    max-in-flight: ${credential:x}\n",
    "prefx": ROUTE + '    filters: [{pattern: {a: ["${credential:x}", {prefx: b}]}}]\n',
    "redact: the field": ROUTE + '    transforms: [{redact: {key: "${credential:x}"}}]\n',
    "is not a name": "drain: ${credential:../x}\n" + ROUTE,
    "variable NOBODY_SET_IT is not set": "drain: ${credential:x}\nmax-hops: ${NOBODY_SET_IT}\n" + ROUTE,
    'file "none" cannot be read': 'nats: {token: "${credential:x}"}\nmax-hops: ${file:none}\n' + ROUTE,
    "cannot be expanded": "drain: ${credential:x}${file}\n" + ROUTE,
}


@pytest.mark.parametrize("said", BAD)
def test_what_is_wrong_around_a_credential_is_found_as_always(said: str) -> None:
    result = check(BAD[said])
    assert result.exit_code == 1
    assert said in result.stdout


def test_a_credential_is_not_even_opened(folder: File) -> None:
    """Two equal values do not clash, for nobody has looked at them."""
    (folder / "x").write_text("a..b")
    text = ROUTE.replace("billing.orders", '"${credential:x}"')
    result = check(text, env={"CREDENTIALS_DIRECTORY": str(folder)})
    assert (result.exit_code, result.stderr) == (0, unchecked("routes[0].targets[0].subject"))
    assert (
        CliRunner().invoke(cli.gateway, ["check", "c.yaml"], env={"CREDENTIALS_DIRECTORY": str(folder)}).exit_code == 1
    )


def test_a_file_of_nats_in_the_folder_of_credentials_is_not_looked_for(folder: File) -> None:
    """It is there, for the service alone. Of other files it is said as always that they are not."""
    text = 'nats: {credentials: "${CREDS}", tls: {ca: no-ca.pem}}\n' + ROUTE
    env = {"CREDENTIALS_DIRECTORY": str(folder / "hidden"), "CREDS": str(folder / "hidden" / "nats.creds")}
    result = check(text, env=env)
    assert (result.exit_code, result.stdout) == (0, "c.yaml: ok (1 route)\n")
    first, *rest = result.stderr.splitlines(keepends=True)
    assert first == unchecked("nats.credentials")
    assert [line for line in rest if line.startswith("warning")] == [
        'warning: c.yaml:1:43: nats.tls.ca: "no-ca.pem" is not there (unreadable)\n'
    ]


def test_without_credentials_in_it_a_config_is_checked_without_a_notice() -> None:
    result = check(ROUTE)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "c.yaml: ok (1 route)\n", "")


def test_the_notice_is_no_finding_and_not_in_the_json() -> None:
    result = check(GOOD["nats.password"], "--strict", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"files": ["c.yaml"], "problems": [], "ok": True}
    assert result.stderr == unchecked("nats.password")


def test_servers_cannot_be_asked_without_credentials() -> None:
    result = check(ROUTE, "--live")
    assert result.exit_code == 2
    assert "--live needs the credentials that --no-credentials leaves out" in result.stderr


def test_what_was_not_read_is_never_a_config_to_run() -> None:
    """A text that stands in for a password must not reach a server."""
    File("c.yaml").write_text(GOOD["nats.password"])
    loaded = examine("c.yaml", credentials=False)
    assert loaded.config is None
    assert loaded.problems == []


class Up(msgspec.Struct, tag="up"):
    """One of two."""


class Down(msgspec.Struct, tag="down"):
    """The other one."""


class Picky(Filter, name="picky"):
    """Refuses what it can, early and late."""

    class Config(msgspec.Struct, kw_only=True):
        word: Secret = Secret("good")
        day: datetime.date = datetime.date(2020, 1, 1)
        way: Literal["up", "down"] = "up"
        name: str = "good"
        low: int = 0
        either: Up | Down = msgspec.field(default_factory=Up)

        def __post_init__(self) -> None:
            if self.name != "good":
                raise ConfigProblem(("name",), "no good name")
            if self.word.reveal() != "good" and self.low > 99:
                raise ValueError("no good word") if self.low == 100 else ConfigProblem((), "no good word")

    def prepare(self) -> None:
        if self.config.low < 0:
            raise ConfigProblem(("low",), "too low")
        if self.config.word.reveal() != "good":
            raise ConfigProblem(("word",), "no good word")

    def accepts(self, event: Event) -> bool:
        return True


def picky(settings: str) -> list[Problem]:
    """What a check finds in these settings."""
    File("c.yaml").write_text(ROUTE + f"    filters: [{{picky: {{{settings}}}}}]\n")
    loaded = examine("c.yaml", registry=registry_with([Picky]), credentials=False)
    assert loaded.unread
    _, more = compile_config(loaded.draft, loaded.registry)
    return loaded.tidy(more)


@pytest.mark.parametrize("field", ["word", "day", "way", "name", "low"])
def test_a_component_s_refusal_of_a_credential_is_not_believed(field: str) -> None:
    """What it refused is what stands in for the value, by its type, its Config's own check, or `prepare`."""
    assert picky(f'{field}: "${{credential:x}}"') == []


@pytest.mark.parametrize("settings", ["low: 100", "low: 101", 'either: {type: "${credential:y}"}'])
def test_nor_is_a_refusal_of_settings_as_a_whole_that_hold_one(settings: str) -> None:
    assert picky(f'word: "${{credential:x}}", {settings}') == []


def test_what_a_component_refuses_beside_a_credential_is_found() -> None:
    """The component is made and prepared with a text that stands in."""
    (problem,) = picky('word: "${credential:x}", low: -1')
    assert (problem.text, problem.path) == ("too low", "routes[0].filters[0].picky.low")


def test_a_route_with_a_credential_in_a_text_is_checked_as_a_whole() -> None:
    text = ROUTE.replace("billing.orders", '"billing.{{id}}"') + '    description: "${credential:x}"\n'
    result = check(text, "--strict")
    assert result.exit_code == 1
    assert "doubled braces are literal" in result.stdout


def test_a_list_of_plugins_that_was_not_read_leaves_none_out(folder: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every step of a plugin would be said to be unknown."""
    source = "from gateway import Filter, hookimpl\nclass Odd(Filter, name='odd'):\n    def accepts(self, event):\n"
    source += "        return True\n@hookimpl\ndef gateway_filters():\n    return [Odd]\n"
    install(folder / "plugins", "odd-one", "1.0", {"odd_one": source})
    monkeypatch.syspath_prepend(str(folder / "plugins"))
    result = check('plugins: {only: ["${credential:x}"]}\n' + ROUTE + "    filters: [odd]\n")
    assert (result.exit_code, result.stdout) == (0, "c.yaml: ok (1 route)\n")
