"""What a component's config takes, in words: for `gateway plugins info`, the docs and the JSON Schema."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import lru_cache
from itertools import pairwise
from typing import Any

import msgspec

from ..values import Secret
from .effective import as_written, default_of
from .shapes import fields_of, words


class FieldInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a config."""

    key: str
    """As it stands in the file."""
    takes: str
    """`a duration`, `"mask" or "hmac"`."""
    required: bool
    default: Any = None
    """As a config would hold it; None when there is none worth showing."""
    text: str = ""
    """The string under the field."""


def describe(config: Any) -> list[FieldInfo]:
    """The fields of a component's Config; none for a type that has no fields, which `takes` describes."""
    docs = field_docs(config)
    return [
        FieldInfo(
            key=field.key,
            takes=words(field.type),
            required=field.required,
            default=shown_default(config, field.name),
            text=docs.get(field.name, ""),
        )
        for field in fields_of(config) or ()
    ]


def takes(config: Any) -> str:
    """What a Config takes as a whole: `a mapping`, `a list`, `a number or a mapping`."""
    return words(config)


def shown_default(cls: Any, name: str) -> Any:
    """A field's default as a config would hold it; None when there is none worth showing."""
    if not (isinstance(cls, type) and issubclass(cls, msgspec.Struct)):
        return None
    value = default_of(cls, name)
    if value is None or value is msgspec.UNSET or value == "" or isinstance(value, Secret):
        return None
    written = as_written(value)
    return None if written == {} else written


@lru_cache(maxsize=256)
def field_docs(cls: Any) -> dict[str, str]:
    """The strings under a class's fields, by field; those of its bases too."""
    docs: dict[str, str] = {}
    for owner in reversed(getattr(cls, "__mro__", (cls,))):
        docs |= _own_docs(owner)
    return docs


def _own_docs(cls: Any) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.ClassDef) else []
    docs: dict[str, str] = {}
    for statement, after in pairwise(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            value = after.value if isinstance(after, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                docs[statement.target.id] = " ".join(value.value.split())
    return docs
