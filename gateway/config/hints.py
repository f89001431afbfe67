"""Say what to write instead, where a type error makes that plain to see."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigProblem
from ..problems import Code
from . import model
from .shapes import OWN, fields_of, holds_secret, kinds, unwrap
from .tree import MappingNode, Node, SequenceNode, quote

_EXAMPLES: dict[Any, str] = {
    model.Nats: 'for example nats: {servers: ["nats://127.0.0.1:4222"]}',
    model.Log: "for example log: {level: debug}",
    model.DeadLetter: 'for example dead-letter: {subject: "dlq.{$route}"}; dead letters cannot be switched off',
    model.Source: "for example source: {stream: ORDERS, subjects: [orders.>]}",
    model.Retry: "for example retry: {attempts: 5, max: 1m}",
    model.Target: "for example targets: [{subject: billing.orders}]",
}
"""What to write where a mapping of our own is wanted."""
_BESIDE: dict[Any, str] = {
    model.KeyOrdering: "{key: PATH}",
    model.StartAt: "{sequence: NUMBER} or {time: TIME}",
}
"""How a mapping is written that can stand instead of one of a few words."""


def type_hint(node: Node, base: Any) -> str:
    """What to change so that the type is right, where that is plain to see."""
    alternatives = base if isinstance(base, tuple) else (base,)
    wanted = frozenset().union(*(kinds(member) for member in alternatives))
    hidden = node.tainted or any(holds_secret(member) for member in alternatives)
    if isinstance(node, MappingNode):
        if "string" in wanted:
            return "a value that begins with a brace stands in quotes"
        return "begin each item with a dash" if "list" in wanted else ""
    if isinstance(node, SequenceNode):
        return "it takes one value, not a list" if "string" in wanted else ""
    if "mapping" in wanted and node.kind != "null" and (words := _fields_hint(node, alternatives)):
        return words
    if node.kind == "null":
        return "give it a value, or take the key away"
    if own := next((own_hint(member) for member in alternatives if own_hint(member)), ""):
        return own
    hidden = hidden or "://" in getattr(node, "text", "")
    if "string" in wanted and node.kind != "string":
        return "put it in quotes" if hidden else f'put it in quotes: "{node.text}"'
    if node.kind == "string" and node.quoted and wanted & {"boolean", "integer", "number"}:
        return "take the quotes away: a quoted value is a string"
    if "list" in wanted and "mapping" not in wanted:
        return (
            "write it as a list"
            if hidden
            else f"write it as a list: [{quote(node.text) if node.quoted else node.text}]"
        )
    return ""


def beside(alternatives: tuple[Any, ...]) -> str:
    """The mapping that could stand instead of a word; empty when there is none."""
    return next((_BESIDE[base] for member in alternatives if (base := unwrap(member)[0]) in _BESIDE), "")


def _fields_hint(node: Node, alternatives: tuple[Any, ...]) -> str:
    """What to write where a mapping is wanted and one value stands."""
    known = next((fields_of(member) for member in alternatives if fields_of(member) is not None), None)
    for member in alternatives:
        if example := _EXAMPLES.get(unwrap(member)[0]):
            return example
    if known:
        first = next((field.key for field in known if field.required), known[0].key)
        return f"write its fields: {{{first}: ...}}; fields: {', '.join(field.key for field in known)}"
    if getattr(node, "text", "").lstrip().startswith("{"):
        return "take the quotes away: it is no text, and JSON can stand here as it is"
    return ""


def own_hint(wanted: Any) -> str:
    """How a duration, size or rate is written, as its own parser says."""
    own = OWN.get(unwrap(wanted)[0])
    if own is None or own.code is not Code.INVALID_VALUE:
        return ""
    try:
        own.read("")
    except ConfigProblem as problem:
        return problem.hint
    return ""
