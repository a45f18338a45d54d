"""Requests that bring pictures: checked and priced as they came, kept, and begun as one job.

Nothing is kept of a request that is refused, neither of one that could be told beforehand nor of
one that a cap refuses at the last moment.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from maquette.core.errors import BadParameter, MaquetteError
from maquette.core.masks import Adjust, Polarity
from maquette.core.people import Caller
from maquette.core.requests import digest_of
from maquette.db import assets
from maquette.db.tables import Project
from maquette.jobs.maskwork import MadeMask, MaskCall, read_mask
from maquette.services import asking, library, masks, rejoining, starting, trash
from maquette.services.asking import Asked, Given, Wish
from maquette.services.starting import Spending
from maquette.services.studio import Studio
from maquette.services.uploading import Uploaded, Wishes


class Came(Protocol):
    """What came with a request: `api.picture_form.Form`, or `Nothing`."""

    @property
    def mask(self) -> bytes | Given | None:
        """As it was sent, or an asset that was named."""
        ...

    @property
    def pictures(self) -> tuple[Given, ...]:
        """The pictures in their order; those that were sent are no assets yet."""
        ...

    @property
    def sent(self) -> Sequence[Uploaded]:
        """Those that `keep` makes assets."""
        ...

    async def keep(self, wishes: Wishes) -> None:
        """Make assets of the pictures that were sent, under the ids that `pictures` tells."""
        ...


class Nothing:
    """A request of words alone."""

    mask: bytes | Given | None = None
    pictures: tuple[Given, ...] = ()
    sent: Sequence[Uploaded] = ()

    async def keep(self, wishes: Wishes) -> None:
        """Keep nothing."""


@dataclass(frozen=True)
class MaskWords:
    """What is said of the mask that comes with a request."""

    polarity: Polarity = "transparent"
    adjust: Adjust = field(default_factory=Adjust)


AS_OPENAI_SAYS = MaskWords()


@dataclass(frozen=True)
class Placed:
    """A job that was begun, and what it was begun with."""

    job_id: str
    asked: Asked


@dataclass(frozen=True)
class _NewMask:
    """A mask as the inside has it, which is kept when its request is begun."""

    made: MadeMask
    of: str | None = None
    """The asset of the mask that it was made of."""

    @property
    def future(self) -> Given:
        """Stand in for what it will be."""
        return Given.model(
            "",
            "mask",
            digest=digest_of(self.made.data),
            name="mask",
            media_type=self.made.facts.media_type,
            width_px=self.made.facts.width_px,
            height_px=self.made.facts.height_px,
            size_bytes=len(self.made.data),
        )


async def look(
    studio: Studio,
    project: Project,
    caller: Caller,
    wish: Wish,
    came: Came,
    words: MaskWords = AS_OPENAI_SAYS,
) -> Asked:
    """Check and price a request with what came for it; nothing is written, sent or paid."""
    return (await _looked_at(studio, project, caller, wish, came, words))[0]


async def place(
    studio: Studio,
    project: Project,
    caller: Caller,
    wish: Wish,
    came: Came,
    spending: Spending,
    words: MaskWords = AS_OPENAI_SAYS,
) -> Placed:
    """Check a request, keep what came with it, and begin its job."""
    async with kept(studio, project, caller, wish, came, spending, words) as asked:
        return Placed(await asking.begin(studio, project, asked, spending), asked)


@asynccontextmanager
async def kept(
    studio: Studio,
    project: Project,
    caller: Caller,
    wish: Wish,
    came: Came,
    spending: Spending,
    words: MaskWords = AS_OPENAI_SAYS,
    check: Callable[[Asked], None] | None = None,
) -> AsyncGenerator[Asked]:
    """Check a request and keep what came with it, for the block that begins its job.

    `check` may refuse it before anything is kept. An error of the block takes back what was kept,
    as does `rejoining.JoinedError`: the job that stands has what it was begun with.
    """
    asked, new = await _looked_at(studio, project, caller, wish, came, words)
    if check is not None:
        check(asked)
    starting.check_spending(asked.worst_case, spending)
    await asking.check_ready(studio, project, asked)
    await came.keep(Wishes(forget=not wish.store))
    made = [one.id for one in came.sent]
    try:
        if new is not None:
            mask = await _kept_mask(studio, project, caller, wish, came, words, new)
            made.append(mask.asset)
            seed = asked.spec.asked.seed
            wish = replace(wish, seed=seed, pictures=came.pictures, mask=mask)
            asked = await asking.ask(studio, project, wish)
        yield asked
    except (MaquetteError, rejoining.JoinedError):
        await _take_back(studio, project, made)
        raise


async def _looked_at(
    studio: Studio, project: Project, caller: Caller, wish: Wish, came: Came, words: MaskWords
) -> tuple[Asked, _NewMask | None]:
    """Return what would be asked for, and the mask that has to be kept for it."""
    mask, new = None, None
    if came.mask is not None:
        if not came.pictures:
            raise BadParameter("A mask needs the picture that it belongs to; send that as well.")
        mask = new = await _read(studio, project, came.mask, came.pictures[0], words)
    if isinstance(new, _NewMask):
        mask = new.future
    wish = replace(wish, pictures=came.pictures, mask=mask)
    asked = await asking.ask(studio, project, wish, caller.user_id)
    return asked, new if isinstance(new, _NewMask) else None


async def _read(
    studio: Studio, project: Project, given: bytes | Given, first: Given, words: MaskWords
) -> _NewMask | Given:
    """Read a mask as it is marked; one that was kept as a mask already is taken as it is."""
    data, polarity, kept = given, words.polarity, None
    if isinstance(data, Given):
        async with studio.shop.db.read() as session:
            asset, _ = await assets.get(session, data.asset)
        if asset.kind == masks.KIND:
            if words.adjust.neutral:
                return data
            polarity, kept = "white", asset.id
        storage, stored = await library.located(studio, project, asset.digest)
        data = await storage.read(stored.key)
    size = (first.input.width_px, first.input.height_px)
    call = MaskCall(data, polarity, size, words.adjust, "mask")
    return _NewMask(await studio.shop.pool.run(read_mask, call), kept)


async def _kept_mask(
    studio: Studio,
    project: Project,
    caller: Caller,
    wish: Wish,
    came: Came,
    words: MaskWords,
    new: _NewMask,
) -> Given:
    how: dict[str, object] = {"uploaded": new.of is None, "polarity": words.polarity}
    if not words.adjust.neutral:
        how["adjusted"] = words.adjust.model_dump(exclude_defaults=True)
    return await masks.store(
        studio,
        project,
        caller.user_id,
        new.made,
        came.pictures[0],
        made_by=how,
        parents=[] if new.of is None else [(new.of, "mask")],
        forget=not wish.store,
    )


async def _take_back(studio: Studio, project: Project, made: Sequence[str]) -> None:
    """Let nothing stay of a request that was refused after its pictures were kept."""
    for asset_id in reversed(made):
        with suppress(MaquetteError):
            await trash.put(studio, project.id, asset_id)
            await trash.purge(studio, project.id, asset_id)
