"""A real Prometheus scrapes a real gateway, and every query of the dashboard and the alerts has an answer."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from gateway.jetstream.server import free_port, tied_to_us
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.process import GatewayProcess
from tests.support.small_routes import ONE, publish, route
from tests.support.streams import make_stream

from .test_rules_and_dashboard import expressions, promtool

ROUTES = [
    {**ONE, "audits": [{"stream": {"subject": "audit.{$route}"}}]},
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

    async def settled() -> bool:
        return await process.metric('events_total{route="two",outcome="dead_lettered"}') == 1

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


def ask(api: str, query: str) -> list[object]:
    """The result of a query; empty while Prometheus does not answer yet. Raises for what is no query."""
    url = f"{api}/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(url) as answer:
            return list(json.load(answer)["data"]["result"])
    except urllib.error.HTTPError as error:
        if error.code == 503:
            return []
        raise AssertionError(f"{query}: {error.read().decode()}") from error
    except OSError:
        return []


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


async def test_promtool_has_nothing_to_say_about_the_metrics(gateway: GatewayProcess) -> None:
    """Names, units, types and help texts as Prometheus wants them."""
    _, page = await gateway.get("/metrics")
    said = await asyncio.to_thread(promtool, "check", "metrics", stdin=page)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
