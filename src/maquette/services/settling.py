"""Rows of an archive become rows of this installation: new ids where asked, and nothing open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import Column

from maquette.core.states import AttemptState, InstructionState, JobState
from maquette.db import portable
from maquette.db.base import Moment
from maquette.db.portable import Carried, Row
from maquette.services.arrived import Arrived

_SHORTEST_ID = 16
"""A text that is shorter is never taken for an id where it stands among other words."""


@dataclass(frozen=True)
class Home:
    """Where the project arrives, and whose it becomes."""

    project_id: str
    slug: str
    root: str
    user_id: str | None
    ids: Mapping[str, str]
    """Old → new; empty: all stay as they are."""
    logs: dict[str, str] = field(default_factory=dict[str, str])
    """By run as the archive names it, the SHA-256 of its log as it was written here."""


def new_ids(arrived: Arrived, slug: str) -> dict[str, str]:
    """Name everything anew; the same archive under the same slug always gets the same names.

    So an import that was interrupted finds its own root again.
    """
    old = arrived.manifest.project.id
    space = uuid5(NAMESPACE_URL, f"maquette:{old}:{slug}")
    found = {old: str(space)}
    runs = {one: _new_run(one, space) for one in arrived.ids.get("runs", [])}
    for table, ids in arrived.ids.items():
        for one in ids:
            run = one.rpartition("-")[0]
            if table == "runs":
                found[one] = runs[one]
            elif table == "run_jobs" and run in runs:
                found[one] = runs[run] + one.removeprefix(run)
            elif table != "projects":
                found[one] = str(uuid5(space, one))
    return found


def _new_run(old: str, space: UUID) -> str:
    head, _, _ = old.rpartition("-")
    return f"{head[:31] or 'run'}-{uuid5(space, old).hex[:8]}"


def renamed(value: Any, ids: Mapping[str, str]) -> Any:
    """Replace every id in a document."""
    if isinstance(value, str):
        return ids.get(value, value) if len(value) >= _SHORTEST_ID else value
    if isinstance(value, list):
        return [renamed(one, ids) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        document = cast("dict[str, Any]", value)
        return {renamed(key, ids): renamed(one, ids) for key, one in document.items()}
    return value


def rows_for(arrived: Arrived, carried: Carried, home: Home) -> Iterator[Row]:
    """Yield a table's rows as this installation keeps them."""
    columns = list(carried.columns())
    for row in arrived.rows(carried):
        found = {one.name: _value(one, row, home) for one in columns}
        _settle(carried.name, found, str(row.get("id", "")), home)
        yield found


def _value(column: Column[Any], row: Row, home: Home) -> Any:
    if column.name not in row:
        default = cast("Any", column.default)
        return default.arg if default is not None and default.is_scalar else None
    value = row[column.name]
    if isinstance(column.type, Moment):
        return None if value is None else datetime.fromisoformat(value)
    if isinstance(value, str) and (column.primary_key or portable.target(column) is not None):
        return home.ids.get(value, value)
    return renamed(value, home.ids)


def _settle(table: str, row: Row, old_id: str, home: Home) -> None:
    """Give a row what it leaves at home, and end what nobody here will go on with."""
    if table == "projects":
        row |= {"slug": home.slug, "root": home.root, "owner_id": home.user_id}
    elif table == "runs":
        row |= {"root": home.root, "foreign": True, "creator_id": home.user_id}
        row["log_digest"] = home.logs.get(old_id, row["log_digest"])
        _cancel(row, JobState)
    elif table == "run_jobs":
        _cancel(row, JobState)
    elif table == "attempts":
        row["day"] = row["day"] or ("" if row["sent_at"] is None else f"{row['sent_at']:%F}")
        _end_attempt(row)
    elif table == "agent_instructions":
        row["user_id"] = home.user_id
        _cancel(row, InstructionState)
    elif table == "voice_requests":
        row["user_id"] = home.user_id
        row["state"] = "failed" if row["state"] == "running" else row["state"]
    elif table == "assets":
        row["creator_id"] = home.user_id
    elif table in ("chat_sessions", "project_snapshots"):
        row["user_id"] = home.user_id
    # A consent stays without a person: whoever imports it did not declare it.


def _cancel(row: Row, states: type[JobState | InstructionState]) -> None:
    if row["state"] in set(states) and not states(row["state"]).final:
        row["state"] = states("cancelled").value


def _end_attempt(row: Row) -> None:
    """Call nothing here on its way: what was sent and paid is unknown, as after a crash."""
    if row["state"] == AttemptState.RESERVED:
        row["state"] = AttemptState.RELEASED.value
    elif row["state"] == AttemptState.SENT:
        end = AttemptState.UNKNOWN if row["paid"] else AttemptState.LOST
        row["state"] = end.value
