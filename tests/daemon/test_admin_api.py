"""The admin API, asked as its users ask: facts about a gateway that runs, and nothing for strangers."""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.request
from typing import Any

import jsonschema
from nats.aio.client import Client

from gateway.jetstream.server import free_port
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.process import GatewayProcess
from tests.support.small_routes import ONE, STUCK, held, publish, rewrite, route, seen, state_of

SECRET = "hunter2-of-the-api"


async def ask(gateway: GatewayProcess, path: str, method: str = "GET", **headers: str) -> tuple[int, Any]:
    """Status and document of one request."""
    request = urllib.request.Request(gateway.http_url + path, method=method, headers=headers)

    def send() -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    return await asyncio.to_thread(send)


async def test_routes_tell_what_they_are_and_what_they_did(streams: Client, gateway_process: StartGateway) -> None:
    """Names, places and counts; disabled routes are there, too, behind the others."""
    off = {**route("off", "in.off", "out.off"), "enabled": False}
    gateway = await gateway_process({"routes": [off, {**ONE, "filters": [{"subject": ["in.>"]}]}]})
    await publish(streams, "in.one", 5)
    await streams.jetstream().publish("in.one", b"no JSON")

    async def all_settled() -> bool:
        return sum((await ask(gateway, "/api/v1/routes/one"))[1]["outcomes"].values()) == 6

    await eventually(all_settled)
    status, body = await ask(gateway, "/api/v1/routes")
    assert status == 200
    one, disabled = body["routes"]
    assert one["state"] == "up"
    assert (one["stream"], one["subjects"], one["durable"]) == ("IN", ["in.one"], "gateway-one")
    assert one["steps"] == ["filter-0-subject"]
    assert one["outcomes"] == {"published": 5, "filtered": 0, "dropped": 0, "dead_lettered": 1}
    assert one["dead-letters"] == {"decode-error": 1}
    assert one["targets"] == [{"name": "out", "subject": "out.one", "stream": None, "published": 5, "duplicates": 0}]
    assert (disabled["name"], disabled["state"], disabled["stream"]) == ("off", "disabled", "IN")
    assert [target["subject"] for target in disabled["targets"]] == ["out.off"]
    assert (one["role"], one["dead-letter"], one["since"]) == ("shared", "dlq.one", None)
    assert (await ask(gateway, "/api/v1/routes/nobody"))[0] == 404


async def test_the_config_is_the_running_one_with_secrets_masked(
    streams: Client, gateway_process: StartGateway
) -> None:
    """After a reload the new one, after a refused reload still the old one."""
    redact = {"redact": {"paths": ["card"], "with": "hmac", "key": SECRET}}
    told = {**ONE, "description": "of ${WHO:-nobody: yet}", "transforms": [redact]}
    gateway = await gateway_process({"routes": [told]})
    _, first = await ask(gateway, "/api/v1/config")
    assert SECRET not in json.dumps(first)
    assert first["config"]["routes"][0]["description"] == told["description"]
    assert first["config"]["routes"][0]["transforms"][0]["redact"]["paths"] == ["card"]
    assert first["config"]["routes"][0]["dead-letter"] == {"subject": "dlq.{$route}"}
    assert (await ask(gateway, "/api/v1/version"))[1]["config"] == first["digest"]

    rewrite(gateway, routes=[{**ONE, "nmae": "x"}])
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: seen(gateway)["config.reload-failed"] >= 1)
    assert (await ask(gateway, "/api/v1/config"))[1] == first
    rewrite(gateway, routes=[{**ONE, "description": "new"}])
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: seen(gateway)["config.reloaded"] == 1)
    _, after = await ask(gateway, "/api/v1/config")
    assert after["config"]["routes"][0]["description"] == "new"
    assert after["digest"] != first["digest"]


async def test_answers_in_the_middle_of_a_reload_and_of_a_drain_are_whole(
    full: Client, gateway_process: StartGateway
) -> None:
    """A route that is on its way out is told as it was, with the config it ran by, until the reload is done."""
    gateway = await gateway_process({"routes": [ONE, STUCK], "drain": "4s"})
    await held(gateway, full, 3)
    _, before = await ask(gateway, "/api/v1/version")
    _, whole = await ask(gateway, "/api/v1/routes/stuck")

    async def leaving() -> dict[str, Any]:
        answer = (await ask(gateway, "/api/v1/routes/stuck"))[1]
        assert answer["state"] == "draining", answer["state"]
        return dict(answer)

    rewrite(gateway, routes=[ONE])
    gateway.signal(signal.SIGHUP)
    told = await eventually(leaving)
    for field in ("stream", "subjects", "durable", "dead-letter", "config", "received"):
        assert told[field] == whole[field], field
    assert [target["subject"] for target in told["targets"]] == ["full.up"]
    assert (await ask(gateway, "/api/v1/version"))[1]["config"] == before["config"]
    assert (await ask(gateway, "/api/v1/config"))[1]["digest"] == before["config"]
    await eventually(lambda: seen(gateway)["config.reloaded"] == 1)
    assert (await ask(gateway, "/api/v1/routes/stuck"))[0] == 404
    _, after = await ask(gateway, "/api/v1/version")
    _, one = await ask(gateway, "/api/v1/routes/one")
    assert one["config"] == after["config"] == (await ask(gateway, "/api/v1/config"))[1]["digest"] != before["config"]

    rewrite(gateway, routes=[ONE, STUCK])
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: seen(gateway)["config.reloaded"] == 2)
    await eventually(lambda: state_of(gateway, "stuck", "up"))

    async def came_again() -> bool:
        return await gateway.metric('events_in_flight{route="stuck"}') == 3

    await eventually(came_again)
    gateway.term()
    told = await eventually(leaving)
    assert told["stream"] == "IN"
    assert (await ask(gateway, "/api/v1/routes"))[0] == 200
    assert await gateway.wait() == 0


async def test_plugins_and_version(streams: Client, gateway_process: StartGateway) -> None:
    gateway = await gateway_process({"routes": [ONE], "plugins": {"disable": ["cel"]}})
    _, body = await ask(gateway, "/api/v1/plugins")
    cel = next(plugin for plugin in body["plugins"] if plugin["name"] == "cel")
    assert (cel["status"], cel["distribution"]) == ("disabled", "gateway-cel")
    _, who = await ask(gateway, "/api/v1/version")
    assert (who["name"], who["connected"], who["reload-failed"]) == ("gateway", True, False)

    async def seen_itself() -> bool:
        _, now = await ask(gateway, "/api/v1/version")
        return bool(now["replicas"] == [{"instance": who["instance"], "config": who["config"]}])

    await eventually(seen_itself)


async def test_the_document_describes_every_answer(streams: Client, gateway_process: StartGateway) -> None:
    """Every path of the document answers, with just the fields that the document names."""
    off = {**route("off", "in.off", "out.off"), "enabled": False}
    gateway = await gateway_process({"routes": [{**ONE, "ordering": "strict"}, off]})
    _, document = await ask(gateway, "/api/v1/openapi.json")
    assert document["openapi"] == "3.1.0"
    for path, operations in document["paths"].items():
        status, text = await gateway.get(path.replace("{name}", "one"))
        assert status == 200, path
        content = operations["get"]["responses"]["200"]["content"]
        if "$ref" in content.get("application/json", {}).get("schema", {}):
            schema = {**content["application/json"]["schema"], "components": document["components"]}
            jsonschema.Draft202012Validator(schema).validate(json.loads(text))
            named = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            assert set(json.loads(text)) == set(named["properties"]), path


async def test_nothing_can_be_changed(streams: Client, gateway_process: StartGateway) -> None:
    gateway = await gateway_process({"routes": [ONE]})
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        status, body = await ask(gateway, "/api/v1/routes/one", method)
        assert (status, body) == (405, {"error": "method not allowed"}), method


async def test_strangers_get_nothing(streams: Client, gateway_process: StartGateway) -> None:
    """A page whose name was pointed at loopback, a page of another site, and whoever has no token."""
    gateway = await gateway_process({"routes": [ONE], "http": {"listen": f"127.0.0.1:{free_port()}", "token": SECRET}})
    bearer = {"Authorization": f"Bearer {SECRET}"}
    assert (await ask(gateway, "/api/v1/routes"))[0] == 401
    assert (await ask(gateway, "/api/v1/routes", Authorization="Bearer wrong"))[0] == 401
    assert (await ask(gateway, "/api/v1/routes", Host="evil.example", **bearer))[0] == 403
    assert (await ask(gateway, "/api/v1/routes", Origin="http://evil.example", **bearer))[0] == 403
    assert (await ask(gateway, "/api/v1/routes", **bearer))[0] == 200
    _, shown = await ask(gateway, "/api/v1/config", **bearer)
    assert SECRET not in json.dumps(shown)
    assert SECRET not in gateway.err
    refused = [line for line in gateway.logs if line["event"] == "api.refused"]
    assert [(line["status"], line["times"], line["remote"]) for line in refused] == [(401, 1, "127.0.0.1")]
