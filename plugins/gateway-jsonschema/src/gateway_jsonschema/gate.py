"""What both filters do: find the schema of an event's type and hold the event against it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import jsonschema_rs

from gateway import MISSING, ConfigProblem, Event, Filter, Path, Reject, Settings

from .library import Library, fault_of


class GateSettings(Settings, kw_only=True, frozen=True):
    """What both filters can be told."""

    path: Path | None = None
    """The part of the body that is checked, such as `data`; the whole body unless given."""
    types: dict[str, str] | None = None
    """The schema of an event type, where it is not called like the type."""
    unknown: Literal["reject", "accept"] = "reject"
    """What becomes of an event without a type, or whose type has no schema."""
    formats: bool = False
    """Whether `format` is checked: date-time, email, uuid and the rest."""


class Gate(Filter):
    """An event that keeps the schema of its type goes on; one that breaks it is refused, never filtered silently."""

    Config: ClassVar[Any] = GateSettings
    config: GateSettings
    codes = ("schema-violation", "schema-unknown")
    suffix: ClassVar[str] = ""
    """What the name of a schema ends in where it is kept, and may end in where it is referred to."""

    def prepare(self) -> None:
        """Check the path; raises ConfigProblem."""
        path = self.config.path
        if path is not None and path.is_attribute:
            raise ConfigProblem(("path",), f"{path} is not of the body", "a schema is for the body, or a part of it")
        self.names = self.config.types or {}
        self.library = Library(formats=self.config.formats, suffix=self.suffix)

    def reads(self) -> frozenset[str] | None:
        """The key the path begins with, or everything."""
        path = self.config.path
        return None if path is None or path.key is None else frozenset({path.key})

    def schema_name(self, event: Event) -> str | None:
        """The name of the schema for an event; None for an event without a type."""
        return None if event.type is None else self.names.get(event.type, event.type)

    def unknown(self) -> bool:
        """There is no schema for the event."""
        if self.config.unknown == "reject":
            raise Reject("schema-unknown", "there is no schema for the event's type")
        return True

    def check(self, event: Event, validator: jsonschema_rs.Validator) -> bool:
        """True for an event that keeps the schema; raises Reject, which names place and keyword."""
        path = self.config.path
        value: Any = event.body if path is None else event.get(path, MISSING)
        if value is MISSING:
            raise Reject("schema-violation", f"{path} is absent")
        try:
            if validator.is_valid(value):
                return True
            fault = fault_of(validator, value)
        except ValueError:
            # Its words would quote the value.
            raise Reject("schema-violation", "the event holds something that is no JSON, such as bytes") from None
        raise Reject("schema-violation", fault)
