"""A real Prometheus scrapes a real gateway, and every query of the dashboard and the alerts has an answer."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from gateway.jetstream.server import free_port, tied_to_us
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.process import GatewayProcess
from tests.support.small_routes import ONE, publish, route
from tests.support.streams import make_stream

from .test_rules_and_dashboard import exemplar_queries, expressions, promtool

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ROUTES = [
    {**ONE, "audits": [{"stream": {"subject": "audit.{$route}"}}], "step-durations": True},
    route("two", "in.two", "out.{n}.x", filters=[{"pattern": {"n": [{"numeric": ["<", 5]}]}}]),
]


@pytest.fixture
async def gateway(nc: Client, gateway_process: StartGateway) -> GatewayProcess:
    """A gateway that has published, filtered and dead-lettered."""
    for name, subjects in (("IN", ["in.>"]), ("OUT", ["out.>"]), ("DLQ", ["dlq.>"]), ("AUDIT", ["audit.>"])):
        await make_stream(nc, name, subjects)
    process = await gateway_process({"routes": ROUTES})
    await publish(nc, "in.one", 10)
    await publish(nc, "in.two", 10)
    await nc.jetstream().publish("in.two", b"no JSON")
    await nc.jetstream().publish("in.one", b"{}", headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})

    async def settled() -> bool:
        refused = await process.metric('events_total{route="two",outcome="dead_lettered"}')
        return refused == 1 and await process.metric('events_total{route="one",outcome="published"}') == 11

    await eventually(settled)
    return process


@pytest.fixture
async def prometheus(gateway: GatewayProcess, tmp_path: Path) -> AsyncIterator[str]:
    """A Prometheus that scrapes it; the URL of its API."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed: apt-get install prometheus")
    port = free_port()
    config = tmp_path / "prometheus.yml"
    target = gateway.http_url.removeprefix("http://")
    config.write_text(
        "global: {scrape_interval: 500ms}\n"
        f"scrape_configs: [{{job_name: gateway, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ]
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(tied_to_us(command), stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        process.terminate()
        process.wait()


def ask(api: str, query: str) -> list[Any]:
    """The result of a query; empty while Prometheus does not answer yet. Raises for what is no query."""
    return list((_asked(api, "query", query=query) or {"result": []})["result"])


def exemplars(api: str, query: str) -> list[dict[str, Any]]:
    """The exemplars of the series in a query, as Grafana asks for them; empty while there are none."""
    now = time.time()
    found = _asked(api, "query_exemplars", query=query, start=str(now - 3600), end=str(now + 60)) or []
    return [{**series["seriesLabels"], **exemplar} for series in found for exemplar in series["exemplars"]]


def _asked(api: str, way: str, **query: str) -> Any:
    try:
        with urllib.request.urlopen(f"{api}/{way}?{urllib.parse.urlencode(query)}") as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        if error.code == 503:
            return None
        raise AssertionError(f"{query}: {error.read().decode()}") from error
    except OSError:
        return None


def as_asked(query: str) -> str:
    """A query as Grafana would send it with everything chosen; an alert without what makes it speak."""
    query = query.replace("$__rate_interval", "5s")
    query = re.sub(r'=~"\$\w+"', '=~".*"', query)
    return re.sub(r"\[\d+[mh]\]", "[5s]", query)


def without_threshold(query: str) -> str:
    """What an alert looks at; its condition does not hold in a healthy gateway."""
    query = re.sub(r'status!~"[^"]*"', 'status=~".*"', query)
    return re.sub(r"\s*(==|>)\s*(bool\s+)?[\d.]+", "", query)


async def test_every_query_of_dashboard_and_alerts_has_an_answer(prometheus: str) -> None:
    """A query with no data is a blank panel, or an alert that cannot speak."""
    queries = [without_threshold(as_asked(query)) for query in expressions()]
    left = set(queries)

    async def all_answered() -> bool:
        for query in sorted(left):
            if await asyncio.to_thread(ask, prometheus, query):
                left.discard(query)
        return not left

    try:
        await eventually(all_answered, what="answers", interval=0.2)
    except AssertionError:
        raise AssertionError(f"no data for {sorted(left)}") from None


async def test_a_slow_bucket_leads_to_the_trace_of_an_event(prometheus: str) -> None:
    """By the very queries of the dashboard's panels that show exemplars."""
    queries = {as_asked(query) for query in exemplar_queries()}
    assert {name for query in queries for name in re.findall(r"event_gateway_(\w+)_bucket", query)} == {
        "event_duration_seconds",
        "event_lag_seconds",
    }
    for query in queries:

        async def stored(query: str = query) -> list[dict[str, Any]]:
            return await asyncio.to_thread(exemplars, prometheus, query)

        found = await eventually(stored, 30, "exemplars", interval=0.2)
        assert [exemplar["labels"] for exemplar in found] == [{"trace_id": TRACE}]
        assert found[0]["route"] == "one"
        assert 0 < float(found[0]["value"]) <= float(found[0]["le"])
        assert abs(found[0]["timestamp"] - time.time()) < 300


async def test_promtool_has_nothing_to_say_about_the_metrics(gateway: GatewayProcess) -> None:
    """Names, units, types and help texts as Prometheus wants them."""
    _, page = await gateway.get("/metrics")
    said = await asyncio.to_thread(promtool, "check", "metrics", stdin=page)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
