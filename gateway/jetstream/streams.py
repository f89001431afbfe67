"""Streams a config declares: made, checked or left alone; and the words for one that is missing."""

from __future__ import annotations

import asyncio
import logging
import shlex
from collections.abc import Iterable
from typing import Any

from ..config import model
from ..errors import RouteFault
from ..subjects import matches, overlaps
from ..values import Duration
from .api import REMOVAL, STREAM_NOT_FOUND, ApiError, ApiUnavailable, JetStreamApi

log = logging.getLogger("gateway.nats")

WINDOW = Duration(300)
"""Seconds: above ack-wait + 2 x retry.max + drain of a route that says nothing of them."""


def add_line(name: str, subjects: list[str], stream: model.Stream | None = None) -> str:
    """The `nats` command that would make the stream."""
    words = ["nats", "stream", "add", name, "--subjects", ",".join(subjects) or f"{name.lower()}.>", "--defaults"]
    if stream is not None:
        words += ["--storage", stream.storage, "--replicas", str(stream.replicas), "--retention", _retention(stream)]
        words += ["--dupe-window", str(window_of(stream)), "--discard", stream.discard]
        if stream.max_age is not None:
            words += ["--max-age", str(stream.max_age)]
        if stream.max_bytes is not None:
            words += ["--max-bytes", str(int(stream.max_bytes))]
    return shlex.join(words)


def missing_stream(name: str, subjects: list[str], stream: model.Stream | None = None) -> RouteFault:
    """The fault of a route whose stream is not there."""
    wanted = [str(subject) for subject in stream.subjects] if stream is not None else []
    hint = f"make it: {add_line(name, wanted or subjects, stream)}"
    return RouteFault("no-stream", f"there is no stream {name}", hint)


def _retention(stream: model.Stream) -> str:
    return {"workqueue": "work"}.get(stream.retention, stream.retention)


def taking(streams: Iterable[model.Stream], subject: str, wanted: str | None = None) -> list[model.Stream]:
    """The declared streams that take a subject; only the one called `wanted` when a target wants it there."""
    return [
        stream
        for stream in streams
        if wanted in (None, stream.name) and any(matches(str(one), subject) for one in stream.subjects)
    ]


def declares(streams: Iterable[model.Stream], subject: str) -> bool:
    """Whether a declared stream takes a subject, or something of a wildcard."""
    return any(overlaps(str(one), subject) for stream in streams for one in stream.subjects)


def make_line(streams: Iterable[model.Stream], subject: str, name: str, wanted: str | None = None) -> str:
    """How to make a stream that takes a subject: the declared one, else one called `name`."""
    return _declared_line(streams, subject, wanted) or f"make one: {add_line(name, [subject])}"


def letters_line(streams: Iterable[model.Stream], subject: str) -> str:
    """The same for dead letters: `dlq.>` where it is `dlq.orders`, one stream for those of every route."""
    first, dot, _ = subject.partition(".")
    wildcard = f"{first}.>" if dot else subject
    return _declared_line(streams, subject) or f"make one: {add_line('DLQ', [wildcard])}"


def _declared_line(streams: Iterable[model.Stream], subject: str, wanted: str | None = None) -> str:
    for stream in taking(streams, subject, wanted):
        return f"make it: {add_line(stream.name, [str(one) for one in stream.subjects], stream)}"
    return ""


class Provisioner:
    """Makes and checks declared streams. What it has to say of one is logged once, until it is something else."""

    def __init__(self, api: JetStreamApi) -> None:
        self._api = api
        self.faults: dict[str, RouteFault] = {}
        """Why a declared stream is not usable, by its name."""
        self._told: dict[str, str] = {}
        self._seen: set[str] = set()
        """Streams that were there; one that is not any more may be under removal."""
        self._remaking: dict[str, tuple[model.Stream, asyncio.Task[None]]] = {}
        """Those that are made anew when their removal must be over."""

    async def provision(self, streams: Iterable[model.Stream]) -> None:
        """Make what is missing and may be made. One under removal has a fault until it is `remade`."""
        # All at once: one that nobody answers for costs the others its time-out once, not once each.
        await asyncio.gather(*(self._note(stream) for stream in streams if stream.provision != "off"))

    async def remade(self, streams: Iterable[model.Stream]) -> None:
        """Wait for those of these that were under removal: they are usable then, or have another fault."""
        for stream in streams:
            _, task = self._remaking.get(stream.name, (None, None))
            if task is not None:
                await asyncio.wait({task})

    def forget_others(self, streams: Iterable[model.Stream]) -> None:
        """A reload has taken the others out of the config, and what was wrong with them: they are not made anew."""
        declared = {stream.name: stream for stream in streams if stream.provision != "off"}
        self.faults = {name: fault for name, fault in self.faults.items() if name in declared}
        for name, (stream, task) in self._remaking.items():
            if declared.get(name) != stream:
                task.cancel()

    def close(self) -> None:
        """Make nothing any more."""
        for _, task in self._remaking.values():
            task.cancel()

    async def _note(self, stream: model.Stream, *, removed: bool = False) -> None:
        fault = await self._fault_of(stream, removed=removed)
        if fault is None:
            self.faults.pop(stream.name, None)
        else:
            self.faults[stream.name] = fault

    async def _fault_of(self, stream: model.Stream, *, removed: bool) -> RouteFault | None:
        try:
            if not await self._ensure(stream, removed=removed):
                return missing_stream(stream.name, [], stream)
        except RouteFault as error:
            fault = error
        except ApiError as error:
            fault = RouteFault("stream-refused", f"stream {stream.name}: {error}")
        except ApiUnavailable as error:
            # Nothing is known of the stream, and the routes say that of the server.
            return RouteFault("jetstream-unavailable", str(error))
        else:
            return None
        # Perhaps no route needs it, and nobody else would say so.
        text = f"the declared stream {stream.name} cannot be used: {fault.text}"
        told = {"event": "stream.unusable", "stream": stream.name, "code": fault.code}
        self._tell(stream.name, text, {**told, "hint": fault.hint} if fault.hint else told)
        return fault

    def _tell(self, name: str, text: str, fields: dict[str, str]) -> None:
        if self._told.get(name) != text:
            self._told[name] = text
            log.warning("%s", text, extra=fields)

    def _remake(self, stream: model.Stream) -> None:
        """Make it anew when its removal must be over. Nobody waits for that who does not need this stream."""
        declared, task = self._remaking.get(stream.name, (None, None))
        if declared == stream:
            return
        if task is not None:
            task.cancel()

        async def remake() -> None:
            await asyncio.sleep(REMOVAL)
            await self._note(stream, removed=True)

        def over(task: asyncio.Task[None]) -> None:
            if self._remaking.get(stream.name) == (stream, task):
                del self._remaking[stream.name]

        task = asyncio.get_running_loop().create_task(remake())
        self._remaking[stream.name] = stream, task
        task.add_done_callback(over)

    async def _ensure(self, stream: model.Stream, *, removed: bool) -> bool:
        """Whether the stream is there now; not while one of its name may be under removal, and is not `removed`."""
        found = await self._found(stream)
        if found is None:
            if stream.provision == "verify":
                raise missing_stream(stream.name, [], stream)
            if stream.name in self._seen and not removed:
                self._remake(stream)
                return False
        if found is None:
            await self._api.request(f"STREAM.CREATE.{stream.name}", _wanted(stream))
            self._made(stream.name)
            differs = []
        else:
            differs = differences(stream, found["config"])
        self._seen.add(stream.name)
        if differs:
            text = f"stream {stream.name} differs from the config: {'; '.join(differs)}"
            self._tell(stream.name, text, {"event": "stream.differs", "stream": stream.name})
        else:
            self._told.pop(stream.name, None)
        return True

    def _made(self, name: str) -> None:
        """A stream was made. One that was there has taken what it held with it, and nobody else may have noticed."""
        if name in self._seen:
            text = "the declared stream %s was gone, with all that it held: it is made again, and is empty"
            log.warning(text, name, extra={"event": "stream.made-again", "stream": name})
        else:
            log.info("stream made: %s", name, extra={"event": "stream.created", "stream": name})

    async def _found(self, stream: model.Stream) -> dict[str, Any] | None:
        """The stream's info; None if there is none."""
        try:
            return await self._api.stream_info(stream.name)
        except ApiError as error:
            if error.err_code != STREAM_NOT_FOUND:
                raise
            return None


def window_of(stream: model.Stream) -> Duration:
    """The duplicate window of a stream that is made: longer than the pauses of a route with the usual settings."""
    if stream.duplicate_window is not None:
        return stream.duplicate_window
    return WINDOW if stream.max_age is None else min(WINDOW, stream.max_age)


def _wanted(stream: model.Stream) -> dict[str, Any]:
    return {
        "name": stream.name,
        "subjects": [str(subject) for subject in stream.subjects],
        "storage": stream.storage,
        "num_replicas": stream.replicas,
        "retention": stream.retention,
        "discard": stream.discard,
        "duplicate_window": window_of(stream).nanoseconds,
        "max_age": 0 if stream.max_age is None else stream.max_age.nanoseconds,
        "max_bytes": -1 if stream.max_bytes is None else int(stream.max_bytes),
        "allow_direct": True,
    }


def differences(stream: model.Stream, found: dict[str, Any]) -> list[str]:
    """Existing streams are never changed: what they hold is somebody's."""
    wanted = _wanted(stream)
    if stream.duplicate_window is None:
        del wanted["duplicate_window"]
    others = [
        f"{name} is {found[name]}, the config says {wanted[name]}"
        for name in ("storage", "num_replicas", "retention", "discard", "duplicate_window", "max_age", "max_bytes")
        if name in wanted and found.get(name, wanted[name]) != wanted[name]
    ]
    if stream.subjects and sorted(found.get("subjects") or []) != sorted(wanted["subjects"]):
        others.append(f"subjects are {', '.join(found.get('subjects') or [])}")
    return others
