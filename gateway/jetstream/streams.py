"""Streams a config declares: made, checked or left alone; and the words for one that is missing."""

from __future__ import annotations

import asyncio
import logging
import shlex
from typing import Any

from ..config import model
from ..errors import RouteFault
from .api import STREAM_NOT_FOUND, ApiError, ApiUnavailable, JetStreamApi

log = logging.getLogger("gateway.nats")


def add_line(name: str, subjects: list[str], stream: model.Stream | None = None) -> str:
    """The `nats` command that would make the stream."""
    words = ["nats", "stream", "add", name, "--subjects", ",".join(subjects) or f"{name.lower()}.>", "--defaults"]
    if stream is not None:
        words += ["--storage", stream.storage, "--replicas", str(stream.replicas), "--retention", _retention(stream)]
        words += ["--dupe-window", str(stream.duplicate_window), "--discard", stream.discard]
        if stream.max_age is not None:
            words += ["--max-age", str(stream.max_age)]
        if stream.max_bytes is not None:
            words += ["--max-bytes", str(int(stream.max_bytes))]
    return shlex.join(words)


def missing_stream(name: str, subjects: list[str], stream: model.Stream | None = None) -> RouteFault:
    """The fault of a route whose stream is not there."""
    return RouteFault("no-stream", f"there is no stream {name}", f"make it: {add_line(name, subjects, stream)}")


def _retention(stream: model.Stream) -> str:
    return {"workqueue": "work"}.get(stream.retention, stream.retention)


class Provisioner:
    """Makes and checks the declared streams."""

    def __init__(self, api: JetStreamApi, streams: list[model.Stream]) -> None:
        self._api = api
        self._streams = streams

    async def provision(self) -> dict[str, RouteFault]:
        """Make what is missing and may be made; returns a fault per declared stream that is not usable."""
        # All at once: one that nobody answers for costs the others its time-out once, not once each.
        streams = [stream for stream in self._streams if stream.provision != "off"]
        found = await asyncio.gather(*(self._fault_of(stream) for stream in streams))
        return {stream.name: fault for stream, fault in zip(streams, found, strict=True) if fault is not None}

    async def _fault_of(self, stream: model.Stream) -> RouteFault | None:
        try:
            await self._ensure(stream)
        except RouteFault as fault:
            return fault
        except ApiError as error:
            return RouteFault("stream-refused", f"stream {stream.name}: {error}")
        except ApiUnavailable as error:
            return RouteFault("jetstream-unavailable", str(error))
        return None

    async def _ensure(self, stream: model.Stream) -> None:
        try:
            info = await self._api.stream_info(stream.name)
        except ApiError as error:
            if error.err_code != STREAM_NOT_FOUND:
                raise
            if stream.provision == "verify":
                raise missing_stream(stream.name, list(stream.subjects), stream) from error
            await self._api.request(f"STREAM.CREATE.{stream.name}", _wanted(stream))
            log.info("stream made: %s", stream.name, extra={"event": "stream.created", "stream": stream.name})
            return
        differences = _differences(stream, info["config"])
        if differences:
            log.warning(
                "stream %s differs from the config: %s",
                stream.name,
                "; ".join(differences),
                extra={"event": "stream.differs", "stream": stream.name},
            )


def _wanted(stream: model.Stream) -> dict[str, Any]:
    return {
        "name": stream.name,
        "subjects": [str(subject) for subject in stream.subjects],
        "storage": stream.storage,
        "num_replicas": stream.replicas,
        "retention": stream.retention,
        "discard": stream.discard,
        "duplicate_window": stream.duplicate_window.nanoseconds,
        "max_age": 0 if stream.max_age is None else stream.max_age.nanoseconds,
        "max_bytes": -1 if stream.max_bytes is None else int(stream.max_bytes),
        "allow_direct": True,
    }


def _differences(stream: model.Stream, found: dict[str, Any]) -> list[str]:
    """Existing streams are never changed: what they hold is somebody's."""
    wanted = _wanted(stream)
    differences = [
        f"{name} is {found[name]}, the config says {wanted[name]}"
        for name in ("storage", "num_replicas", "retention", "discard", "duplicate_window", "max_age", "max_bytes")
        if found.get(name, wanted[name]) != wanted[name]
    ]
    if stream.subjects and sorted(found.get("subjects") or []) != sorted(wanted["subjects"]):
        differences.append(f"subjects are {', '.join(found.get('subjects') or [])}")
    return differences
