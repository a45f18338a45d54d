"""Prompts written and pictures described: by a language model, else by what is embedded."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from maquette.core.errors import BadParameter, CapabilityMissing, FileMissing, ImageTooLarge
from maquette.core.language import EMBEDDED, Described, Words, Written
from maquette.core.money import Usd
from maquette.core.requests import Encoded
from maquette.core.scene import Scene
from maquette.db.tables import Project
from maquette.services import metering
from maquette.services.metering import Bill
from maquette.services.starting import Spending
from maquette.services.studio import Studio, T

MOST_BYTES = 10 * 1024 * 1024
"""Of a picture to be described."""


@dataclass(frozen=True)
class Account:
    """Where calls that cost are counted, and what they may cost."""

    studio: Studio
    project: Project | None
    spending: Spending


async def of_project(studio: Studio, project_id: str) -> Words:
    """Return who writes, describes and chats for a project."""
    return studio.words((await studio.keys_of(project_id)).get)


async def write(
    words: Words,
    idea: str | Scene,
    count: int,
    seed: int | None,
    *,
    embedded: bool,
    account: Account | None = None,
) -> Written:
    """Write prompts that differ from each other."""
    writer = words.templates if embedded else words.writer
    _check(writer.missing())
    estimate = writer.estimate(idea, count)
    chosen = secrets.randbits(31) if seed is None else seed

    async def send() -> tuple[Written, Bill]:
        written = await writer.write(idea, count, chosen)
        return written, Bill.of(written.spent)

    return await _counted(account, _call("prompts", words, estimate), send)


async def describe(
    words: Words, path: Path, *, embedded: bool, account: Account | None = None
) -> Described:
    """Describe a picture's file as a scene."""
    picture = await asyncio.to_thread(_read, path)
    return await describe_picture(words, picture, embedded=embedded, account=account)


async def describe_picture(
    words: Words, picture: Encoded, *, embedded: bool, account: Account | None = None
) -> Described:
    """Describe a picture as a scene."""
    describer = words.analyser if embedded else words.describer
    _check(describer.missing())

    async def send() -> tuple[Described, Bill]:
        found = await describer.describe(picture)
        return found, Bill.of(found.spent)

    call = _call("describe", words, describer.estimate(picture))
    return await _counted(account, call, send)


def _call(what: str, words: Words, estimate: Usd) -> metering.Priced:
    if words.model is None:
        return metering.Priced(what, "language", EMBEDDED, estimate)
    return metering.Priced(what, "language", words.model.id, estimate, words.model.priced_by())


async def _counted(account: Account | None, call: metering.Priced, send: metering.Send[T]) -> T:
    if account is not None:
        return await metering.metered(account.studio, account.project, call, account.spending, send)
    metering.check_free(call)
    return (await send())[0]


def _check(missing: str | None) -> None:
    if missing is not None:
        raise CapabilityMissing(f"{missing} Or add --embedded.")


def _read(path: Path) -> Encoded:
    if not path.is_file():
        raise FileMissing(f"There is no picture {str(path)!r}; check the path.")
    if path.stat().st_size > MOST_BYTES:
        raise ImageTooLarge(
            f"{str(path)!r} has more than {MOST_BYTES // 1024**2} MiB; give a smaller copy."
        )
    return Encoded(path.read_bytes(), "application/octet-stream")


def read_scene(path: Path) -> Scene:
    """Read a scene from a JSON file."""
    if not path.is_file():
        raise FileMissing(f"There is no scene file {str(path)!r}; check the path.")
    try:
        document: object = json.loads(path.read_text(encoding="utf-8"))
        return Scene.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise BadParameter(
            f"The scene {str(path)!r} is wrong at {place}: {first['msg']}."
        ) from None
    except ValueError as error:
        raise BadParameter(f"The scene {str(path)!r} is not JSON: {error}.") from None
