"""The OpenAPI document against a gateway that runs: what it says is so, and nothing else is."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from nats.aio.client import Client

from gateway.config import model
from gateway.facts import GatewayFacts
from gateway.jetstream.server import free_port
from gateway.observe.metrics import Metrics
from gateway.runtime.stats import GatewayStats
from gateway.web import examples
from gateway.web.api import AdminApi
from gateway.web.guard import Guard
from gateway.web.openapi import PATHS, document
from gateway.web.server import HttpServer
from tests.conftest import StartGateway
from tests.support.small_routes import route

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
TOKEN = "hunter2-of-the-api"
REFERENCES = "#/components/schemas/"


def schemas_in(node: Any) -> Iterator[dict[str, Any]]:
    """Every schema with properties in a document."""
    if isinstance(node, dict):
        if "properties" in node:
            yield node
        for inner in node.values():
            yield from schemas_in(inner)


def answers(told: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each answer is described, and its content."""
    for path, operations in told["paths"].items():
        for status, response in operations["get"]["responses"].items():
            for kind, content in response["content"].items():
                yield f"{path} {status} {kind}", content


async def test_schemathesis_finds_nothing(streams: Client, gateway_process: StartGateway, tmp_path: Path) -> None:
    """Hundreds of requests, good and bad, made of the document: every answer is as the document says, wrong values are
    refused, other methods are 405 with Allow, and without the token there is nothing.
    """
    http = {"listen": f"127.0.0.1:{free_port()}", "token": TOKEN}
    gateway = await gateway_process({"routes": [route(examples.ROUTE, "in.one", "out.one")], "http": http})
    command = [
        str(SCHEMATHESIS),
        *("run", f"{gateway.http_url}/api/v1/openapi.json"),
        *("--checks", "all", "--max-examples", "5", "--generation-deterministic"),
        *("--header", f"Authorization: Bearer {TOKEN}", "--request-timeout", "30", "--no-color"),
    ]
    done = await asyncio.to_thread(subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested is not None, done.stdout
    assert int(tested[1]) == len(PATHS) - 1  # the document's own path is where it is read from
    assert TOKEN not in gateway.err


def test_every_path_that_is_served_is_described() -> None:
    """And the other way round."""
    stats = GatewayStats("test", "digest")
    known = GatewayFacts(stats, "i", "0", dict, model.Config, tuple, lambda: dict, lambda route: None, dict)
    server = HttpServer(stats, Metrics(stats), "127.0.0.1:0", AdminApi(known, Guard("127.0.0.1", None)))
    assert {resource.canonical for resource in server._app().router.resources()} == set(PATHS)


@pytest.mark.parametrize("token", [True, False])
def test_the_document_is_whole(token: bool) -> None:
    """Every reference leads somewhere, every schema is one, every field and every answer is described."""
    told = document("0.1.0", token=token)
    text = json.dumps(told)
    for reference in set(re.findall(r'"#/([^"]+)"', text)):
        place: Any = told
        for step in reference.split("/"):
            place = place[step]
    for schema in schemas_in(told["components"]["schemas"]):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert set(schema["required"]) <= set(schema["properties"])
        for name, field in schema["properties"].items():
            assert field.get("description"), f"{schema['title']}.{name}"
    for path, operations in told["paths"].items():
        guarded = token and path.startswith("/api/")
        assert ("401" in operations["get"]["responses"]) == guarded
        assert ("security" in operations["get"]) == guarded


def test_the_examples_are_answers_that_could_be() -> None:
    """Each is what its schema asks for, with no field more or less."""
    told = document("0.1.0", token=True)
    seen = 0
    for place, content in answers(told):
        if "example" not in content:
            continue
        seen += 1
        schema = {**content["schema"], "components": told["components"]}
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(content["example"])
        reference = content["schema"].get("$ref")
        if reference is not None:
            named = told["components"]["schemas"][reference.removeprefix(REFERENCES)]
            assert set(content["example"]) <= set(named["properties"]), place
    assert seen > len(PATHS)
