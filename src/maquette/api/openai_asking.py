"""From a request of OpenAI's clients to the job that stands for it, however often it is sent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from fastapi import Request

from maquette.api import dialectal, once
from maquette.api.door import Entry, ProjectDoor
from maquette.api.house import House
from maquette.api.openai_body import NewImages
from maquette.core.errors import BadParameter
from maquette.core.people import Needs, Scope
from maquette.core.requests import canonical
from maquette.db.idempotency import Claim
from maquette.services import asking, delivering, naming, rejoining
from maquette.services import once as keys
from maquette.services.asking import Asked, Wish
from maquette.services.rejoining import Standing
from maquette.services.starting import Spending

_RETRIES = "X-Stainless-Retry-Count"
_NAMED = ProjectDoor(Needs.PROJECT_EDITOR, Scope.SPEND, counts=False)


class Pictures(Protocol):
    """What came with a request, kept only where it is granted."""

    def shown(self, wish: Wish) -> Wish:
        """Add the pictures as they would be, to see whether the wish can be granted."""
        ...

    async def kept(self, wish: Wish) -> Wish:
        """Keep them, and add them as they are."""
        ...


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


async def standing(sent: Sent, pictures: Pictures | None = None) -> Standing:
    """Return the job that stands for a request: begun now, or before.

    From here on the client must not send it again by itself; if it does, it finds the same job.
    """
    studio, caller = sent.house.studio, sent.entry.caller
    what = f"{sent.request.url.path} {sent.entry.project.id} {sent.digest}"
    digest = hashlib.sha256(what.encode()).hexdigest()
    if sent.key is not None:
        claim = Claim(caller.key, sent.key)
        made = await once.taken(sent.request, sent.house, claim, digest)
        if made is not None:
            found = await rejoining.of_run(studio, made)
        else:
            found = await _claimed(sent, claim, pictures)
    else:
        again = _count(sent.request.headers.get(_RETRIES, "")) > 0
        ago_s = dialectal.age_s(sent.request)
        sending = rejoining.sending(studio, caller.key, digest, again=again, ago_s=ago_s)
        since = sent.house.feed.last
        found = await rejoining.standing(studio, sending)
        if found is None:
            asked = await _asked(sent, pictures)
            spending = _spending(sent, None)
            found = await rejoining.begin(
                studio, sent.entry.project, asked, spending, sending, since
            )
    dialectal.held(sent.request)
    return found


async def _claimed(sent: Sent, claim: Claim, pictures: Pictures | None) -> Standing:
    """Begin the job under the client's own key, and free that where nothing was begun."""
    studio, since = sent.house.studio, sent.house.feed.last
    try:
        asked = await _asked(sent, pictures)
        spending = _spending(sent, claim)
        return Standing(await asking.begin(studio, sent.entry.project, asked, spending), since)
    except BaseException:
        await keys.refused(studio, claim)
        raise


async def _asked(sent: Sent, pictures: Pictures | None) -> Asked:
    """Check and price what is asked; nothing is sent or paid."""
    studio, body = sent.house.studio, sent.body
    wish = body.wish()
    naming.living(studio, body.model)
    if pictures is not None:
        wish = pictures.shown(wish)
    asked = await asking.ask(studio, sent.entry.project, wish)
    if body.response_format == "url" and delivering.of_run(asked.order).document():
        raise BadParameter(
            f"At an address lie the pictures as {asked.profile.id!r} makes them; leave out "
            "'output_format' and 'output_compression', or ask for b64_json.",
            param="response_format",
        )
    if pictures is not None:
        kept = await pictures.kept(wish)
        if kept.mask != wish.mask:
            asked = await asking.ask(studio, sent.entry.project, kept)
    return asked


def _spending(sent: Sent, claim: Claim | None) -> Spending:
    """Calling is the confirmation here; caps, the kill switch and quotas hold all the same."""
    by = sent.entry.caller.user_id
    return Spending(confirmed=True, max_spend=sent.body.limit, by=by, claim=claim)


def _count(header: str) -> int:
    return int(header) if header.isdecimal() else 0
