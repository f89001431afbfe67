"""The OpenAPI document of everything the HTTP port answers, made from the types of its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from ..config.describe import field_docs
from . import examples, facts, health
from .answers import JSON
from .guard import NO_TOKEN, REBOUND

DESCRIPTION = """\
Facts about a running gateway; nothing can be changed here. Bound to loopback it needs no token; elsewhere, and wherever
the config gives one, everything below /api/v1 wants `Authorization: Bearer TOKEN`. Health and metrics never do. Counts
are of this process and begin with it; for graphs and alerts scrape /metrics.

HEAD is answered wherever GET is; every other method is 405, with `Allow`. Fields may be added within v1; none is taken
away or changes its meaning. Times are RFC 3339 in UTC.
"""

Answer = type[msgspec.Struct] | str
"""A type, told as JSON, or another media type, told as text."""


class Parameter(NamedTuple):
    """One parameter of a path or query."""

    name: str
    place: str
    text: str
    schema: dict[str, Any]


class Operation(NamedTuple):
    """What GET does on one path."""

    name: str
    summary: str
    answers: Sequence[Answer]
    example: object = None
    parameters: Sequence[Parameter] = ()
    others: Sequence[tuple[str, str, type[msgspec.Struct], object]] = ()
    """Other status codes: text, type, example."""


NAME = {"type": "string", "pattern": "^[a-z0-9-]{1,48}$", "examples": [examples.ROUTE]}
UNKNOWN = ("404", "There is no such route", facts.ApiError, facts.ApiError(error="no route is called 'orders'"))
API = "/api/v1/"

PATHS: dict[str, Operation] = {
    "/api/v1/version": Operation("getVersion", "Who answers", [facts.Version], examples.VERSION),
    "/api/v1/routes": Operation(
        "listRoutes",
        "All routes, what they do and have done",
        [facts.Routes],
        facts.Routes(routes=[examples.ONE_ROUTE]),
    ),
    "/api/v1/routes/{name}": Operation(
        "getRoute",
        "One route",
        [facts.RouteFact],
        examples.ONE_ROUTE,
        [Parameter("name", "path", "The route's name", NAME)],
        [UNKNOWN],
    ),
    "/api/v1/plugins": Operation("listPlugins", "The plugins that were found", [facts.Plugins], examples.PLUGINS),
    "/api/v1/config": Operation("getConfig", "The running config, secrets masked", [facts.Config], examples.CONFIG),
    "/api/v1/openapi.json": Operation("getDocument", "This document", [JSON]),
    "/readyz": Operation(
        "getReadiness",
        "Whether it is connected and routes are up",
        [health.Health],
        examples.READY,
        [
            Parameter("route", "query", "Ask for one route only", NAME),
            Parameter(
                "strict",
                "query",
                "1: ready means every enabled route is up, not just one",
                {"type": "string", "enum": ["1", "0", "true", "false"]},
            ),
        ],
        [
            ("400", "`strict` is something else", facts.ApiError, facts.ApiError(error="strict is 1 or 0")),
            UNKNOWN,
            ("503", "It is not ready", health.Health, examples.NOT_READY),
        ],
    ),
    "/healthz": Operation("getHealth", "200 while the event loop answers", ["text/plain"], "ok"),
    "/metrics": Operation(
        "getMetrics",
        "Numbers for Prometheus, as text or, if `Accept` likes it no less, as OpenMetrics",
        ["text/plain", "application/openmetrics-text"],
    ),
    "/": Operation("getIndex", "What there is", ["text/plain"]),
}


def document(version: str, *, token: bool) -> dict[str, Any]:
    """OpenAPI 3.1 as plain data; `version` is the gateway's, `token` whether it wants one."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nats-event-gateway",
            "version": version,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The gateway this comes from"}],
        "paths": {path: {"get": _operation(path, told, token=token)} for path, told in PATHS.items()},
        "components": {
            "schemas": _schemas(),
            "headers": {
                "NoStore": _header("Nothing here may be kept: the next answer is another one", "no-store"),
                "NoSniff": _header("The media type is as it says", "nosniff"),
                "Challenge": _header("What is wanted", 'Bearer realm="nats-event-gateway"'),
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`http.token` of the config"}
            },
        },
        "security": [],
    }


def _schemas() -> dict[str, Any]:
    """Every type by its name, its fields described by the texts under them."""
    told = {kind for one in PATHS.values() for kind in one.answers if not isinstance(kind, str)}
    told.update(kind for one in PATHS.values() for _, _, kind, _ in one.others)
    told.add(facts.ApiError)
    ordered = sorted(told, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    for name, schema in schemas.items():
        if "enum" in schema:
            schema["type"] = "string"
            continue
        kind = getattr(facts, name, None) or getattr(health, name)
        docs = field_docs(kind)
        for field in msgspec.structs.fields(kind):
            shown = schema["properties"][field.encode_name]
            shown.pop("default", None)
            shown["description"] = docs[field.name]
            if "enum" in shown:
                shown["type"] = "string"
    return schemas


def _operation(path: str, told: Operation, *, token: bool) -> dict[str, Any]:
    responses = {"200": _response(told.summary, told.answers, told.example)}
    responses |= {status: _response(text, [kind], example) for status, text, kind, example in told.others}
    guarded = path.startswith(API)
    if guarded:
        responses["403"] = _error(
            "A foreign Host or Origin, or a request from elsewhere while there is no token", REBOUND
        )
    if guarded and token:
        responses["401"] = _error("A token is needed, or this is another one", NO_TOKEN)
        responses["401"]["headers"]["WWW-Authenticate"] = {"$ref": "#/components/headers/Challenge"}
    responses["500"] = _error("A fault of the gateway's own; the log has it", "internal error")
    operation: dict[str, Any] = {
        "operationId": told.name,
        "summary": told.summary,
        "tags": ["facts" if guarded else "health and metrics"],
        "responses": dict(sorted(responses.items())),
    }
    if told.parameters:
        operation["parameters"] = [_parameter(one) for one in told.parameters]
    if guarded and token:
        operation["security"] = [{"token": []}]
    return operation


def _parameter(one: Parameter) -> dict[str, Any]:
    return {
        "name": one.name,
        "in": one.place,
        "description": one.text,
        "required": one.place == "path",
        "schema": one.schema,
    }


def _error(text: str, example: str) -> dict[str, Any]:
    return _response(text, [facts.ApiError], facts.ApiError(error=example))


def _response(text: str, answers: Sequence[Answer], example: object) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for answer in answers:
        if isinstance(answer, str):
            kind, schema = answer, {"type": "object" if answer == JSON else "string"}
        else:
            kind, schema = JSON, {"$ref": f"#/components/schemas/{answer.__name__}"}
        content[kind] = {"schema": schema}
        if example is not None:
            content[kind]["example"] = msgspec.to_builtins(example)
    headers = {"Cache-Control": "NoStore", "X-Content-Type-Options": "NoSniff"}
    return {
        "description": text,
        "headers": {name: {"$ref": f"#/components/headers/{told}"} for name, told in headers.items()},
        "content": content,
    }


def _header(text: str, value: str) -> dict[str, Any]:
    return {"description": text, "required": True, "schema": {"type": "string", "const": value}}
