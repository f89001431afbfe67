"""The codec cloudevents against the official SDK, which has no NATS binding: JSON format, and HTTP's headers.

HTTP's binary mode is that of NATS but for the media type, which it calls Content-Type.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_binary_event,
    from_structured_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given

from gateway.components.codecs.cloudevents import CloudEvents
from gateway.headers import Headers
from tests.unit.build import make
from tests.unit.test_cloudevents import ENVELOPE, envelopes

CODEC: CloudEvents = make(CloudEvents)
BINARY: CloudEvents = make(CloudEvents, {"mode": "binary"})
STRUCTURED: CloudEvents = make(CloudEvents, {"mode": "structured"})
OBJECT = {"total": 1, "lines": [None, "é"]}

CASES: list[tuple[dict[str, Any], Any, dict[str, Any]]] = [
    ({"datacontenttype": "application/json"}, OBJECT, {"data": OBJECT}),
    ({"datacontenttype": "text/plain"}, "é text", {"data": "é text"}),
    ({"datacontenttype": "image/png"}, b"\x00\xff", {"data_base64": base64.b64encode(b"\x00\xff").decode()}),
    ({"datacontenttype": "application/json", "subject": 'a "b" %41 é', "ext": "x y"}, OBJECT, {"data": OBJECT}),
]


def event_of(attributes: dict[str, Any], data: Any) -> CloudEvent:
    return CloudEvent({**ENVELOPE, **attributes}, data)


@pytest.mark.parametrize(("attributes", "data", "member"), CASES)
def test_what_the_sdk_writes_is_read(attributes: dict[str, Any], data: Any, member: dict[str, Any]) -> None:
    for message in (to_structured_event(event_of(attributes, data)), to_binary_event(event_of(attributes, data))):
        body = CODEC.decode(message.body, Headers(message.headers), "in.a")
        body.pop("time", None)  # The SDK adds it where there is none.
        assert body == {**ENVELOPE, **attributes, **member}


@pytest.mark.parametrize(("attributes", "data", "member"), CASES)
def test_what_is_written_is_read_by_the_sdk(attributes: dict[str, Any], data: Any, member: dict[str, Any]) -> None:
    body = {**ENVELOPE, **attributes, **member, "time": "2026-01-31T12:00:00Z"}
    for event in (_structured(body), _binary(body)):
        assert {name: event.get_attributes()[name] for name in attributes} == attributes
        assert (event.get_id(), event.get_source(), event.get_type()) == ("e-1", "/shop", "order.placed")
        assert event.get_time().isoformat() == "2026-01-31T12:00:00+00:00"
        assert event.get_data() == data


@given(envelopes)
def test_every_envelope_written_is_valid_for_the_sdk(envelope: dict[str, Any]) -> None:
    """Its constructor checks names, types and the time; a text is its own in both modes."""
    for event in (_structured(envelope), _binary(envelope)):
        read = event.get_attributes()
        for name, value in envelope.items():
            if type(value) is str and not name.startswith("data") and name != "time":
                assert read[name] == value


def _structured(body: dict[str, Any]) -> Any:
    written = STRUCTURED.encode(body, Headers())
    return from_structured_event(HTTPMessage({"content-type": written.headers["Content-Type"]}, written.data))


def _binary(body: dict[str, Any]) -> Any:
    written = BINARY.encode(body, Headers())
    headers = dict(written.headers)
    media = headers.pop("ce-datacontenttype", None)
    return from_binary_event(
        HTTPMessage(headers if media is None else {**headers, "content-type": media}, written.data)
    )
