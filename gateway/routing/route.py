"""A compiled route: everything an event needs on its way, looked up once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec

from ..config import model
from ..event import Encoded, Event, Origin, Outcome, Reader
from ..headers import Headers
from ..plugin import Audit, Codec, Component
from ..registry import BUILTIN
from ..subjects import matches
from ..templates import Template
from ..trace import TraceParent, begin
from ..values import Secret
from .redrive import Redrive


class Step(msgspec.Struct, frozen=True, gc=False):
    """One filter or transform, ready to be called."""

    label: str
    """What metrics, logs and dead letters call it: `filter-0-pattern`, `transform-1-set`."""
    call: Callable[[Event], Any]
    """The bound method: `accepts` or `apply`."""
    is_filter: bool
    is_async: bool
    """`call` gives an awaitable."""
    may_wait: bool
    """`call` gives an awaitable now and then."""
    blocking: bool
    """`call` blocks and belongs into the component's own thread."""
    component: Component
    settled: Callable[[Event, Outcome], None] | None
    """The component's `settled`, if it defines one."""


class HeaderRule(msgspec.Struct, frozen=True, gc=False):
    """One header of a target: its template, or None to take the header away."""

    name: str
    lower: bytes
    template: Template | None


class CompiledTarget(msgspec.Struct, frozen=True, gc=False):
    """One target, ready to be rendered."""

    name: str
    subject: Template
    stream: str | None
    rules: tuple[HeaderRule, ...]
    codec: Codec
    encode: Callable[[Any, Headers], Encoded]
    """The codec's `encode`, or `encode_own` where no step can have put in what the codec cannot say."""
    same_codec: bool
    """The route's own codec: an unchanged body passes through as the bytes it came in."""
    rewrites: Callable[[Headers], bool] | None
    """Where the codec has a say in that: whether it is written anew all the same."""
    owned: re.Pattern[bytes] | None
    """The names, lower case, of the sender's headers that do not pass on with a body written anew."""

    @property
    def constant(self) -> bool:
        """Whether every copy goes to the same subject, so that a fault of the subject is a fault of the route."""
        return self.subject.constant is not None


class CompiledAudit(msgspec.Struct, frozen=True, gc=False):
    """One audit sink."""

    label: str
    record: Callable[[Sequence[Any]], Any]
    is_async: bool
    blocking: bool
    component: Audit


class CompiledRoute(msgspec.Struct, frozen=True, gc=False):
    """One route. `fault` is why it cannot run although its config is good: a plugin it needs is not there."""

    name: str
    config: model.Route
    origin: Origin
    codec: Codec
    reader: Reader
    steps: tuple[Step, ...]
    targets: tuple[CompiledTarget, ...]
    audits: tuple[CompiledAudit, ...]
    dead_letter: str
    """The subject of its dead letters."""
    max_hops: int
    config_digest: str
    plugins: dict[str, str]
    components: tuple[Component, ...]
    owners: tuple[str, ...]
    """The plugin each component comes from."""
    identity: str
    """Digest of everything the config says of the route: equal means a reload need not touch it."""
    fault: tuple[str, str] | None = None
    redrive: Redrive | None = None
    """Set where the route does not read its source but sends dead letters again."""
    begins: int | None = None
    """Set where an audit makes spans: an event without a trace begins one, sampled below this bound (of 2**64)."""

    def ids(self, created: str) -> MessageIds:
        """The message ids of its copies; `created` is the creation time of its source's stream."""
        return MessageIds(self, created) if self.redrive is None else RedriveIds(self, self.redrive)

    def owner_of(self, component: Component) -> str:
        """The plugin a component of this route comes from."""
        return next(owner for known, owner in zip(self.components, self.owners, strict=True) if known is component)

    @property
    def is_sync(self) -> bool:
        """Whether no step ever waits."""
        return not any(step.is_async or step.may_wait or step.blocking for step in self.steps)

    @property
    def reads_letters(self) -> bool:
        """Whether it reads the subject of its own dead letters, should its source stream take that."""
        return any(matches(str(subject), self.dead_letter) for subject in self.config.source.subjects)

    @property
    def has_memory(self) -> bool:
        """Whether some component wants to be told what became of an event."""
        return any(step.settled for step in self.steps)


def of_plugin(name: str) -> str:
    """Whose component it is, for the end of a reason; nothing for a built-in."""
    return "" if name == BUILTIN else f" (plugin {name})"


class MessageIds:
    """Message ids of one route's copies: `<digest of what is constant>.<sequence>.<copy>`.

    The digest covers source stream, its creation time, gateway, route and target, so that a re-created stream, a
    renamed route or another gateway can never be taken for a duplicate. The sequence stays readable: an id found in a
    target stream says which event it was.
    """

    __slots__ = ("_prefixes", "_span_key")

    DEAD_LETTER = "\0dead-letter"
    """Stands in place of a target name; no config can hold a NUL."""
    SPAN = "\0span"
    """Likewise, for the span of an event's way through the route, and the trace that begins there."""

    def __init__(self, route: CompiledRoute, created: str) -> None:
        self._prepare(route, (route.origin.stream, created))

    def _prepare(self, route: CompiledRoute, namespace: tuple[str, ...]) -> None:
        names = [target.name for target in route.targets] + [self.DEAD_LETTER]
        constant = (*namespace, route.origin.gateway, route.origin.route)
        self._prefixes = {name: _digest(*constant, name) for name in names}
        self._span_key = bytes.fromhex(_digest(*constant, self.SPAN))

    def copy(self, target: str, sequence: int, ordinal: int, key: str | None) -> str:
        """The id of one copy; keys and ordinals live apart, so that a key "0" is not the first copy."""
        if key is None:
            return f"{self._prefixes[target]}.{sequence}.{ordinal}"
        return f"{self._prefixes[target]}.{sequence}.k{_digest(key)}"

    def dead_letter(self, sequence: int) -> str:
        """The id of the one dead letter an event has on this route."""
        return f"{self._prefixes[self.DEAD_LETTER]}.{sequence}"

    def span(self, sequence: int) -> str:
        """The span id of the event's way through this route, after a redelivery too; its copies' spans are below it."""
        return hashlib.blake2b(sequence.to_bytes(8, "big"), key=self._span_key, digest_size=8).hexdigest()

    def begin(self, sequence: int, bound: int) -> TraceParent:
        """The trace that begins with the event here."""
        return begin(self._span_key, sequence, bound)


class RedriveIds(MessageIds):
    """Message ids of a route that sends dead letters again: dead-letter stream, its creation time and the letter's
    sequence stand in place of the source's.

    So the first way of an event can swallow nothing of the second, and every run that comes to one letter gives it
    the same ids.
    """

    __slots__ = ("_letters",)

    REDRIVE = "\0redrive"
    """Keeps them apart from the ids of a route whose source is the dead-letter stream."""

    def __init__(self, route: CompiledRoute, redrive: Redrive) -> None:
        self._prepare(route, (self.REDRIVE, redrive.stream, redrive.created))
        self._letters = redrive.letters

    def copy(self, target: str, sequence: int, ordinal: int, key: str | None) -> str:
        """The id of one copy of the event with this source sequence."""
        return super().copy(target, self._letters[sequence].sequence, ordinal, key)

    def dead_letter(self, sequence: int) -> str:
        """The id of the letter that follows, when it fails again."""
        return super().dead_letter(self._letters[sequence].sequence)

    def span(self, sequence: int) -> str:
        """The span id of this way through the route."""
        return super().span(self._letters[sequence].sequence)

    def begin(self, sequence: int, bound: int) -> TraceParent:
        """The trace that begins with this way: another than that of the first, which the letter would have."""
        return super().begin(self._letters[sequence].sequence, bound)


def fingerprint(route: model.Route, settings: dict[str, Any]) -> str:
    """Digest of a route's config and its plugins' settings, places in the file left out, secrets taken in."""
    return fingerprint_of(route, settings)


def fingerprint_of(*values: Any) -> str:
    """Digest of configs, as `fingerprint` takes it."""
    return _digest(*(_flat(value) for value in values))


def _flat(value: Any) -> str:
    if isinstance(value, model.Step):
        return f"{value.component}={_flat(value.config)}"
    if isinstance(value, msgspec.Struct):
        return "{" + ",".join(f"{name}:{_flat(getattr(value, name))}" for name in value.__struct_fields__) + "}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{_flat(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_flat(inner) for inner in value) + "]"
    if isinstance(value, (set, frozenset)):
        return "(" + ",".join(sorted(_flat(inner) for inner in value)) + ")"
    if is_dataclass(value) and not isinstance(value, type):
        return "{" + ",".join(f"{field.name}:{_flat(getattr(value, field.name))}" for field in fields(value)) + "}"
    if isinstance(value, Secret):
        return _digest(value.reveal())
    # Neither shows its text in its repr.
    return f"template {value.text!r}" if isinstance(value, Template) else repr(value)


def _digest(*parts: str) -> str:
    """16 bytes over parts that cannot run into each other, as text a header takes."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        hasher.update(len(data).to_bytes(4, "big"))
        hasher.update(data)
    return hasher.hexdigest()
