"""Prompts written and pictures described: by a language model, else by what is embedded."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from maquette.core import money
from maquette.core.errors import BadParameter, CapabilityMissing, FileMissing, ImageTooLarge
from maquette.core.language import Described, PictureDescriber, PromptWriter, Written
from maquette.core.money import Usd
from maquette.core.requests import Encoded
from maquette.core.scene import Scene

MOST_BYTES = 10 * 1024 * 1024
"""Of a picture to be described."""


@dataclass(frozen=True)
class Words:
    """Who writes and who describes; without a language model both are the embedded ones."""

    writer: PromptWriter
    describer: PictureDescriber
    templates: PromptWriter
    analyser: PictureDescriber


async def write(
    words: Words, idea: str | Scene, count: int, seed: int | None, *, embedded: bool
) -> Written:
    """Write prompts that differ from each other."""
    writer = words.templates if embedded else words.writer
    _check(writer.missing(), writer.estimate(idea, count))
    return await writer.write(idea, count, secrets.randbits(31) if seed is None else seed)


async def describe(words: Words, path: Path, *, embedded: bool) -> Described:
    """Describe a picture as a scene."""
    picture = await asyncio.to_thread(_read, path)
    describer = words.analyser if embedded else words.describer
    _check(describer.missing(), describer.estimate(picture))
    return await describer.describe(picture)


def _check(missing: str | None, price: Usd) -> None:
    if missing is not None:
        raise CapabilityMissing(f"{missing} Or add --embedded.")
    if price > 0:
        raise CapabilityMissing(
            f"This language model may cost up to {money.show(price)} a call, and calls of language "
            "models have no budget in this version, so nothing was sent. Configure a model that is "
            "free (MAQUETTE_LANGUAGE__FREE=true), or add --embedded."
        )


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
