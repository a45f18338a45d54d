"""Instructions' rows, on both databases."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from maquette.core.errors import BadParameter, InstructionNotFound, WrongState
from maquette.core.states import InstructionState as State
from maquette.db import instructions
from maquette.db.engine import Database
from maquette.db.tables import Instruction
from tests.db import rows


def _row(name: str, **values: Any) -> Instruction:
    right: dict[str, Any] = {
        "id": name,
        "project_id": "p",
        "kind": "qa",
        "state": "queued",
        "payload": {},
        "dispatch": False,
        "created_at": rows.NOW,
    }
    return Instruction(**{**right, **values})


async def _add(db: Database, *found: Instruction) -> None:
    async with db.write() as session:
        session.add(rows.project())
        await session.flush()
        for one in found:
            await instructions.add(session, one, rows.NOW)


async def test_only_one_of_two_changes_wins(db: Database) -> None:
    await _add(db, _row("i"))

    async def move(to: State) -> bool:
        try:
            async with db.write() as session:
                await instructions.change(session, "i", "x", (State.QUEUED,), to, rows.NOW)
        except WrongState:
            return False
        return True

    won = await asyncio.gather(*(move(to) for to in (State.RUNNING, State.CANCELLED) * 4))
    assert won.count(True) == 1
    async with db.read() as session:
        history = await instructions.history(session, "i", after=0, limit=100)
        row = await instructions.by_id(session, "i")
    assert [one.kind for one in history] == ["created", "x"]
    assert history[-1].state == row.state


async def test_to_do_is_what_waits_or_was_left_running_but_not_with_an_agent(db: Database) -> None:
    found = (
        _row("a", state="running"),
        _row("b"),
        _row("c", dispatch=True, state="running"),
        _row("d", dispatch=True, state="running", result={"status": 202}),
        _row("e", state="draft"),
        _row("f", state="succeeded"),
    )
    await _add(db, *found)
    async with db.read() as session:
        assert await instructions.to_do(session, 10) == ["a", "b", "c"]
        assert await instructions.to_do(session, 10, {"a"}) == ["b", "c"]
        assert await instructions.to_do(session, 1) == ["a"]


async def test_pages_go_on_where_the_last_one_ended(db: Database) -> None:
    await _add(db, *(_row(name) for name in "abcde"))
    async with db.read() as session:
        first = await instructions.listing(session, "p", state=None, limit=3, before=None)
        rest = await instructions.listing(session, "p", state=None, limit=3, before=first[-1].id)
        assert [one.id for one in (*first, *rest)] == list("edcba")
        with pytest.raises(BadParameter):
            await instructions.listing(session, "p", state=None, limit=3, before="z")
        with pytest.raises(InstructionNotFound):
            await instructions.by_id(session, "a", "q")
