"""Holds every warning that a test makes the gateway log against the catalogue: a run shows what no source does."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gateway.observe.events import EVENTS, code_of

_SOURCES = str(Path(__file__).parents[2] / "gateway") + "/"


def offence(event: object, code: object) -> str:
    """What is wrong with the event and the code of a warning; empty when nothing is."""
    line = EVENTS.get(str(event))
    if line is None:
        return f"the event {event!r} is not in gateway/observe/events.py"
    if line.open or code in (line.codes or (code_of(str(event)),)):
        return ""
    return f"the code {code!r} is not one of the event {event} in gateway/observe/events.py"


class Watch(logging.Handler):
    """Notes offences in what the gateway's own code logs in this process."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.offences: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one record."""
        if record.pathname.startswith(_SOURCES):
            event = record.__dict__.get("event")
            found = offence(event, record.__dict__.get("code", code_of(str(event))))
            if found:
                self.offences.add(found)


def offences_in(lines: Iterable[dict[str, Any]]) -> set[str]:
    """Those in the JSON lines of a process; plugins may have events of their own."""
    loud = [line for line in lines if line["level"] in ("warning", "error", "critical") and "event" in line]
    own = [line for line in loud if not line["logger"].startswith("gateway.plugin.")]
    return {offence(line["event"], line["code"]) for line in own} - {""}
