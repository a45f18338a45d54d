"""What was spent: reports by day, person, project and model, and the calls behind them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, cast

from maquette.core import money
from maquette.core.errors import BadParameter, UserNotFound
from maquette.core.money import Usd
from maquette.core.people import Caller
from maquette.core.states import AttemptState
from maquette.db import costs, people
from maquette.db.costs import DIMENSIONS, Call, Dimension, Sight, Sum, Which
from maquette.services.studio import Studio

MOST_LINES = 50_000
"""Of one report; a program that needs more asks for a year at a time."""
_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula."""


@dataclass(frozen=True)
class Line:
    """One line of a report; what it is not grouped by is None."""

    day: str | None
    user: str | None
    project: str | None
    provider: str | None
    model: str | None
    calls: int
    estimated: Usd
    """Of the calls that were charged, to be compared with what they were charged."""
    actual: Usd
    unknown: Usd
    """Of calls that may have been charged."""


@dataclass(frozen=True)
class Spent:
    """One call and its money."""

    id: str
    run: str
    kind: str
    scene: str
    project: str
    user: str | None
    provider: str
    model: str
    state: AttemptState
    day: str
    sent_at: datetime | None
    finished_at: datetime | None
    estimated: Usd
    actual: Usd
    usage: dict[str, Any] | None
    priced_by: dict[str, Any] | None
    error_code: str | None
    error_message: str | None


def dimensions(text: str) -> tuple[Dimension, ...]:
    """Read `day,model`; name what is none."""
    names = tuple(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))
    wrong = [one for one in names if one not in DIMENSIONS]
    if wrong or not names:
        raise BadParameter(
            f"A report is by {', '.join(DIMENSIONS)} or several of them, joined by commas, not by "
            f"{', '.join(map(repr, wrong)) or 'nothing'}."
        )
    return cast("tuple[Dimension, ...]", names)


def day(text: str | None) -> str | None:
    """Read a calendar day."""
    try:
        return None if text is None else date.fromisoformat(text).isoformat()
    except ValueError:
        raise BadParameter(f"{text!r} is no day; write it as 2026-11-01.") from None


async def sight_of(studio: Studio, caller: Caller | None) -> Sight | None:
    """Say whose spending a caller may see; None: everybody's."""
    if caller is None or caller.is_admin:
        return None
    async with studio.shop.db.read() as session:
        return Sight(caller.user_id, await people.projects_of(session, caller.user_id))


async def report(
    studio: Studio,
    by: Sequence[Dimension] = DIMENSIONS,
    which: Which | None = None,
    caller: Caller | None = None,
) -> Sequence[Line]:
    """Sum up every paid call that was sent, also of deleted projects."""
    which = await _seen(studio, which or Which(), caller)
    async with studio.shop.db.read() as session:
        found = await costs.sums(session, by, which, MOST_LINES + 1)
    if len(found) > MOST_LINES:
        raise BadParameter(
            f"The report has more than {MOST_LINES} lines. Name a first and a last day, or group "
            "by less."
        )
    return [_line(one) for one in found]


async def _seen(studio: Studio, which: Which, caller: Caller | None) -> Which:
    sight = await sight_of(studio, caller)
    if which.user is not None and sight is None:  # others are not told who there is
        async with studio.shop.db.read() as session:
            if await people.by_name(session, which.user) is None:
                raise UserNotFound(
                    f"There is no person {which.user!r}. `maquette user list` shows all."
                )
    if which.model is not None and ":" not in which.model:
        raise BadParameter(f"Write the model as provider:model, not as {which.model!r}.")
    if which.first_day and which.last_day and which.first_day > which.last_day:
        raise BadParameter(
            f"The first day, {which.first_day}, comes after the last, {which.last_day}; swap them."
        )
    return replace(which, sight=sight)


def _line(one: Sum) -> Line:
    amounts = (money.from_nano(amount) for amount in (one.estimated, one.actual, one.unknown))
    return Line(one.day, one.user, one.project, one.provider, one.model, one.calls, *amounts)


async def calls(
    studio: Studio, which: Which, caller: Caller | None, limit: int, before: str | None
) -> Sequence[Spent]:
    """Return a page of single calls, the latest first."""
    which = await _seen(studio, which, caller)
    async with studio.shop.db.read() as session:
        return [spent(one) for one in await costs.calls(session, which, limit, before)]


def spent(call: Call) -> Spent:
    """Tell of one call."""
    one = call.attempt
    return Spent(
        id=one.id,
        run=call.run,
        kind=call.kind,
        scene=call.scene,
        project=call.project,
        user=call.user,
        provider=one.provider,
        model=one.model,
        state=AttemptState(one.state),
        day=one.day,
        sent_at=one.sent_at,
        finished_at=one.finished_at,
        estimated=money.from_nano(one.reserved_nano),
        actual=money.from_nano(one.settled_nano),
        usage=one.usage,
        priced_by=one.priced_by,
        error_code=one.error_code,
        error_message=one.error_message,
    )


def as_csv(by: Sequence[Dimension], lines: Iterable[Line]) -> str:
    """Write a report as RFC 4180 says, and so that no spreadsheet computes what it holds."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\r\n")
    named = [name for one in by for name in (("provider", "model") if one == "model" else (one,))]
    rows.writerow([*named, "calls", "estimated_usd", "actual_usd", "unknown_usd"])
    for one in lines:
        cells = [_harmless(getattr(one, name) or "") for name in named]
        rows.writerow([*cells, one.calls, *map(plain, (one.estimated, one.actual, one.unknown))])
    return text.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_RISKY) else cell


def plain(amount: Usd) -> str:
    """Write dollars exactly, as digits alone."""
    return f"{amount:f}"
