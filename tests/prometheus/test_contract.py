"""The metrics of the contract against what a real gateway serves, before it has seen an event."""

from __future__ import annotations

import re
from collections.abc import Iterable

import aiohttp
from nats.aio.client import Client
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

from tests.conftest import StartGateway
from tests.support.metrics_contract import CONTRACT, PREFIX, ROUTE, STANDARD
from tests.support.small_routes import route
from tests.support.streams import make_stream

ROUTES = [
    route(
        "one",
        "in.one",
        "out.one",
        filters=[{"pattern": {"n": [1]}}],
        transforms=[{"set": {"a": 1}}],
        audits=["log"],
        **{"step-durations": True},
    ),
    route("two", "in.two", "out.two"),
    route("off", "in.off", "out.off", enabled=False),
]
OF_ONE = {"step_duration_seconds", "audit_records_total"}
"""What only the first has something of."""


async def families(url: str, accept: str) -> list[Metric]:
    """One scrape, read by the client library's parser of the format asked for."""
    async with aiohttp.ClientSession() as client, client.get(url, headers={"Accept": accept}) as answer:
        assert answer.status == 200
        parse = parse_openmetrics if "openmetrics" in answer.headers["Content-Type"] else parse_text
        return list(parse(await answer.text()))


async def test_a_gateway_has_every_metric_of_the_contract_from_its_start(
    nc: Client, gateway_process: StartGateway
) -> None:
    """With its type and exactly its labels; every route has every series, at 0; no series of a disabled route."""
    for name in ("IN", "OUT", "DLQ"):
        await make_stream(nc, name, [f"{name.lower()}.>"])
    gateway = await gateway_process({"routes": ROUTES})
    for accept in ("text/plain", "application/openmetrics-text;version=1.0.0"):
        check(await families(f"{gateway.http_url}/metrics", accept))


def check(page: list[Metric]) -> None:
    """One scrape of it."""
    samples = [sample for family in page for sample in family.samples]
    assert {sample.name for sample in samples} >= STANDARD

    found: dict[str, tuple[str, set[str]]] = {}
    for family in (family for family in page if family.name.startswith(PREFIX)):
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        name = family.name if family.name.endswith(suffix) else family.name + suffix
        labels = {label for sample in family.samples for label in sample.labels if label != "le"}
        found[name] = (_type(family), labels)
    assert found == CONTRACT

    routes = {sample.labels["route"] for sample in samples if "route" in sample.labels}
    assert routes == {"one", "two"}
    for name in ROUTE:
        own = {"one"} if name in OF_ONE else {"one", "two"}
        assert _routes_of(samples, name) == own, name
    moved = {sample.name.removeprefix(PREFIX) for sample in samples if "route" in sample.labels and sample.value}
    assert moved == {"route_up"}
    steps = {sample.labels["step"] for sample in samples if sample.name == f"{PREFIX}step_duration_seconds_sum"}
    assert steps == {"decode", "filter-0-pattern", "transform-0-set", "publish", "audit"}


def _type(family: Metric) -> str:
    """Its type; the text format has no infos and shows them as gauges."""
    return "info" if family.name.endswith("_info") else str(family.type)


def _routes_of(samples: Iterable[Sample], metric: str) -> set[str]:
    own = re.compile(f"{PREFIX}{metric}(_bucket|_count|_sum)?")
    return {sample.labels["route"] for sample in samples if own.fullmatch(sample.name)}
