"""The database itself refuses rows that must not be: every CHECK and unique index, on both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CheckConstraint

from maquette.db.engine import Database
from maquette.db.tables import (
    ApiKey,
    Base,
    Budget,
    Cap,
    CapAlert,
    ChatMessage,
    ChatSession,
    CreditPurchase,
    CreditReversal,
    CreditTransfer,
    Export,
    IdempotencyKey,
    Installation,
    Instruction,
    Membership,
    Upload,
    User,
    VoiceRequest,
    Worker,
)
from tests.db.rows import NOW, add_one_of_each, attempt, candidate, hold, job, project, run, step

Rows = Callable[[], Sequence[Base]]


def budget(held: int = 0, settled: int = 0) -> Budget:
    return Budget(cap_key="day", period="2026-03-01", held_nano=held, settled_nano=settled)


def alert(percent: int = 50) -> CapAlert:
    facts = {"limit_nano": 1, "used_nano": 1, "at": NOW}
    return CapAlert(cap_key="day", period="2026-03-01", percent=percent, **facts)


def user(name: str = "ann", **values: Any) -> User:
    return User(**{"id": name, "name": name, "role": "creator", "created_at": NOW, **values})


def key(name: str) -> ApiKey:
    return ApiKey(
        id=name, user_id="ann", name=name, prefix="mq_", hash="h", scopes=[], created_at=NOW
    )


def transfer(**values: Any) -> CreditTransfer:
    right: dict[str, Any] = {
        "reference": "grant:1",
        "kind": "grant",
        "from_account": "adjustments",
        "to_account": "user:ann",
        "amount_nano": 1,
        "created_at": NOW,
    }
    return CreditTransfer(**{**right, **values})


def purchase(name: str = "x", **values: Any) -> CreditPurchase:
    right: dict[str, Any] = {
        "id": name,
        "user_id": "ann",
        "pack": "small",
        "price_minor": 500,
        "currency": "usd",
        "credits_nano": 5,
        "state": "open",
        "withdrawn_nano": 0,
        "created_at": NOW,
    }
    return CreditPurchase(**{**right, **values})


def reversal(minor: int) -> CreditReversal:
    return CreditReversal(id="ch", minor=minor, currency="usd", final=False, told_at=NOW)


def voice(**values: Any) -> VoiceRequest:
    right: dict[str, Any] = {
        "id": "v",
        "project_id": "p",
        "kind": "stt",
        "state": "running",
        "data": {},
    }
    return VoiceRequest(**{**right, "created_at": NOW, **values})


CHECKS: dict[str, list[Rows]] = {
    "ck_credit_transfers_amount_positive": [
        lambda: [transfer(amount_nano=0)],
        lambda: [transfer(amount_nano=-1)],
    ],
    "ck_credit_transfers_accounts_differ": [lambda: [transfer(from_account="user:ann")]],
    "ck_credit_transfers_kind_known": [lambda: [transfer(kind="gift")]],
    "ck_credit_purchases_worth_something": [
        lambda: [user(), purchase(price_minor=0)],
        lambda: [user(), purchase(credits_nano=0)],
    ],
    "ck_credit_purchases_withdrawn_within": [
        lambda: [user(), purchase(state="paid", withdrawn_nano=6)],
        lambda: [user(), purchase(state="paid", withdrawn_nano=-1)],
    ],
    "ck_credit_purchases_only_paid_withdrawn": [lambda: [user(), purchase(withdrawn_nano=1)]],
    "ck_credit_purchases_state_known": [lambda: [user(), purchase(state="flying")]],
    "ck_credit_reversals_minor_positive": [lambda: [reversal(-1)]],
    "ck_installation_one_row": [lambda: [Installation(id=2)]],
    "ck_runs_state_known": [lambda: [run("r2", state="flying")]],
    "ck_runs_kind_known": [lambda: [run("r2", kind="sounds")]],
    "ck_run_jobs_state_known": [lambda: [job("j2", position=1, state="flying")]],
    "ck_steps_state_known": [lambda: [step(state="half", result=None)]],
    "ck_steps_done_has_result": [
        lambda: [step(state="done", result=None)],
        lambda: [step(state="running", result={})],
    ],
    "ck_steps_starts_counted": [lambda: [step(starts=0)]],
    "ck_run_job_candidates_state_known": [lambda: [candidate(state="fine")]],
    "ck_attempts_state_known": [lambda: [attempt(state="flying")]],
    "ck_attempts_money_positive": [
        lambda: [attempt(reserved_nano=-1)],
        lambda: [attempt(state="settled", settled_nano=-1)],
    ],
    "ck_attempts_only_settled_costs": [
        lambda: [attempt(state="sent", settled_nano=1)],
        lambda: [attempt(state="released", settled_nano=1)],
        lambda: [attempt(state="unknown", settled_nano=1)],
    ],
    "ck_cap_alerts_percent_known": [lambda: [alert(60)]],
    "ck_caps_limit_positive": [lambda: [Cap(key="day", limit_nano=-1)]],
    "ck_budgets_counts_positive": [lambda: [budget(held=-1)], lambda: [budget(settled=-1)]],
    "ck_run_jobs_priority_known": [lambda: [job("j2", position=1, priority=101)]],
    "ck_users_role_known": [lambda: [user(role="king")]],
    "ck_memberships_role_known": [
        lambda: [user(), Membership(project_id="p", user_id="ann", role="king", created_at=NOW)]
    ],
    "ck_uploads_offset_within": [
        lambda: [
            user(),
            Upload(
                id="u",
                user_id="ann",
                project_id="p",
                size_bytes=1,
                offset_bytes=2,
                told={},
                created_at=NOW,
                expires_at=NOW,
            ),
        ]
    ],
    "ck_agent_instructions_state_known": [
        lambda: [
            Instruction(
                id="i",
                project_id="p",
                kind="qa",
                state="flying",
                payload={},
                dispatch=False,
                created_at=NOW,
            )
        ]
    ],
    "ck_chat_messages_role_known": [
        lambda: [
            ChatSession(id="s", project_id="p", title="", created_at=NOW),
            ChatMessage(session_id="s", role="king", content="", data={}, created_at=NOW),
        ]
    ],
    "ck_voice_requests_kind_known": [lambda: [voice(kind="xyz")]],
    "ck_voice_requests_state_known": [lambda: [voice(state="flying")]],
    "ck_project_exports_state_known": [
        lambda: [Export(id="e", project_id="p", state="flying", path="x", created_at=NOW)]
    ],
    "ck_idempotency_keys_state_known": [
        lambda: [
            IdempotencyKey(
                caller="c",
                key="k",
                route="r",
                body_hash="b",
                state="flying",
                created_at=NOW,
                expires_at=NOW,
            )
        ]
    ],
    "ck_workers_state_known": [
        lambda: [Worker(id="w", name="w", state="flying", started_at=NOW, beat_at=NOW)]
    ],
    "ck_holds_remaining_positive": [lambda: [hold(remaining_nano=-1)]],
    "ck_holds_closed_is_empty": [lambda: [hold(is_open=False, remaining_nano=1)]],
}

UNIQUE: dict[str, Rows] = {
    "uq_projects_slug": lambda: [project("p2", slug="p")],
    "uq_run_jobs_run_id_scene": lambda: [job("j2", scene="j", position=1)],
    "uq_run_jobs_run_id_position": lambda: [job("j2", position=0)],
    "uq_steps_job_id_name": lambda: [step(), step()],
    "uq_run_job_candidates_job_id_position": lambda: [candidate(), candidate()],
    "uq_run_job_candidates_selected": lambda: [
        candidate(position=0, selected=True),
        candidate(position=1, selected=True),
    ],
    "uq_attempts_job_id_call_number": lambda: [
        attempt(state="released"),
        attempt(state="released"),
    ],
    "uq_attempts_standing": lambda: [attempt(number=1, state="sent"), attempt(number=2)],
    "uq_cap_alerts_standing": lambda: [alert(), alert()],
    "uq_budgets_cap_key_period": lambda: [budget(), budget()],
    "uq_users_name": lambda: [user(), User(id="bob", name="ann", role="viewer", created_at=NOW)],
    "uq_credit_transfers_reference": lambda: [transfer(), transfer()],
    "uq_credit_purchases_session_id": lambda: [
        user(),
        purchase(session_id="s"),
        purchase("y", session_id="s"),
    ],
    "uq_credit_purchases_payment_intent": lambda: [
        user(),
        purchase(payment_intent="s"),
        purchase("y", payment_intent="s"),
    ],
    "uq_api_keys_hash": lambda: [user(), key("one"), key("two")],
}

ALLOWED: dict[str, Rows] = {
    "two losers": lambda: [candidate(position=0), candidate(position=1)],
    "one winner among losers": lambda: [
        candidate(position=0, selected=True),
        candidate(position=1),
    ],
    "a new attempt after failed ones": lambda: [
        attempt(number=1, state="released"),
        attempt(number=2, state="lost"),
        attempt(number=3, state="written_off", settled_nano=5),
        attempt(number=4, state="reserved"),
    ],
    "a step that is done": lambda: [step(state="done", result={})],
    "a closed, empty hold": lambda: [hold(is_open=False)],
    "the same scene in another run": lambda: [run("r2"), job("j2", run_id="r2", scene="j")],
}


async def insert(db: Database, rows: Sequence[Base]) -> None:
    async with db.write() as session:
        await add_one_of_each(session)
        for row in rows:
            session.add(row)
            await session.flush()


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        pytest.param(name, rows, id=f"{name}-{number}")
        for name, cases in CHECKS.items()
        for number, rows in enumerate(cases)
    ],
)
async def test_a_check_refuses(db: Database, name: str, rows: Rows) -> None:
    with pytest.raises(IntegrityError, match=name):
        await insert(db, rows())


@pytest.mark.parametrize("name", UNIQUE)
async def test_a_unique_index_refuses(db: Database, name: str) -> None:
    """The second row of a pair is refused; SQLite names columns where Postgres names the index."""
    words = "UNIQUE constraint failed" if db.is_sqlite else name
    with pytest.raises(IntegrityError, match=words):
        await insert(db, UNIQUE[name]())


@pytest.mark.parametrize("state", ["reserved", "sent", "settled", "unknown"])
async def test_a_call_with_a_standing_attempt_gets_no_second(db: Database, state: str) -> None:
    """D2: nothing that may have been charged is sent again."""
    with pytest.raises(IntegrityError):
        await insert(db, [attempt(number=1, state=state), attempt(number=2)])


@pytest.mark.parametrize("name", ALLOWED)
async def test_what_is_right_passes(db: Database, name: str) -> None:
    await insert(db, ALLOWED[name]())


async def test_a_row_without_its_parent_is_refused(db: Database) -> None:
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        await insert(db, [job("j2", run_id="nowhere", position=1)])


def test_every_check_is_tried() -> None:
    named = {
        str(check.name)
        for table in Base.metadata.tables.values()
        for check in table.constraints
        if isinstance(check, CheckConstraint)
    }
    assert named == set(CHECKS)


def test_every_unique_index_is_tried() -> None:
    tables = Base.metadata.tables.values()
    named = {
        str(one.name)
        for table in tables
        for one in table.constraints
        if isinstance(one, UniqueConstraint)
    }
    named |= {str(one.name) for table in tables for one in table.indexes if _unique(one)}
    assert named == set(UNIQUE)


def _unique(index: Index) -> bool:
    return bool(index.unique)
