"""What a record becomes before it leaves, and which settings are refused before anything is connected."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from gateway import AuditRecord, ConfigProblem, Outcome, Secret
from gateway_postgres_audit.rows import COLUMNS, MAX_KEY, arguments
from gateway_postgres_audit.settings import usable_dsn

README = Path(__file__).parents[1] / "README.md"
DSN = Secret("postgresql://u:hunter2@db.example:5432/audit?sslmode=require")


def record(**fields: Any) -> AuditRecord:
    """A record of a published event."""
    known = {"id": "g/S/t/1/r", "time": datetime.now(UTC), "gateway": "g", "instance": "i", "route": "r"}
    return AuditRecord(**{**known, "outcome": Outcome.PUBLISHED, **fields})


def row(**fields: Any) -> dict[str, Any]:
    """The same as a row."""
    return dict(zip(COLUMNS, (column[0] for column in arguments([record(**fields)])), strict=True))


def test_every_field_of_a_record_has_its_column() -> None:
    """Whoever adds one to the gateway is told here. `sampled` says nothing of the event."""
    assert {*AuditRecord.__struct_fields__} - {"sampled"} == {*COLUMNS}


def test_the_readme_names_every_column_and_every_field_of_a_copy() -> None:
    """Nobody can ask for what nobody says is there."""
    told = re.search(r"`gateway_audit` has a column(.*?)\n\n", README.read_text(), re.DOTALL)
    assert told
    copy = get_args(get_type_hints(AuditRecord)["targets"])[0]
    assert {*COLUMNS, *copy.__struct_fields__} <= set(re.findall(r"[a-z_]+", told[1]))


@pytest.mark.parametrize(
    ("given", "kept"), [("a\0b", "a\ufffdb"), ("a\ud800b", "a?b"), ("\U0001f600\u00e9", "\U0001f600\u00e9"), ("", "")]
)
def test_texts_are_such_as_postgresql_stores(given: str, kept: str) -> None:
    """One text it refuses would hold the whole batch, and with it the route, for ever."""
    made = row(event_id=given, event_type=given, subject=given, reason=given, plugins={given: given})
    assert {made[name] for name in ("event_id", "event_type", "subject", "reason")} == {kept}
    assert json.loads(made["plugins"]) == {kept: kept}


def test_ids_are_cut_to_what_an_index_takes() -> None:
    made = row(event_id="\U0001f600" * 5000, correlation_id="x" * 5000)
    assert made["event_id"] == "\U0001f600" * MAX_KEY
    assert made["correlation_id"] == "x" * MAX_KEY
    assert MAX_KEY * 4 < 2700


def test_a_route_s_own_dsn_counts_before_the_setting() -> None:
    assert usable_dsn(None, DSN) == DSN.reveal()
    assert usable_dsn(Secret("postgres:///own"), DSN) == "postgres:///own"
    assert usable_dsn(Secret("postgresql://u@one:5432,two:5433/db?target_session_attrs=read-write"), None)


@pytest.mark.parametrize("dsn", [None, "mysql://u:hunter2@h/d", "hunter2", "postgresql://u:p@h:hunter2/d", ""])
def test_a_dsn_that_is_none_is_refused_without_being_shown(dsn: str | None) -> None:
    with pytest.raises(ConfigProblem) as caught:
        usable_dsn(None if dsn is None else Secret(dsn), None)
    assert "hunter2" not in f"{caught.value!r} {caught.value}"
