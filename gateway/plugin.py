"""The plugin contract: what a codec, filter, transform or audit is. What the gateway lends it: `gateway/lent.py`.

A component is a class; a route makes one instance of it per step. The gateway never calls a hook or looks anything up
per event: it collects the bound methods once, when the route is compiled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, ClassVar, dataclass_transform

import msgspec

from .errors import DecodeError
from .event import Attributes, AuditRecord, Drop, Encoded, Event, Outcome, Reader
from .headers import Headers
from .lent import Context


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


class Component:
    """Base of codecs, filters, transforms and audits. Only a name is required: `class Above(Filter, name="above")`.

    A route makes one instance for each of its steps, with `self.config` (the step's config, of the type `Config`) and
    `self.context`. Its life: `prepare()` when the route is compiled, `open()` before the first event, its calls,
    `close()` after the last. Every command that reads a config prepares components; only a gateway that runs opens
    them.

    Sync methods run on the event loop, where every route waits for them: they must be quick. What has to wait is a
    coroutine function, or belongs to a class that says `blocking = True`. Calls of one instance never overlap, but for
    coroutines, of which there may be as many as `max-in-flight`.
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
    """Whether its calls block: they are then made in a thread of its own, `open` and `close` too."""
    shared: ClassVar[bool] = False
    """Whether routes with equal configs share one instance in a process. It opens with the first of them and closes
    after the last; `context.route` is empty. Coroutines of several routes may then overlap, those of `record` too.
    """
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
        """Check the config and build what events will need: compile, parse, look up. Called once, no I/O.

        Raises ConfigProblem(path, text, hint) for what the types of `Config` cannot say; `path` leads into the config,
        and `gateway check` reports it there with file, line and column. Anything else it raises keeps the route down.
        """

    def open(self) -> Awaitable[None] | None:
        """Open what needs I/O. Called before the first event; may be a coroutine function. Has ten seconds.

        What it raises keeps the route down with `open-failed`, and it is called again after a pause that grows to 30 s.
        """
        return None

    def close(self) -> Awaitable[None] | None:
        """Give back what `open` took. Called after the last event if `open` succeeded; may be a coroutine function.

        Has ten seconds; what it raises is logged. A process that is killed does not call it.
        """
        return None

    def reads(self) -> frozenset[str] | None:
        """The top-level keys of the body this component reads, so that no more is decoded; None: all of it.

        For speed alone. Called once, after `prepare`. What a transform does not name here is still raw bytes in
        `event.encodable`, and `event.get` decodes it when asked.
        """
        return None


class Filter(Component):
    """Decides whether an event goes on.

    The verdict must be the same for every delivery of one message (`event.meta.stream`, `event.meta.sequence`): an
    event can come again after part of it was published.
    """

    def accepts(self, event: Event) -> bool | Awaitable[bool]:
        """Whether the event goes on. Called once for each event and try; may be a coroutine function.

        False ends it as `filtered`, and it is acknowledged. `raise Reject(code, message)` sends it to the dead letters,
        `raise Retry(after=seconds)` has it tried again by the route's retry policy, as has a coroutine or blocking call
        that takes longer than the route's `timeout`. Anything else that is raised, and any answer but True and False,
        is `filter-error`: to the dead letters. Messages must hold nothing of the event.
        """
        raise NotImplementedError

    def explain(self, event: Event) -> str:
        """Why `accepts` said no, in one line that holds nothing of the event. Called only when an audit asks."""
        return f"{self.name} did not accept the event"

    def settled(self, event: Event, outcome: Outcome) -> None:
        """The event as it came has ended on this route with `outcome`. Called once, on the event loop, if defined.

        What remembers commits its memory here and nowhere else: until then the event may come again. What it raises is
        logged, and changes nothing.
        """


class Transform(Component):
    """Changes, splits or drops an event. An Event cannot be changed: `set`, `delete` and `replace` give new ones."""

    def apply(self, event: Event) -> Event | list[Event] | Drop | Awaitable[Event | list[Event] | Drop]:
        """What becomes of the event. Called once for each event and try; may be a coroutine function.

        An Event goes on; a list of them is a split, each going on by itself; Drop(reason) ends it, and it is
        acknowledged. A split must be the same for every delivery of a message, or set each part's `key`
        (`event.replace(key=...)`): message ids are made of it. Anything else, None and an empty list too, is
        `transform-error`. Reject, Retry, time-outs and other exceptions: as for `Filter.accepts`.
        """
        raise NotImplementedError

    def settled(self, event: Event, outcome: Outcome) -> None:
        """The event as it came has ended on this route with `outcome`. Called once, on the event loop, if defined.

        What remembers commits its memory here and nowhere else: until then the event may come again. What it raises is
        logged, and changes nothing.
        """


class Audit(Component):
    """Keeps the records of what the gateway did: one for each event and route when it ends, whatever became of it."""

    trace_ratio: float | None = None
    """For an audit that makes spans, settled by `prepare`: events that come without a trace begin one here, and this
    share of the traces, 0 to 1, is marked as sampled. Copies then always leave with a `traceparent`.
    """

    def record(self, records: Sequence[AuditRecord]) -> Awaitable[None] | None:
        """Store records, up to 512 of them. May be a coroutine function; of a route's calls, never two at a time.

        They must be durable when it returns: with `audit-mode: required` their events are settled then. After a crash
        a record can come again with the same id. What it raises, and a call that takes longer than the route's
        `timeout`, holds the route (required) with `audit-failed` until a later call with the same records succeeds, or
        is counted and logged (best-effort).
        """
        raise NotImplementedError


class Codec(Component):
    """Turns bytes into plain data (dict, list, str, int, float, bool, None, bytes) and back; always sync."""

    owns: ClassVar[tuple[str, ...]] = ()
    """The headers that are part of the format, lower case: names, or beginnings that end in `-`. When a body is written
    anew, the sender's do not pass on: they would contradict what `encode` says.
    """

    def decode(self, data: bytes, headers: Headers, subject: str) -> Any:
        """The body. Called once for each event. Whatever it raises is `decode-error`: to the dead letters, with the
        exception's type alone, since its text may hold the event's data.
        """
        raise NotImplementedError

    def encode(self, body: Any, headers: Headers) -> Encoded:
        """The bytes for a body, with headers to add. Called once for each event and target codec, unless the body
        passes on as the bytes it came in. Whatever it raises is `encode-error`: to the dead letters.
        """
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
        """Id, type, source, time and correlation id, as far as the format has them. Called once for each body, when
        somebody asks. What it raises is `decode-error`.
        """
        return Attributes()

    def reader(self, keys: frozenset[str] | None) -> Reader:
        """What reads events for a route whose steps read only these top-level `keys` (None: everything)."""
        return Reader(self._checked_decode, self._checked_attributes)

    def _checked_decode(self, data: bytes, headers: Headers, subject: str) -> Any:
        """Whatever a codec raises for bytes it cannot read is a decode error; its text may hold the event's data."""
        try:
            return self.decode(data, headers, subject)
        except (DecodeError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise DecodeError(f"{self.name}: {type(error).__name__}") from error

    def _checked_attributes(self, body: Any, headers: Headers) -> Attributes:
        try:
            attributes = self.attributes(body, headers)
        except (DecodeError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise DecodeError(f"{self.name}: {type(error).__name__} while reading attributes") from error
        if not isinstance(attributes, Attributes):
            raise DecodeError(f"{self.name}: attributes gave {type(attributes).__name__} instead of Attributes")
        return attributes
