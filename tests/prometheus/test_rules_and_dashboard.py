"""The shipped alerts and the dashboard against the metrics there are; no server needed but promtool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.observe.catalog import markdown_table

CONFIG = Path(__file__).parents[2] / "config"
RULES = CONFIG / "prometheus" / "rules.yml"
DASHBOARD = CONFIG / "grafana" / "gateway.json"

OTHERS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
"""Metrics that are not the gateway's own."""


def expressions() -> list[str]:
    """Every query of rules and dashboard."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [rule["expr"] for group in groups for rule in group["rules"]] + dashboard_queries(panels)


def dashboard_queries(panels: list[dict[str, Any]]) -> list[str]:
    """The queries of the panels."""
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def names_in(query: str) -> set[str]:
    """The metrics a query asks for."""
    return set(re.findall(r"\b(?:event_gateway|process)_[a-z_]+|\bup\b", query))


def exemplar_queries() -> list[str]:
    """The queries of the panels that show exemplars."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", []) if target.get("exemplar")]


def known() -> dict[str, set[str]]:
    """Sample names and the labels each may have."""
    found: dict[str, set[str]] = {name: set() for name in OTHERS}
    for line in markdown_table().splitlines()[2:]:
        name, kind, labels = (cell.strip().strip("`") for cell in line.split("|")[1:4])
        own = set(re.findall(r"[a-z]+", labels))
        for suffix in ("_bucket", "_count", "_sum") if kind == "histogram" else ("",):
            found[name + suffix] = own | ({"le"} if suffix == "_bucket" else set())
    return found


def promtool(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool; it comes with Debian's package prometheus, which CI installs."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return subprocess.run(["promtool", *arguments], input=stdin, capture_output=True, text=True)


def test_queries_name_only_metrics_and_labels_that_exist() -> None:
    """A renamed metric would leave an alert that never speaks."""
    metrics = known()
    for query in expressions():
        names = names_in(query)
        assert names, query
        assert names - set(metrics) == set(), query
        allowed = {"job", "instance"}.union(*(metrics[name] for name in names))
        matched = re.findall(r"(\w+)\s*(?:=~|!~|!=|=(?!=))", query)
        grouped = re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", query)
        labels = set(matched) | {label.strip() for group in grouped for label in group.split(",")}
        assert labels - allowed == set(), query


def test_every_metric_of_a_route_is_on_the_dashboard() -> None:
    """What is worth counting is worth seeing."""
    shown = " ".join(dashboard_queries(json.loads(DASHBOARD.read_text())["panels"]))
    shown += json.dumps(json.loads(DASHBOARD.read_text())["annotations"])
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in known()} - OTHERS
    # Their rates stand for them: what was received is what was settled, a moment later.
    shown_otherwise = {"event_gateway_events_received_total", "event_gateway_config_last_reload_successful"}
    assert {name for name in families - shown_otherwise if name not in shown} == set()


def test_the_dashboard_can_be_imported_as_it_is() -> None:
    """No id twice, no panel over another, every query of the chosen data source and through the variables."""
    board = json.loads(DASHBOARD.read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "job", "instance", "route"]
    for panel in panels:
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"
            assert 'instance=~"$instance"' in target["expr"]


def test_the_alerts_are_valid() -> None:
    said = promtool("check", "rules", str(RULES))
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_alerts_speak_when_they_should_and_only_then() -> None:
    """By their unit tests, config/prometheus/rules.test.yml."""
    said = promtool("test", "rules", str(RULES.with_name("rules.test.yml")))
    assert said.returncode == 0, said.stdout + said.stderr


def rules() -> list[dict[str, Any]]:
    """Every alert."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_every_alert_has_a_unit_test_in_which_it_speaks_and_one_in_which_it_could_and_does_not() -> None:
    tests = yaml.safe_load(RULES.with_name("rules.test.yml").read_text())["tests"]
    samples = [
        sample["labels"]
        for test in tests
        for case in test.get("promql_expr_test", ())
        for sample in case["exp_samples"]
    ]
    speaks = set(re.findall(r'alertname="(\w+)", alertstate="firing"', " ".join(samples)))
    cases = [case for test in tests for case in test.get("alert_rule_test", ())]
    speaks |= {case["alertname"] for case in cases if case["exp_alerts"]}
    assert speaks == {rule["alert"] for rule in rules()}
    healthy = {re.split(r"[{ ]", series["series"])[0] for series in tests[0]["input_series"]}
    for rule in rules():
        assert names_in(rule["expr"]) <= healthy, rule["alert"]


def test_every_alert_says_what_to_do() -> None:
    """Whoever is woken by it has a command, a log line, a number or a setting to begin with."""
    first_step = re.compile(
        r"systemctl|journal|log lines? [a-z]+\.|/readyz|gateway (dlq|plugins)|event_gateway_|Reload|raise"
    )
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert first_step.search(rule["annotations"]["description"]), rule["alert"]


def test_the_panels_of_latencies_show_exemplars() -> None:
    """From a slow moment one click leads to the trace of an event."""
    for histogram in ("event_duration_seconds", "event_lag_seconds"):
        assert any(f"{histogram}_bucket" in query for query in exemplar_queries())
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        shown = [target for target in panel.get("targets", ()) if target.get("exemplar")]
        # Each query would show the same dots again.
        assert len(shown) <= 1
        assert not shown or panel["type"] == "timeseries"
