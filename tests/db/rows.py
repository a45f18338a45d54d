"""Rows that are right, to be spoilt one value at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db.tables import Asset, Attempt, Candidate, Hold, Job, Project, Run, Step

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def project(name: str = "p", **values: Any) -> Project:
    return Project(**{"id": name, "slug": name, "name": name, "created_at": NOW, **values})


def run(name: str = "r", **values: Any) -> Run:
    right: dict[str, Any] = {
        "id": name,
        "project_id": "p",
        "state": "queued",
        "root": "/somewhere",
        "settings": {},
        "versions": {},
        "worst_case_nano": 0,
        "confirmed": True,
        "created_at": NOW,
    }
    return Run(**{**right, **values})


def job(name: str = "j", **values: Any) -> Job:
    right: dict[str, Any] = {
        "id": name,
        "run_id": "r",
        "position": 0,
        "scene": name,
        "state": "queued",
        "spec": {},
        "round": 0,
        "worst_case_nano": 0,
        "created_at": NOW,
    }
    return Job(**{**right, **values})


def attempt(**values: Any) -> Attempt:
    right: dict[str, Any] = {
        "id": uuid4().hex,
        "job_id": "j",
        "call": "generate.0",
        "number": 1,
        "state": "reserved",
        "provider": "x",
        "endpoint": "default",
        "model": "m",
        "paid": True,
        "request": {},
        "reserved_nano": 0,
        "settled_nano": 0,
        "created_at": NOW,
    }
    return Attempt(**{**right, **values})


def step(**values: Any) -> Step:
    right: dict[str, Any] = {
        "job_id": "j",
        "name": "guard",
        "state": "running",
        "starts": 1,
        "result": None,
        "started_at": NOW,
    }
    return Step(**{**right, **values})


def asset(name: str = "a", **values: Any) -> Asset:
    right: dict[str, Any] = {
        "id": name,
        "project_id": "p",
        "digest": "0" * 64,
        "kind": "candidate",
        "name": name,
        "made_by": {},
        "cost_nano": 0,
        "created_at": NOW,
    }
    return Asset(**{**right, **values})


def candidate(**values: Any) -> Candidate:
    right: dict[str, Any] = {
        "job_id": "j",
        "position": 0,
        "attempt_id": "at",
        "asset_id": "a",
        "state": "new",
        "selected": False,
    }
    return Candidate(**{**right, **values})


def hold(**values: Any) -> Hold:
    right: dict[str, Any] = {
        "job_id": "j",
        "remaining_nano": 0,
        "is_open": True,
        "day": "2026-03-01",
    }
    return Hold(**{**right, **values})


async def add_one_of_each(session: AsyncSession) -> None:
    """A project `p`, its run `r`, its job `j`, the attempt `at` and the asset `a`."""
    for row in (project(), run(), job(), attempt(id="at", call="other"), asset()):
        session.add(row)
        await session.flush()
