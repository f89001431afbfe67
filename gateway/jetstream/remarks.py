"""What is worth saying of a source that works: nobody would be told why events do not come, or come no more."""

from __future__ import annotations

from typing import Any

from ..config import model
from ..ports import Remark
from ..subjects import overlaps

REFUSALS = {
    10100: "a work queue gives a message to one consumer: narrow source.subjects, or read a mirror of the stream",
    10101: "a work queue is read from its beginning: set source.start to all",
}
"""What to do about a durable the server refuses to make, by its error code."""
FOREIGN = frozenset({"mirror", "sources", "subject_transform"})
"""Fields of a stream's config with which what it stores has other subjects than those it listens to."""


def ack_wait_of(config: dict[str, Any]) -> float:
    """Seconds until the server hands an event out again; with a back-off the shortest of them."""
    waits = [config.get("ack_wait", 30_000_000_000), *(config.get("backoff") or ())]
    return float(min(waits) / 1e9)


def of_consumer(source: model.Source, info: dict[str, Any], differences: list[str]) -> list[Remark]:
    """What somebody set on the durable."""
    config, found = info["config"], []
    limit = config.get("max_deliver", -1)
    if limit > 0:
        text = f"the durable {source.durable} gives an event up after {limit} deliveries (max_deliver), and nobody "
        text += "would have it: it stays in the stream; set it to -1, or source.manage to update"
        found.append(Remark("durable-gives-up", text))
    if info.get("paused"):
        until = str(config.get("pause_until", "")).partition(".")[0]
        found.append(Remark("durable-paused", f"the durable {source.durable} is paused until {until}"))
    if differences:
        text = f"the durable {source.durable} differs from the config: {'; '.join(differences)}"
        found.append(Remark("durable-differs", text))
    return found


def of_stream(source: model.Source, stream: dict[str, Any]) -> list[Remark]:
    """A filter outside the stream's subjects is accepted by the server, and waits for ever."""
    idle = idle_subjects(source, stream)
    if not idle:
        return []
    taken = stream["config"].get("subjects") or ()
    text = f"no new message of {source.stream} can match {', '.join(idle)}: {source.stream} takes {', '.join(taken)}"
    return [Remark("source-unmatched", text)]


def idle_subjects(source: model.Source, stream: dict[str, Any]) -> list[str]:
    """The subjects of a source under which its stream stores nothing new."""
    config = stream["config"]
    if any(config.get(field) for field in FOREIGN):
        return []
    taken = config.get("subjects") or ()
    return [one for one in map(str, source.subjects) if not any(overlaps(one, other) for other in taken)]
