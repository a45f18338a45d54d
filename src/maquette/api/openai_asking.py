"""From a request of OpenAI's clients to the job that stands for it, however often it is sent."""

from __future__ import annotations

import hashlib
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from fastapi import Request

from maquette.api import dialectal, once
from maquette.api.door import Entry, ProjectDoor
from maquette.api.house import House
from maquette.api.openai_body import NewImages
from maquette.core import numerals
from maquette.core.errors import BadParameter
from maquette.core.people import Needs, Scope
from maquette.core.requests import canonical
from maquette.db.idempotency import Claim
from maquette.services import asking, delivering, naming, placing, rejoining
from maquette.services import once as keys
from maquette.services.asking import Asked
from maquette.services.placing import Came, Nothing
from maquette.services.rejoining import JoinedError, Standing
from maquette.services.starting import Spending

_RETRIES = "X-Stainless-Retry-Count"
_NAMED = ProjectDoor(Needs.PROJECT_EDITOR, Scope.SPEND, counts=False)


@dataclass(frozen=True)
class Sent:
    """A request that was read."""

    request: Request
    house: House
    entry: Entry
    body: NewImages
    digest: str
    """Of all that is asked for, however it was wrapped."""
    key: str | None
    """The client's own, of idempotency."""


async def entered(request: Request, house: House, entry: Entry, body: NewImages) -> Entry:
    """Go into the project that the body names, through a door like the first."""
    named = body.maquette.project
    if named is None or named == entry.slug:
        return entry
    return await _NAMED(request, house, named)


def digest_of(body: NewImages) -> str:
    said = canonical(body.model_dump(mode="json", exclude_unset=True))
    return hashlib.sha256(said.encode()).hexdigest()


async def standing(sent: Sent, came: Came | None = None) -> Standing:
    """Return the job that stands for a request and what came with it: begun now, or before.

    From here on the client must not send it again by itself; if it does, it finds the same job.
    """
    what = f"{sent.request.url.path} {sent.entry.project.id} {sent.digest}"
    digest = hashlib.sha256(what.encode()).hexdigest()
    came = came or Nothing()
    if sent.key is None:
        found = await _tried(sent, came, digest)
    else:
        found = await _keyed(sent, came, digest, Claim(sent.entry.caller.key, sent.key))
    dialectal.held(sent.request)
    return found


async def _tried(sent: Sent, came: Came, digest: str) -> Standing:
    """Begin the job, or join the one that an earlier try of the same client has begun."""
    studio, project = sent.house.studio, sent.entry.project
    retry, ago_s = _count(sent.request.headers.get(_RETRIES, "")), dialectal.age_s(sent.request)
    sending = rejoining.sending(studio, sent.entry.caller.key, digest, retry=retry, ago_s=ago_s)
    since = sent.house.feed.last
    found = await rejoining.standing(studio, sending)
    if found is not None:
        return found
    spending = _spending(sent, None)
    try:
        async with _kept(sent, came, spending) as asked:
            return await rejoining.begin(studio, project, asked, spending, sending, since)
    except JoinedError as joined:
        return joined.standing


async def _keyed(sent: Sent, came: Came, digest: str, claim: Claim) -> Standing:
    """Begin the job under the client's own key once, and free that where nothing was begun."""
    studio, since = sent.house.studio, sent.house.feed.last
    made = await once.taken(sent.request, sent.house, claim, digest)
    if made is not None:
        return await rejoining.of_run(studio, made)
    spending = _spending(sent, claim)
    try:
        async with _kept(sent, came, spending) as asked:
            job_id = await asking.begin(studio, sent.entry.project, asked, spending)
            return Standing(job_id, since)
    except BaseException:
        await keys.refused(studio, claim)
        raise


def _kept(sent: Sent, came: Came, spending: Spending) -> AbstractAsyncContextManager[Asked]:
    """Check the request, and keep what came with it for the block that begins its job."""
    studio, entry, body = sent.house.studio, sent.entry, sent.body
    wish = body.wish()
    naming.living(studio, body.model)

    def check(asked: Asked) -> None:
        if body.response_format == "url" and delivering.of_run(asked.order).document():
            raise BadParameter(
                f"At an address lie the pictures as {asked.profile.id!r} makes them; leave out "
                "'output_format' and 'output_compression', or ask for b64_json.",
                param="response_format",
            )

    return placing.kept(studio, entry.project, entry.caller, wish, came, spending, check=check)


def _spending(sent: Sent, claim: Claim | None) -> Spending:
    """Calling is the confirmation here; caps, the kill switch and quotas hold all the same."""
    by = sent.entry.caller.user_id
    return Spending(confirmed=True, max_spend=sent.body.limit, by=by, claim=claim)


def _count(header: str) -> int:
    """Return how many times the client sent the request before; it counts to two by itself."""
    count = numerals.whole(header)
    if count is None and numerals.is_whole(header):
        raise BadParameter(f"{_RETRIES} is no number of tries; leave it out.")
    return count or 0
