"""docs/troubleshooting.md, the catalogue and the sources name the same warnings and codes, none more, none less."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import click
import pytest

from gateway.cli import exits, gateway
from gateway.observe.events import (
    COMPONENT_CODES,
    CONFIG_CODES,
    DEAD_LETTER_CODES,
    EVENTS,
    LOSS_CODES,
    NOTE_CODES,
    REMARK_CODES,
    ROUTE_CODES,
    words,
)
from gateway.runtime.stats import TARGET_CODES

from .log_calls import called, calls, first_arguments, nodes

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
COLUMNS = 3

_ROW = re.compile(r'^\| <a id="([a-z0-9-]+)"></a>`([a-z0-9-]+)`', re.MULTILINE)
_LINK = re.compile(r"\]\(([a-z-]+\.md)(?:#([a-z0-9-]+))?\)")
_COMMAND = re.compile(r"gateway ((?:[a-z]+ ?)+)")
_SHOWN = re.compile(r"`([^`\n]+)`")
WITH_CODE_SECOND = frozenset({"Failed", "Again", "set", "note", "set_fault", "Problem"})
"""Functions and types that are given a code after something else."""
WITH_CODE_NAMED = frozenset({"Answer", "Fault", "Retry"})


def entries() -> list[str]:
    """The codes of the page, in its order."""
    return [code for _, code in _ROW.findall(PAGE.read_text())]


def rows() -> list[list[str]]:
    """The columns of each entry."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| <a")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def exit_codes() -> set[str]:
    """Those that tell of something."""
    return {f"exit-{number}" for name, number in vars(exits).items() if name.isupper() and number}


# ------------------------------------------------------------------ the sources and the catalogue


def test_of_every_call_that_logs_a_warning_the_event_can_be_read_in_the_source() -> None:
    """`extra={"event": ...}` with a name that is written there: what cannot be read cannot be looked up."""
    assert len(calls()) > 60, "they are found"
    assert [call.place for call in calls() if not call.events] == []


def test_the_catalogue_has_every_event_that_is_logged_and_no_other() -> None:
    """A new warning needs a line in gateway/observe/events.py; one that is gone takes its line with it."""
    assert [(call.place, call.events - EVENTS.keys()) for call in calls() if call.events - EVENTS.keys()] == []
    assert EVENTS.keys() - {event for call in calls() for event in call.events} == set()


def given() -> set[str]:
    """Every code that the sources give to a route, a copy or an event, as far as it is written out."""
    found = set(first_arguments("RouteFault", "Remark", "Reject", "UnsafeValue", "_lose", "source_lost"))
    for node in nodes():
        if not isinstance(node, ast.Call):
            continue
        name = called(node)
        named = [word.value for word in node.keywords if word.arg == "code"] if name in WITH_CODE_NAMED else []
        second = node.args[1:2] if name in WITH_CODE_SECOND else []
        plugin = node.args[0].elts[:1] if name == "append" and isinstance(node.args[0], ast.Tuple) else []
        for value in (*named, *second, *(plugin if plugin and ".faults" in ast.unparse(node.func) else [])):
            if (
                isinstance(value, ast.Constant)
                and isinstance(value.value, str)
                and re.fullmatch("[a-z-]+", value.value)
            ):
                found.add(value.value)
    return found


OF_COMMANDS = frozenset({"fixed", "stream-changed", "unreadable"})
"""Codes of Retry that one-shot commands turn into words; no route or event has them."""


def test_every_code_that_the_sources_give_is_in_the_catalogue() -> None:
    """Of routes, targets, events and components."""
    assert {"no-stream", "timeout", "crash-loop", "plugin-missing", "standby", "key-missing"} <= given(), (
        "they are found"
    )
    assert given() - words() - OF_COMMANDS == set()


def test_every_code_of_the_catalogue_is_given_somewhere() -> None:
    """A code that nothing gives any more would be looked for in vain."""
    texts = {node.value for node in nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    listed = Counter(node.value for node in ast.walk(ast.parse((ROOT / "gateway/observe/events.py").read_text()))
                     if isinstance(node, ast.Constant))  # fmt: skip
    everywhere = Counter(node.value for node in nodes() if isinstance(node, ast.Constant))
    codes = {*ROUTE_CODES, *LOSS_CODES, *NOTE_CODES, *REMARK_CODES, *TARGET_CODES, *DEAD_LETTER_CODES, *CONFIG_CODES}
    assert codes - texts == set()
    assert [code for code in sorted(codes) if everywhere[code] <= listed[code]] == []


def test_every_code_that_a_component_declares_is_in_the_catalogue() -> None:
    """Built in or of plugins/; `schema-broken` is a passing one, which nobody declares."""
    declared = {
        text.value
        for node in nodes()
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target) == "codes"
        for text in ast.walk(node.value or node)
        if isinstance(text, ast.Constant) and isinstance(text.value, str)
    }
    assert declared | {"schema-broken"} == set(COMPONENT_CODES)


# ------------------------------------------------------------------ the catalogue and the page


def test_every_word_has_one_entry_and_no_entry_is_of_nothing() -> None:
    """Events, codes and exit codes."""
    assert words() | exit_codes() == set(entries()), words() ^ set(entries())
    assert [code for code, number in Counter(entries()).items() if number > 1] == []


def test_every_entry_is_whole() -> None:
    """What it means, and what to do; its anchor is its name."""
    assert len(rows()) == len(entries())
    assert [anchor for anchor, code in _ROW.findall(PAGE.read_text()) if anchor != code] == []
    assert [row[0] for row in rows() if len(row) != COLUMNS or not all(row)] == []


def test_every_link_leads_somewhere() -> None:
    """To a page, and to a heading or a row of it."""
    dead = []
    for page, anchor in _LINK.findall(PAGE.read_text()):
        text = (PAGE.parent / page).read_text()
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}
        if anchor and anchor not in anchors and f'<a id="{anchor}">' not in text:
            dead.append(f"{page}#{anchor}")
    assert dead == []


@pytest.mark.parametrize("shown", sorted({text for text in _SHOWN.findall(PAGE.read_text()) if "gateway " in text}))
def test_every_command_there_is_exists(shown: str) -> None:
    """Nobody has time for a command that is not there."""
    found = _COMMAND.search(shown)
    if found is None:
        return
    command: click.Command = gateway
    for word in found[1].split():
        if not isinstance(command, click.Group):
            break
        inner = command.get_command(click.Context(command), word)
        assert inner is not None, word
        command = inner
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"(?<= )--?[a-zA-Z][a-z-]*", shown)) - known == set()
