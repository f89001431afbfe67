"""The plugin contract: what a codec, filter, transform or audit is, and what the gateway lends it.

A component is a class; a route makes one instance of it per step. The gateway never calls a hook or looks anything up
per event: it collects the bound methods once, when the route is compiled.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, dataclass_transform

import msgspec

from .errors import ConfigProblem, DecodeError
from .event import Attributes, AuditRecord, Drop, Encoded, Event, Outcome, PubAck, Reader
from .headers import Headers


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
class _SettingsMeta(msgspec.StructMeta):
    """msgspec hands every option of a Struct down but `kw_only`, without which no default may stand before a field."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        options.setdefault("kw_only", True)
        return super().__new__(mcs, name, bases, namespace, **options)


class Settings(
    msgspec.Struct, metaclass=_SettingsMeta, kw_only=True, frozen=True, rename="kebab", forbid_unknown_fields=True
):
    """Base of component configs: fields are kebab-case in the file and in any order, unknown ones are refused."""


class NoSettings(Settings, frozen=True):
    """The config of a component that has nothing to set."""


class Changes(Protocol):
    """Changes of a bucket as they come: key, and the value or None for a deletion. Ends like `watch`, with Retry."""

    def __aiter__(self) -> Changes: ...
    async def __anext__(self) -> tuple[str, bytes | None]: ...

    async def aclose(self) -> None:
        """Watch no longer."""
        ...


class KeyValueBucket(Protocol):
    """A JetStream key-value bucket, as far as components need one."""

    async def get(self, key: str) -> bytes | None:
        """The newest value, or None when there is none."""
        ...

    async def put(self, key: str, value: bytes) -> int:
        """Store a value; returns its revision."""
        ...

    def watch(self, key: str = ">") -> AsyncIterator[tuple[str, bytes | None]]:
        """The present values and then every change; None is a deletion.

        Raises Retry when a change may have been missed, over a lost connection or a bucket that is gone: begin anew.
        """
        ...

    async def changes(self, key: str = ">") -> Changes:
        """Every change from now on; it is being watched when this returns."""
        ...


class Counter(Protocol):
    """A metric that only grows."""

    def inc(self, amount: float = 1) -> None: ...


class Gauge(Protocol):
    """A metric that goes up and down."""

    def set(self, value: float) -> None: ...


class Histogram(Protocol):
    """A metric that counts observations by size."""

    def observe(self, amount: float) -> None: ...


class Metrics(Protocol):
    """Metrics of a plugin; their names begin with `event_gateway_plugin_<plugin>_`."""

    def counter(self, name: str, labels: Mapping[str, str] | None = None) -> Counter: ...
    def gauge(self, name: str, labels: Mapping[str, str] | None = None) -> Gauge: ...
    def histogram(self, name: str, labels: Mapping[str, str] | None = None) -> Histogram: ...


class Context(Protocol):
    """What the gateway lends a component. The built-ins use nothing else."""

    @property
    def gateway(self) -> str:
        """The gateway's name."""
        ...

    @property
    def route(self) -> str:
        """The route's name; empty for a shared component."""
        ...

    @property
    def log(self) -> logging.Logger:
        """A logger that names plugin and route."""
        ...

    @property
    def settings(self) -> Any:
        """The plugin's own settings (`plugins.settings.<plugin>`), of the type its `gateway_settings` gave."""
        ...

    @property
    def metrics(self) -> Metrics:
        """Metrics under the plugin's own prefix."""
        ...

    async def kv(self, bucket: str) -> KeyValueBucket:
        """Open a key-value bucket that exists."""
        ...

    async def publish(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> PubAck:
        """Publish to a stream and wait for its word; raises Retry when none comes."""
        ...


class GatewayInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What life-cycle hooks are told of the gateway."""

    name: str
    instance: str
    """This process among those with one name."""
    version: str
    config: str
    """Digest of the config."""


class RouteInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What life-cycle hooks are told of a route."""

    gateway: str
    name: str
    description: str
    stream: str
    durable: str
    targets: tuple[str, ...]


class Component:
    """Base of codecs, filters, transforms and audits. Only `name` is required.

    Life: made when the route is compiled, `prepare()` at once (sync, no I/O), `open()` before the first event,
    `close()` after the last. What `prepare` raises is a config problem; what `open` raises keeps the route down and is
    tried again.
    """

    name: ClassVar[str] = ""
    """What configs call it: a kebab-case word, `above`."""
    summary: ClassVar[str] = ""
    """One line for docs and `gateway plugins`; the first docstring line unless given."""
    example: ClassVar[Any] = None
    """A config that works, as plain data; used in docs and by `check_plugin`."""
    codes: ClassVar[tuple[str, ...]] = ()
    """The Reject codes it raises; others are kept in the dead letter and counted as `other`."""
    blocking: ClassVar[bool] = False
    """Whether its calls block: they then run in one thread of its own."""
    shared: ClassVar[bool] = False
    """Whether routes with equal configs share one instance in a process."""
    may_wait: ClassVar[bool] = False
    """Whether a plain `accepts` or `apply` may answer with an awaitable now and then, for what is not known at once;
    it is then waited for like an async step.
    """
    Config: ClassVar[Any] = NoSettings
    """The type of its config: any type msgspec converts to, with the types of `gateway` inside."""

    config: Any
    context: Context

    def __init_subclass__(cls, *, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name:
            cls.name = name
        if "summary" not in cls.__dict__:
            # Not the base's: that says what every filter is.
            cls.summary = cls.__doc__.strip().partition("\n")[0] if cls.__doc__ else ""

    def __init__(self, config: Any, context: Context) -> None:
        self.config = config
        self.context = context

    def prepare(self) -> None:
        """Check the config and build what events will need. No I/O. Raises ConfigProblem(path, text, hint)."""

    def open(self) -> Awaitable[None] | None:
        """Open what needs I/O; may be a coroutine function."""
        return None

    def close(self) -> Awaitable[None] | None:
        """Give back what `open` took; may be a coroutine function."""
        return None

    def reads(self) -> frozenset[str] | None:
        """The top-level keys of the body this component reads, so that no more is decoded; None: all of it."""
        return None


class Filter(Component):
    """Decides whether an event goes on. The verdict must be the same for every delivery of one message."""

    def accepts(self, event: Event) -> bool | Awaitable[bool]:
        """Called once per event and try. True: goes on. False: `filtered`. Anything else is `filter-error`."""
        raise NotImplementedError

    def explain(self, event: Event) -> str:
        """Why `accepts` said no, in one line without secrets. Called only when somebody wants to know."""
        return f"{self.name} did not accept the event"

    def settled(self, event: Event, outcome: Outcome) -> None:
        """The event is settled on the route; a component that remembers commits its memory here."""


class Transform(Component):
    """Changes, splits or drops an event."""

    def apply(self, event: Event) -> Event | list[Event] | Drop | Awaitable[Event | list[Event] | Drop]:
        """Called once per event and try. Anything but these, None and an empty list too, is `transform-error`."""
        raise NotImplementedError

    def settled(self, event: Event, outcome: Outcome) -> None:
        """The event is settled on the route; a component that remembers commits its memory here."""


class Audit(Component):
    """Keeps the records of what the gateway did."""

    def record(self, records: Sequence[AuditRecord]) -> Awaitable[None] | None:
        """Store records; they are durable when this returns. The same id can come again after a crash."""
        raise NotImplementedError


class Codec(Component):
    """Turns bytes into plain data (dict, list, str, int, float, bool, None, bytes) and back."""

    owns: ClassVar[tuple[str, ...]] = ()
    """The headers that are part of the format, lower case: names, or beginnings that end in `-`. When a body is written
    anew, the sender's do not pass on: they would contradict what `encode` says.
    """

    def decode(self, data: bytes, headers: Headers, subject: str) -> Any:
        """The body; raises DecodeError for what is not of this format."""
        raise NotImplementedError

    def encode(self, body: Any, headers: Headers) -> Encoded:
        """The bytes for a body, with headers to add; raises ValueError or TypeError for what it cannot write."""
        raise NotImplementedError

    def encode_own(self, body: Any, headers: Headers) -> Encoded:
        """Like `encode`, for a body this codec decoded and only built-in transforms changed: it needs no checking."""
        return self.encode(body, headers)

    def rewrites(self, headers: Headers) -> bool:
        """Whether a body that came with these headers is written anew although no step changed it.

        For a codec with more than one form. Without it, an unchanged body passes as the bytes it came in.
        """
        return False

    def attributes(self, body: Any, headers: Headers) -> Attributes:
        """Id, type, source, time and correlation id, as far as the format has them."""
        return Attributes()

    def reader(self, keys: frozenset[str] | None) -> Reader:
        """What reads events for a route whose steps read only these top-level `keys` (None: everything)."""
        return Reader(self._checked_decode, self._checked_attributes)

    def _checked_decode(self, data: bytes, headers: Headers, subject: str) -> Any:
        """Whatever a codec raises for bytes it cannot read is a decode error; its text may hold the event's data."""
        try:
            return self.decode(data, headers, subject)
        except DecodeError:
            raise
        except Exception as error:
            raise DecodeError(f"{self.name}: {type(error).__name__}") from error

    def _checked_attributes(self, body: Any, headers: Headers) -> Attributes:
        try:
            return self.attributes(body, headers)
        except DecodeError:
            raise
        except Exception as error:
            raise DecodeError(f"{self.name}: {type(error).__name__} while reading attributes") from error


__all__ = [
    "Audit",
    "Codec",
    "Component",
    "ConfigProblem",
    "Context",
    "Filter",
    "NoSettings",
    "Settings",
    "Transform",
]
