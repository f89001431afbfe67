"""The transform `template`."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

import msgspec

from ...errors import ConfigProblem
from ...event import Event
from ...paths import Path, path_of
from ...plugin import Settings, Transform
from .._config import within
from ._body import keys_read
from ._input_template import Value, compile_template

MAX_VARIABLES: Final = 100
"""As many as EventBridge takes."""

_JSONPATH = re.compile(r"\$((?:\.[A-Za-z0-9_/\-]+|\[\d+\])+)")
_NAME = re.compile(r"[A-Za-z0-9_.\-]+")
_EVENT = "aws.events.event"
_EVENT_JSON = "aws.events.event.json"


def _ingested(event: Event) -> str:
    return event.meta.stored_at.isoformat().replace("+00:00", "Z")


def _envelope(event: Event) -> Any:
    """The event without detail, as EventBridge gives it: `detail-type` is called `detailType` there."""
    body = event.body
    if type(body) is not dict:
        return body
    kept = {"detailType" if key == "detail-type" else key: value for key, value in body.items() if key != "detail"}
    return {**kept, "ingestionTime": _ingested(event)}


RESERVED: Final[dict[str, Value]] = {
    _EVENT: _envelope,
    _EVENT_JSON: lambda event: event.body,
    "aws.events.rule-name": lambda event: event.meta.route,
    "aws.events.event.ingestion-time": _ingested,
}
"""Variables that need no path: the event without detail, all of it, the route's name, when its stream stored it."""


class InputTemplate(Transform, name="template"):
    """Make a new body from a template, as EventBridge's input transformer does.

    `paths` names variables; `template` uses them as `<name>`. A JSON template, `{"total": <t>, "text": "order <n>"}`,
    makes JSON: outside quotes a variable keeps its type, inside them it becomes text, objects as compact JSON. A
    quoted or plain text, `"order <n>"`, makes a text; several quoted lines make one text of several lines. What is
    absent becomes an empty text. Always there: `<aws.events.event>` (without detail), `<aws.events.event.json>`,
    `<aws.events.rule-name>` (the route) and `<aws.events.event.ingestion-time>` (when the stream stored it).

    Unlike EventBridge, values are always escaped: no quote in an event can break the result, and an object inside
    quotes is text instead of an event that silently never arrives. Objects in a text keep their quotes. Paths may be
    written its way, `$.detail.total`.
    """

    class Config(Settings, frozen=True):
        """Variables and template."""

        template: str
        paths: dict[str, str] = msgspec.field(default_factory=dict)
        """Variable name to path."""

    config: Config
    example: ClassVar[Any] = {
        "paths": {"order": "detail.data.orderId", "total": "detail.data.total"},
        "template": '{"text": "order <order>", "total": <total>}',
    }

    def prepare(self) -> None:
        """Parse paths and template; raises ConfigProblem."""
        if len(self.config.paths) > MAX_VARIABLES:
            raise ConfigProblem(("paths",), f"more than {MAX_VARIABLES} variables")
        paths = {name: _variable(name, text) for name, text in self.config.paths.items()}
        with within("template"):
            variables: dict[str, Value] = {name: path.read for name, path in paths.items()}
            self._make, used = compile_template(self.config.template, variables | RESERVED)
        all_of_it = not used.isdisjoint((_EVENT, _EVENT_JSON))
        self._reads = None if all_of_it else keys_read(path for name, path in paths.items() if name in used)

    def apply(self, event: Event) -> Event:
        """The event with the body the template makes."""
        return event.replace(body=self._make(event))

    def reads(self) -> frozenset[str] | None:
        """What the used variables read; everything when the whole event is one of them."""
        return self._reads


def _variable(name: str, text: str) -> Path:
    with within("paths", name):
        if name in RESERVED or not _NAME.fullmatch(name):
            fault = "is always there, with a meaning of its own" if name in RESERVED else "is no name for a variable"
            raise ConfigProblem((), f"{name!r} {fault}", "use letters, digits, dots, dashes and underscores")
        found = _JSONPATH.fullmatch(text)
        if found:
            return path_of(re.sub(r"\[(\d+)\]", r".\1", found[1]).removeprefix("."))
        if text.startswith(("$.", "$[")):
            raise ConfigProblem((), f"{text!r} goes beyond the JSONPath known here", "name keys and indices: $.a.b[0]")
        return path_of(text)
