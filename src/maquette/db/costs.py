"""What calls cost, summed up by the database: by day, person, project and model.

Pictures and words alike, those of deleted projects included. The sums read one index of the
attempts and nothing else; names are looked up for the few rows that come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.states import AttemptState
from maquette.db.tables import Attempt, Job, PastSpending, Project, Run, User

Dimension = Literal["day", "user", "project", "model"]
DIMENSIONS: tuple[Dimension, ...] = ("day", "user", "project", "model")
_CHARGED = (AttemptState.SETTLED.value, AttemptState.WRITTEN_OFF.value)


@dataclass(frozen=True)
class Sight:
    """Whose spending may be seen: one's own, and that of these projects."""

    user_id: str
    projects: frozenset[str]


@dataclass(frozen=True)
class Which:
    """Which calls count; None: all."""

    first_day: str | None = None
    last_day: str | None = None
    user: str | None = None
    """A person's name."""
    project: str | None = None
    """A slug; projects that were deleted keep theirs."""
    model: str | None = None
    """`provider:model`."""
    sight: Sight | None = None


@dataclass(frozen=True)
class Sum:
    """One line of a report, in nano-dollars; what it is not grouped by is None."""

    day: str | None
    user: str | None
    project: str | None
    provider: str | None
    model: str | None
    calls: int
    estimated: int
    """Of the calls that were charged, to be compared with what they were charged."""
    actual: int
    unknown: int
    """Of calls that may have been charged."""


async def sums(
    session: AsyncSession, by: Sequence[Dimension], which: Which, limit: int
) -> Sequence[Sum]:
    """Return the sums, the latest day first, else in the order of the names."""
    both = union_all(_named(by, which), _past(by, which)).subquery()
    keys = [both.c[name] for name in _KEYS]
    numbers = [func.sum(both.c[name]).label(name) for name in _NUMBERS]
    counted = select(*keys, *numbers).group_by(*keys).subquery()
    query = (
        select(*(counted.c[name] for name in (*_KEYS, *_NUMBERS)), User.name)
        .outerjoin(User, User.id == counted.c.user_id)
        .where(counted.c.calls > 0)
        .order_by(
            counted.c.day.desc(),
            User.name,
            counted.c.project,
            counted.c.provider,
            counted.c.model,
        )
        .limit(limit)
    )
    return [
        Sum(day, name, project, provider, model, *(int(one) for one in numbers))
        for day, _id, project, provider, model, *numbers, name in await session.execute(query)
    ]


_KEYS = ("day", "user_id", "project", "provider", "model")
_NUMBERS = ("calls", "estimated", "actual", "unknown")


def _named(by: Sequence[Dimension], which: Which) -> Select[*tuple[Any, ...]]:
    """Give the few sums of each project its slug."""
    live = _live(by, which).subquery()
    columns = [live.c[name] for name in (*_KEYS, *_NUMBERS)]
    if "project" not in by:
        return select(*columns)
    columns[_KEYS.index("project")] = Project.slug.label("project")
    return select(*columns).select_from(live).join(Project, Project.id == live.c.project)


def _live(by: Sequence[Dimension], which: Which) -> Select[*tuple[Any, ...]]:
    """Sum up the attempts; the index `ix_attempts_spent` has all that this reads."""
    charged, unknown = Attempt.state.in_(_CHARGED), Attempt.state == AttemptState.UNKNOWN.value
    keys, groups = _grouped(by, Attempt, Attempt.project_id)
    return (
        select(
            *keys,
            func.count().label("calls"),
            _total(case((charged, Attempt.reserved_nano), else_=0), "estimated"),
            _total(Attempt.settled_nano, "actual"),
            _total(case((unknown, Attempt.reserved_nano), else_=0), "unknown"),
        )
        .where(*_sent(which))
        .group_by(*groups)
    )


def _past(by: Sequence[Dimension], which: Which) -> Select[*tuple[Any, ...]]:
    keys, groups = _grouped(by, PastSpending, PastSpending.project)
    return (
        select(
            *keys,
            _total(PastSpending.calls, "calls"),
            _total(PastSpending.estimated_nano, "estimated"),
            _total(PastSpending.settled_nano, "actual"),
            literal(0).label("unknown"),
        )
        .where(*_gone(which))
        .group_by(*groups)
    )


def _grouped(
    by: Sequence[Dimension], table: type[Attempt | PastSpending], project: Any
) -> tuple[list[Any], list[Any]]:
    """Return all five keys, those that nobody asked for empty, and those that were."""
    columns: dict[str, Any] = {
        "day": table.day,
        "user_id": table.user_id,
        "project": project,
        "provider": table.provider,
        "model": table.model,
    }
    wanted: set[str] = {"user_id" if one == "user" else one for one in by}
    wanted |= {"provider"} if "model" in wanted else set()
    keys = [(columns[name] if name in wanted else null()).label(name) for name in _KEYS]
    return keys, [columns[name] for name in _KEYS if name in wanted]


def _total(amount: Any, name: str) -> Any:
    return func.coalesce(func.sum(amount), 0).label(name)


def _sent(which: Which) -> list[ColumnElement[bool]]:
    """Say which attempts count: those of paid models that really went out from here.

    Those that came in an archive or a log are in no project's books.
    """
    found = _common(Attempt, which)
    found += [Attempt.sent_at.is_not(None), Attempt.paid == true()]
    found.append(Attempt.project_id.is_not(None))
    if which.project is not None:
        named = select(Project.id).where(Project.slug == which.project)
        found.append(Attempt.project_id == named.scalar_subquery())
    if which.sight is not None:
        own = Attempt.user_id == which.sight.user_id
        found.append(own | _within(which.sight.projects))
    return found


def _within(projects: frozenset[str]) -> ColumnElement[bool]:
    return Attempt.project_id.in_(projects) if projects else false()


def _gone(which: Which) -> list[ColumnElement[bool]]:
    found = _common(PastSpending, which)
    if which.project is not None:
        found.append(PastSpending.project == which.project)
    if which.sight is not None:
        found.append(PastSpending.user_id == which.sight.user_id)
    return found


def _common(table: type[Attempt | PastSpending], which: Which) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if which.first_day is not None:
        found.append(table.day >= which.first_day)
    if which.last_day is not None:
        found.append(table.day <= which.last_day)
    if which.user is not None:
        person = select(User.id).where(User.name == which.user).scalar_subquery()
        found.append(table.user_id == person)
    if which.model is not None:
        provider, _, model = which.model.partition(":")
        found.append(and_(table.provider == provider, table.model == model))
    return found


@dataclass(frozen=True)
class Call:
    """One call with its run's project, and who paid."""

    attempt: Attempt
    run: str
    kind: str
    scene: str
    project: str
    user: str | None


async def calls(
    session: AsyncSession,
    which: Which,
    limit: int,
    before: str | None,
    *,
    states: Sequence[AttemptState] = (),
) -> Sequence[Call]:
    """Return a page of single calls, the latest first, those before the one named."""
    conditions = _sent(which)
    if states:
        conditions.append(Attempt.state.in_([one.value for one in states]))
    if before is not None:
        at = select(Attempt.sent_at).where(Attempt.id == before).scalar_subquery()
        conditions.append(tuple_(Attempt.sent_at, Attempt.id) < tuple_(at, before))
    query = (
        select(Attempt, Run.id, Run.kind, Job.scene, Project.slug, User.name)
        .join(Job, Job.id == Attempt.job_id)
        .join(Run, Run.id == Job.run_id)
        .join(Project, Project.id == Run.project_id)
        .outerjoin(User, User.id == Attempt.user_id)
        .where(*conditions)
        .order_by(Attempt.sent_at.desc(), Attempt.id.desc())
        .limit(limit)
    )
    return [Call(*row) for row in await session.execute(query)]


async def found(session: AsyncSession, attempt_id: str, *, beginning: bool) -> Sequence[Call]:
    """Return the call of that id, or those whose ids begin so: two at most."""
    named = Attempt.id.startswith(attempt_id, autoescape=True)
    query = (
        select(Attempt, Run.id, Run.kind, Job.scene, Project.slug, User.name)
        .join(Job, Job.id == Attempt.job_id)
        .join(Run, Run.id == Job.run_id)
        .join(Project, Project.id == Run.project_id)
        .outerjoin(User, User.id == Attempt.user_id)
        .where(
            or_(Attempt.id == attempt_id, named) if beginning else Attempt.id == attempt_id,
            Attempt.project_id.is_not(None),  # nobody here decides about other installations' money
        )
        .limit(2)
    )
    return [Call(*row) for row in await session.execute(query)]
