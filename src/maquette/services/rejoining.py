"""Clients that send a request again by themselves are shown to the job that stands for it.

OpenAI's client does so after a timeout or a failure, up to twice and without a key: each time
would be paid. Whoever sends again what they sent before joins the run of the first time, while it
is under way and for some time after; where the same was asked for several times, each its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import MaquetteError
from maquette.db import events, joining
from maquette.db.joining import Sending
from maquette.db.tables import Project
from maquette.services import asking
from maquette.services.asking import Asked
from maquette.services.starting import Note, Spending
from maquette.services.studio import Studio

KEPT = timedelta(minutes=15)
"""How long a run is known after the last try that came for it, and at least after its end."""


@dataclass(frozen=True)
class Standing:
    """The job that stands for a request, and the event after which its own begin."""

    job_id: str
    since: int


class JoinedError(Exception):
    """Another run stands for the request, so nothing was begun: no refusal, but its answer."""

    def __init__(self, standing: Standing) -> None:
        super().__init__(standing)
        self.standing = standing


class _OvertakenError(Exception):
    """A run that stands was found in the commit that would have made another."""


def sending(studio: Studio, caller: str, digest: str, *, retry: int, ago_s: float = 0.0) -> Sending:
    """Say who sends what; `retry`: how many times their client says that it sent it before.

    `ago_s` is how long ago it came in.
    """
    now = studio.shop.clock.now() - timedelta(seconds=ago_s)
    return Sending(caller, digest, retry, now, now + KEPT)


async def standing(studio: Studio, sent: Sending) -> Standing | None:
    """Join the job that a request which is sent again has begun the first time."""
    return None if sent.retry == 0 else await _joined(studio, sent)


async def _joined(studio: Studio, sent: Sending) -> Standing | None:
    async with studio.shop.db.write() as session:
        run = await joining.join(session, sent)
    return None if run is None else await of_run(studio, run)


async def of_run(studio: Studio, run: str) -> Standing:
    """Return the job of a run that was begun before; `run` as a key's note names it."""
    run_id = run.removeprefix("run:")
    async with studio.shop.db.read() as session:
        first = await events.first_id(session, run_id)
    return Standing(f"{run_id}-001", max(0, first - 1))


async def begin(
    studio: Studio,
    project: Project,
    asked: Asked,
    spending: Spending,
    sent: Sending,
    since: int,
) -> Standing:
    """Begin the run and note that it stands for the request, in one commit.

    Where another stands, join that one and raise `JoinedError`. `since` is an event from before.
    """
    spending = replace(spending, note=_noted(spending.note, sent))
    while True:
        try:
            return Standing(await asking.begin(studio, project, asked, spending), since)
        except _OvertakenError:
            found = await _joined(studio, sent)
        except MaquetteError:
            # The hold of the run that stands may be what left no room for another.
            found = await standing(studio, sent)
            if found is None:
                raise
        if found is not None:  # else another try of the same generation was quicker to join it
            raise JoinedError(found)


def _noted(note: Note | None, sent: Sending) -> Note:
    async def noted(session: AsyncSession, run_id: str) -> None:
        mine = f"run:{run_id}"
        if await joining.note(session, sent, mine) != mine:
            raise _OvertakenError
        if note is not None:
            await note(session, run_id)

    return noted
