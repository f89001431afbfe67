"""`gateway check`, `config` and `schema`: what they print where, and their exit codes."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path as File
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from gateway import cli

from .samples import ROUTE

WARNED = ROUTE.replace("billing.orders", "orders.copy")
FAULTY = "drain: 5\n" + ROUTE


def gateway(*args: str, env: dict[str, str] | None = None) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli.gateway, [*args], env={"GATEWAY_CONFIG": None, **(env or {})})


@pytest.fixture(autouse=True)
def folder(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> File:
    """A folder to write configs into, and the one commands run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> str:
    File(name).parent.mkdir(parents=True, exist_ok=True)
    File(name).write_text(text)
    return name


def test_a_clean_config_is_said_to_be_ok_with_its_routes() -> None:
    result = gateway("check", write("c.yaml", ROUTE))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "c.yaml: ok (1 route)\n", "")


def test_findings_go_to_stdout_and_the_exit_code_is_1() -> None:
    result = gateway("check", write("c.yaml", FAULTY))
    assert result.exit_code == 1
    assert result.stderr == ""
    assert result.stdout == (
        "c.yaml:1:8: drain: expected a duration, found integer (wrong-type)\n"
        "  hint: write a number and ms, s, m, h or d: 250ms, 30s, 24h\n"
    )


def test_warnings_go_to_stderr_and_do_not_change_the_exit_code() -> None:
    result = gateway("check", write("c.yaml", WARNED))
    assert result.exit_code == 0
    assert result.stdout == "c.yaml: ok (1 route)\n"
    assert result.stderr.startswith("warning: c.yaml:4:25: routes[0].targets[0].subject: the route reads what it ")


def test_strict_makes_warnings_findings() -> None:
    result = gateway("check", "--strict", write("c.yaml", WARNED))
    assert result.exit_code == 1
    assert result.stderr == ""
    assert result.stdout.startswith("c.yaml:4:25: routes[0].targets[0].subject: ")


def test_components_are_prepared_so_that_a_bad_pattern_is_found_with_its_place() -> None:
    text = ROUTE + "    filters:\n      - pattern: {detail: {state: [{prefx: a}]}}\n"
    result = gateway("check", write("c.yaml", text))
    assert result.exit_code == 1
    assert result.stdout.startswith("c.yaml:6:")
    assert "filters[0].pattern.detail.state" in result.stdout
    assert "(invalid-pattern)" in result.stdout


def test_a_bad_pattern_is_found_although_its_route_has_other_faults() -> None:
    text = "drain: 5\n" + ROUTE + "    rate: x\n    filters:\n      - pattern: {state: [{prefx: a}]}\n"
    result = gateway("check", "--json", write("c.yaml", text))
    assert [problem["line"] for problem in json.loads(result.stdout)["problems"]] == [1, 6, 8]


def test_a_bad_pattern_in_the_defaults_is_found_once_and_there() -> None:
    second = ROUTE.replace("routes:\n", "").replace("name: orders", "name: two")
    text = "defaults: {filters: [pattern: {state: [{prefx: a}]}]}\n" + ROUTE + second
    result = gateway("check", "--json", write("c.yaml", text))
    [problem] = json.loads(result.stdout)["problems"]
    assert problem["line"] == 1
    assert problem["path"].startswith("defaults.filters[0].pattern")


def test_json_is_one_document_with_all_files_and_problems() -> None:
    good, bad, warned = write("a.yaml", ROUTE), write("b.yaml", FAULTY), write("c.yaml", WARNED)
    result = gateway("check", "--json", good, bad, warned)
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["files"] == ["a.yaml", "b.yaml", "c.yaml"]
    assert document["ok"] is False
    assert document["problems"][0] == {
        "file": "b.yaml",
        "line": 1,
        "column": 8,
        "code": "wrong-type",
        "path": "drain",
        "text": "expected a duration, found integer",
        "hint": "write a number and ms, s, m, h or d: 250ms, 30s, 24h",
        "severity": "error",
    }
    assert document["problems"][1]["severity"] == "warning"
    clean = json.loads(gateway("check", "--json", good, warned).stdout)
    assert clean["ok"] is True
    assert json.loads(gateway("check", "--json", "--strict", warned).stdout)["ok"] is False


def test_a_file_that_cannot_be_read_is_a_finding() -> None:
    result = gateway("check", "gone.yaml")
    assert result.exit_code == 1
    assert result.stdout == "gone.yaml:1:1: the file cannot be read: No such file or directory (unreadable)\n"


def test_a_folder_s_configs_are_checked_but_not_their_tests() -> None:
    for name in ("f/b.yml", "f/a.yaml", "f/a_test.yaml", "f/notes.txt", "f/deeper/c.yaml"):
        write(name, ROUTE)
    result = gateway("check", "f")
    assert result.stdout == "f/a.yaml: ok (1 route)\nf/b.yml: ok (1 route)\n"


def test_a_folder_without_configs_is_a_finding() -> None:
    File("f").mkdir()
    result = gateway("check", "f")
    assert result.exit_code == 1
    assert result.stdout == "f:1:1: no *.yaml or *.yml in this folder (unreadable)\n"


def test_a_file_that_is_named_twice_is_checked_once() -> None:
    write("f/a.yaml", ROUTE)
    assert gateway("check", "f/a.yaml", "f", "-c", "f/a.yaml").stdout.count("ok") == 1


def test_the_config_comes_from_the_option_then_the_environment_then_its_usual_place() -> None:
    one, two = write("one.yaml", ROUTE), write("two.yaml", ROUTE)
    assert gateway("check", "-c", one, env={"GATEWAY_CONFIG": two}).stdout.startswith("one.yaml: ok")
    assert gateway("check", env={"GATEWAY_CONFIG": two}).stdout.startswith("two.yaml: ok")
    assert gateway("check", one, env={"GATEWAY_CONFIG": two}).stdout == "one.yaml: ok (1 route)\n"
    assert gateway("check", "-c", one, two).stdout == "one.yaml: ok (1 route)\ntwo.yaml: ok (1 route)\n"
    assert "/etc/gateway/gateway.yaml" in gateway("check", "--help").stdout


def test_config_prints_yaml_or_json_and_masks_secrets() -> None:
    path = write("c.yaml", "nats: {token: '${PW}'}\n" + ROUTE)
    result = gateway("config", "-c", path, env={"PW": "hunter2"})
    assert (result.exit_code, result.stderr) == (0, "")
    assert "durable: gateway-orders" in result.stdout
    assert "hunter2" not in result.stdout
    document = json.loads(gateway("config", "-c", path, "--json", env={"PW": "hunter2"}).stdout)
    assert document["nats"]["token"] == "***"


def test_config_finds_what_check_finds() -> None:
    """A pattern that makes no sense is no config to show, although its types are right."""
    path = write("c.yaml", ROUTE + "    filters: [pattern: {a: []}]\n")
    found = gateway("check", path)
    result = gateway("config", "-c", path)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", found.stdout)


def test_config_with_problems_prints_them_on_stderr_and_exits_with_1() -> None:
    result = gateway("config", "-c", write("c.yaml", FAULTY))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("c.yaml:1:8: drain: ")


def test_schema_prints_json() -> None:
    result = gateway("schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["title"] == "nats-event-gateway"


@pytest.mark.parametrize("args", [("nope",), ("check", "--nope"), ("-c", "x", "check")])
def test_wrong_usage_exits_with_2(args: tuple[str, ...]) -> None:
    assert gateway(*args).exit_code == 2


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_list_of_commands_says_what_each_command_says_itself(name: str) -> None:
    command = getattr(importlib.import_module(f"gateway.cli.{name}"), name)
    assert isinstance(command, click.Command)
    assert (command.help or "").splitlines()[0] == cli.COMMANDS[name]


def test_every_command_is_listed() -> None:
    """A module `plugins_new` holds `gateway plugins new`."""
    modules = {path.stem.partition("_")[0] or path.stem for path in File(cli.__file__).parent.glob("*.py")}
    assert modules - {"__init__", "asking", "exits", "options", "words"} == set(cli.COMMANDS)


def process(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *args],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
        timeout=60,
    )


def test_the_version_is_printed() -> None:
    result = process("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("gateway, version ")


def test_help_loads_no_command() -> None:
    code = "import sys, gateway.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\n"
    code += "print(sorted({'nats', 'aiohttp', 'yaml', 'msgspec.json'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Find what is wrong in configs." in result.stdout
    assert "nats" not in result.stdout.splitlines()[-1]
    assert "aiohttp" not in result.stdout.splitlines()[-1]


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_fault_of_ours_is_one_line_and_a_traceback_only_when_asked_for(
    debug: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr(cli.gateway, "main", broken)
    monkeypatch.setenv("GATEWAY_DEBUG", debug)
    with pytest.raises(SystemExit) as caught:
        cli.main(["check"])
    assert caught.value.code == 70
    shown = capsys.readouterr().err
    assert "gateway: internal error: RuntimeError: oh\n" in shown
    assert ("Traceback" in shown) == (debug == "1")


def test_a_reader_that_has_seen_enough_gets_no_complaint() -> None:
    write("c.yaml", ROUTE)
    command = f"{sys.executable} -m gateway schema | true"
    result = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert result.stderr == ""
