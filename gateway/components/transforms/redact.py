"""The transform `redact`."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from typing import Any, ClassVar, Final, Literal

import msgspec

from ...errors import ConfigProblem
from ...event import Event
from ...paths import StarPath
from ...plugin import Settings, Transform
from ...values import Secret
from .._config import body_path, need_some, within
from ..canonical import canonical
from ._body import Tree, add_to_tree, keys_read, opened

MASK: Final = "***"

_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[^."]+')


class Redact(Transform, name="redact"):
    """Make values unreadable: masked, or replaced by a keyed hash.

    A step `*` is every item of a list and every value of an object: `items.*.card`, `contacts.*`; a key with a star in
    it stands in quotes. No step means any depth. What is absent is skipped, and null stays null. `with: mask` puts
    `***` in the place of any value, an object or list as a whole. `with: hmac` puts HMAC-SHA256 under `key` there, in
    hex: of a text as UTF-8, of anything else as compact JSON with sorted keys. Equal values give equal hashes under
    one key, so what was joined by them still can be.

    Only the body is redacted: subject and headers pass on, and a dead letter holds the event as it came.
    """

    class Config(Settings, frozen=True):
        """What to redact, and how."""

        paths: list[StarPath]
        with_: Literal["mask", "hmac"] = msgspec.field(default="mask", name="with")
        key: Secret | None = None
        """The key of the hash: long, random, from `${credential:...}` or `${file:...}`."""

    config: Config
    example: ClassVar[Any] = {"paths": ["detail.data.customer_id", "detail.data.cards.*.number"], "with": "mask"}

    def prepare(self) -> None:
        """Read the paths and the key; raises ConfigProblem at the field."""
        with within("paths"):
            need_some(self.config.paths, "field")
            for index, path in enumerate(self.config.paths):
                body_path(path, index)
        self._tree: Tree = {}
        for path in self.config.paths:
            add_to_tree(self._tree, _starred(path))
        self._keys = None if None in self._tree else keys_read(self.config.paths)
        self._secret = self._hash_key()

    def _hash_key(self) -> bytes | None:
        key = self.config.key
        if self.config.with_ == "mask":
            if key is not None:
                raise ConfigProblem(("key",), "a mask needs no key", "leave it out, or write with: hmac")
            return None
        if key is None:
            raise ConfigProblem((), "with: hmac needs a key", "key: ${credential:NAME}")
        if not key.reveal():
            raise ConfigProblem(("key",), "the key is empty", "a hash without a key can be undone by trying values")
        return key.reveal().encode("utf-8", "surrogatepass")

    def apply(self, event: Event) -> Event:
        """The event with the values made unreadable; the same event when none of them is there."""
        old = event.body if self._keys is None else opened(event, self._keys)
        body = self._redacted(old, [self._tree])
        return event if body is old else event.with_body(body)

    def reads(self) -> frozenset[str] | None:
        """The keys that paths begin with; everything when one begins with a star."""
        return self._keys

    def _redacted(self, value: Any, trees: list[Tree]) -> Any:
        """A copy of `value` with what the trees lead to redacted; `value` itself when nothing is there.

        Several trees: an item can be meant by its own step and by a star, and is redacted once all the same.
        """
        made: Any = None
        for place, below in _found(value, trees):
            inner = value[place]
            new = self._sealed(inner) if {} in below else self._redacted(inner, below)
            if new is not inner:
                if made is None:
                    made = value.copy()
                made[place] = new
        return value if made is None else made

    def _sealed(self, value: Any) -> Any:
        if value is None:
            return None
        if self._secret is None:
            return MASK
        if type(value) is str:
            value = value.encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, value if type(value) is bytes else canonical(value), "sha256").hex()


def _starred(path: StarPath) -> list[str | None]:
    """The steps of a path, None for each star that is not quoted."""
    pieces = _PIECE.findall(path.text)
    return [None if piece == "*" else step for piece, step in zip(pieces, path.steps, strict=True)]


def _found(value: Any, trees: list[Tree]) -> Iterator[tuple[Any, list[Tree]]]:
    """The places in `value` that the trees lead to, with the trees that go on there."""
    kind = type(value)
    if kind is not dict and kind is not list:
        return
    names = {name for tree in trees for name in tree}
    places: Any
    if kind is dict:
        places = value if None in names else [name for name in names if name in value]
    else:
        places = range(len(value)) if None in names else _indices(names, len(value))
    for place in places:
        steps = (place if kind is dict else str(place), None)
        below = [tree[step] for tree in trees for step in steps if step in tree]
        if below:
            yield place, below


def _indices(names: set[str | None], size: int) -> list[int]:
    """Those of the names that are places in a list, by the rule of paths: no sign, no leading zero."""
    numbers = [int(name) for name in names if name and name.isascii() and name.isdigit() and len(name) < 10]
    return [number for number in numbers if number < size and str(number) in names]
