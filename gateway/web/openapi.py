"""The OpenAPI document of the admin API, made from the types of its answers."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from . import facts

DESCRIPTION = """\
Facts about a running gateway; nothing can be changed here. Bound to loopback it needs no token; elsewhere, and wherever
the config gives one, `Authorization: Bearer TOKEN`. Numbers count from the start of the process; for graphs and alerts
scrape /metrics.
"""

PATHS: dict[str, tuple[str, str, type[facts.Fact]]] = {
    "/api/v1/version": ("getVersion", "Who answers", facts.Version),
    "/api/v1/routes": ("listRoutes", "All routes, what they do and have done", facts.Routes),
    "/api/v1/routes/{name}": ("getRoute", "One route", facts.RouteFact),
    "/api/v1/plugins": ("listPlugins", "The plugins that were found", facts.Plugins),
    "/api/v1/config": ("getConfig", "The running config, secrets masked", facts.Config),
}
"""Path: operation id, summary, type of the answer."""


def document(version: str) -> dict[str, Any]:
    """OpenAPI 3.1 as plain data; `version` is the gateway's."""
    types = [answer for _, _, answer in PATHS.values()]
    _, components = msgspec.json.schema_components([*types, facts.ApiError], ref_template="#/components/schemas/{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nats-event-gateway",
            "version": version,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {path: {"get": _operation(path, *told)} for path, told in PATHS.items()},
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(path: str, name: str, summary: str, answer: type[facts.Fact]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "description": inspect.getdoc(answer),
        "responses": {
            "200": _response("The answer", answer),
            "401": _response("A token is needed, or this is another one", facts.ApiError),
            "403": _response("Refused: a foreign Host or Origin, or an open port without a token", facts.ApiError),
        },
    }
    if "{name}" in path:
        operation["parameters"] = [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]
        operation["responses"]["404"] = _response("There is no such route", facts.ApiError)
    return operation


def _response(text: str, answer: type[facts.Fact]) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{answer.__name__}"}
    return {"description": text, "content": {"application/json": {"schema": schema}}}
