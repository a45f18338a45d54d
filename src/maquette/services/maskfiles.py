"""Masks of picture files, for the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

from maquette.core.masks import Adjust, Polarity
from maquette.core.storage import object_key
from maquette.db.tables import Project
from maquette.imaging.files import read_file
from maquette.jobs.maskforms import as_transparent
from maquette.jobs.maskwork import MadeMask, MaskCall, read_mask
from maquette.services import asking, library, pictures, projects, wordmask
from maquette.services.asking import Asked, Given
from maquette.services.automask import Form
from maquette.services.inputs import load
from maquette.services.maskwishes import MaskWanted
from maquette.services.studio import Studio


async def taken_in(studio: Studio, project: str, file: Path) -> tuple[Project, Given]:
    """Make a file a picture of the project, where it is none yet."""
    given = await load(studio.shop.pool, file, "picture")
    place = studio.shop.place(await projects.root_of(studio, project, None))
    found = await projects.at_root(studio, project, place)
    asset = await pictures.take_in(studio, place, found, given)
    return found, await asking.given(studio, found, asset)


async def asked(studio: Studio, project: Project, of: Given, wanted: MaskWanted) -> Asked:
    """Price a mask by words; nothing is sent or paid."""
    wish = wordmask.wish(wanted.words or "", wanted.model, wanted.way, (of,))
    return wordmask.check(await asking.ask(studio, project, wish))


async def handed_out(studio: Studio, project: Project, mask: Given, form: Form) -> bytes:
    """Return a kept mask's file."""
    storage, _ = await library.located(studio, project, mask.input.digest)
    data = await storage.read(object_key(mask.input.digest))
    return await studio.shop.pool.run(as_transparent, data) if form == "transparent" else data


async def adjusted(studio: Studio, file: Path, polarity: Polarity, adjust: Adjust) -> MadeMask:
    """Adjust a mask's file; the new one has one channel, 255 where it is to be edited."""
    given = await load(studio.shop.pool, file, "mask")
    data = await asyncio.to_thread(read_file, file)
    size = given.facts.width_px, given.facts.height_px
    return await studio.shop.pool.run(read_mask, MaskCall(data, polarity, size, adjust, str(file)))
