"""Schemas by name, compiled, that refer to each other and to nothing else.

jsonschema-rs by itself fetches a `$ref` from the network or the disk. Here every reference is looked up among the
schemas of the library, so no schema makes the gateway connect to anything or read a file.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any, NoReturn
from urllib.parse import quote, unquote

import jsonschema_rs

BASE = "local:///"
"""What relative references are resolved against; each schema is `local:///NAME`."""
BACKTRACKS = 10_000
"""Steps back that a pattern with look-around or back references may take; all others are linear anyway."""

_PATTERNS = jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACKS)


def _refuse(uri: str) -> NoReturn:
    raise LookupError(uri)


_NOTHING = jsonschema_rs.Registry([(BASE, True)], retriever=_refuse)
"""Looks nothing up: checking a schema against its draft would fetch a `$schema` nobody knows."""


class BrokenSchema(Exception):
    """A schema that cannot be used; the text says where and why."""


class Library:
    """The schemas of one gate. What is broken is told and leaves what was there before untouched."""

    def __init__(self, *, formats: bool, suffix: str = "") -> None:
        """`suffix` may end a name in a reference: `address.json` is the schema `address`."""
        self._formats = formats
        self._suffix = suffix
        self._documents: dict[str, Any] = {}
        self._ids: dict[str, str] = {}
        """`$id` -> name."""
        self._uses: dict[str, set[str]] = {}
        """What each schema referred to when it was compiled, directly or through others."""
        self.validators: dict[str, jsonschema_rs.Validator] = {}
        self._refused: dict[str, str] = {}
        """New texts that are no schemas; the former document stays."""
        self._failed: dict[str, str] = {}
        """Documents that cannot be compiled as things are; the former validator stays."""

    @property
    def broken(self) -> dict[str, str]:
        """What cannot be used as it was last told, and why; a former state of it may still be in `validators`."""
        return {**self._failed, **self._refused}

    def put(self, name: str, text: bytes) -> None:
        """Take a new or changed schema, and try again what refers to it or failed before."""
        try:
            document = parse(text)
        except BrokenSchema as fault:
            self._refused[name] = str(fault)
            return
        self._refused.pop(name, None)
        self._forget(name)
        self._documents[name] = document
        identifier = document.get("$id") if isinstance(document, dict) else None
        if isinstance(identifier, str):
            self._ids[identifier.removesuffix("#")] = name
        self._compile(name)

    def remove(self, name: str) -> None:
        """Forget a schema; those that refer to it keep working as they are, and are broken."""
        self._forget(name)
        for known in (self.validators, self._refused, self._failed, self._uses):
            known.pop(name, None)
        self._compile(name)

    def _forget(self, name: str) -> None:
        self._documents.pop(name, None)
        self._ids = {identifier: owner for identifier, owner in self._ids.items() if owner != name}

    def _compile(self, changed: str) -> None:
        """Compile what the change concerns; all that failed before may work now."""
        for name in self._documents:
            if name == changed or name in self._failed or changed in self._uses.get(name, ()):
                try:
                    self.validators[name] = self._validator(name)
                    self._failed.pop(name, None)
                except BrokenSchema as fault:
                    self._failed[name] = str(fault)

    def _validator(self, name: str) -> jsonschema_rs.Validator:
        uses = self._uses[name] = set()

        def retrieve(uri: str) -> Any:
            found = self._named(uri)
            uses.add(found)
            if found not in self._documents:
                raise LookupError(f"no schema called {found}")
            return self._documents[found]

        try:
            return jsonschema_rs.validator_for(
                self._documents[name],
                base_uri=BASE + quote(name),
                retriever=retrieve,
                validate_formats=self._formats,
                pattern_options=_PATTERNS,
            )
        except jsonschema_rs.ValidationError as error:
            raise BrokenSchema(_fault(error)) from None
        except (ValueError, RecursionError) as error:
            raise BrokenSchema(str(error).splitlines()[0]) from None

    def _named(self, uri: str) -> str:
        """The schema a reference means, by its `$id` or by its name."""
        address = uri.partition("#")[0]
        if address in self._ids:
            return self._ids[address]
        return unquote(address.removeprefix(BASE)).removesuffix(self._suffix)


def parse(text: bytes) -> Any:
    """The JSON of a schema; raises BrokenSchema with line and column, or the path in it."""
    try:
        document = json.loads(text, parse_constant=_no_constant)
        if not isinstance(document, dict | bool):
            raise BrokenSchema("a schema is an object, true or false")
        jsonschema_rs.meta.validate(document, registry=_NOTHING)
    except json.JSONDecodeError as error:
        raise BrokenSchema(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise BrokenSchema(f"byte {error.start + 1} is not UTF-8") from None
    except jsonschema_rs.ValidationError as error:
        raise BrokenSchema(_fault(error)) from None
    except jsonschema_rs.ReferencingError:
        raise BrokenSchema("$schema: known are the drafts 4, 6, 7, 2019-09 and 2020-12") from None
    except (ValueError, RecursionError) as error:
        raise BrokenSchema(str(error).splitlines()[0]) from None
    return document


def fault_of(validator: jsonschema_rs.Validator, value: Any) -> str:
    """The first place that breaks the schema and the keyword it breaks, without anything the event says.

    The first only: collecting all takes 5 us for each, and an event can have as many as it has bytes.
    """
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        return f"{_place(error)}: {_keyword(error)}"
    return ""


def _place(error: jsonschema_rs.ValidationError) -> str:
    """Where in the event, `data.items[0].sku`; a key that the schema does not name is the event's, and is `*`."""
    way = error.evaluation_path
    named = {step for keyword, step in pairwise(way) if keyword == "properties"}
    place = ""
    for step in error.instance_path:
        if isinstance(step, int):
            place += f"[{step}]"
        else:
            place += ("." if place else "") + (step if step in named else "*")
    return place or "the whole"


def _keyword(error: jsonschema_rs.ValidationError) -> str:
    """The keyword, and what is missing: that is the schema's own word."""
    name = str(error.kind.name)
    if name == "falseSchema":
        # What a schema `false` stands under says more.
        return str(error.evaluation_path[-1]) if error.evaluation_path else "false"
    missing = getattr(error.kind, "property", None)
    return f"required {missing}" if name == "required" and missing else name


def _fault(error: jsonschema_rs.ValidationError) -> str:
    """What is wrong with a schema, and where in it."""
    place = "/".join(str(step) for step in error.instance_path)
    return f"{place}: {error.message}" if place else error.message


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")
