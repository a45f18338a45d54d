"""Prompts from ideas, scenes from pictures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from maquette.cli import arguments as a
from maquette.cli.screen import note, print_json, say

if TYPE_CHECKING:
    from maquette.services.words import Words

T = TypeVar("T")

Embedded = Annotated[
    bool, typer.Option("--embedded", help="Ask no language model, even where one is configured.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("prompts")(prompts)
    app.command("describe")(describe)


def prompts(
    idea: Annotated[str | None, typer.Argument(metavar="[IDEA]", help="A few words.")] = None,
    *,
    scene: Annotated[
        Path | None, typer.Option("--scene", metavar="FILE.json", help="A scene instead.")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=100, help="How many.")] = 3,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="The same seed, the same prompts.")
    ] = None,
    embedded: Embedded = False,
    json: a.Json = False,
) -> None:
    """Write prompts from an idea or a scene; each different."""
    from maquette.core.errors import BadParameter  # noqa: PLC0415 - `--help` need not wait for it
    from maquette.services import words  # noqa: PLC0415 - as above

    if (idea is None) == (scene is None):
        raise BadParameter("Give either an idea in a few words, or --scene FILE.json.")
    given = words.read_scene(scene) if scene is not None else idea or ""
    written = _with_words(lambda by: words.write(by, given, count, seed, embedded=embedded))
    if json:
        print_json(written)
        return
    for one in written.prompts:
        say(one.prompt)
        if one.negative_prompt:
            say(f"  without: {one.negative_prompt}")
    if written.note:
        note(written.note)
    note(f"written by {'templates, not a model' if written.embedded else written.source}.")


def describe(
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="PNG, JPEG, WebP …")],
    *,
    embedded: Embedded = False,
) -> None:
    """Describe a picture as a scene, in JSON: what `prompts --scene` takes."""
    from maquette.services import words  # noqa: PLC0415 - as above

    found = _with_words(lambda by: words.describe(by, picture, embedded=embedded))
    print_json(found.scene.model_dump(mode="json", exclude_defaults=True))
    by = "measured, not recognised: no model was asked" if found.embedded else found.source
    sure = "" if found.confidence is None else f" (confidence {found.confidence:.2f})"
    note(f"{by}{sure}.")


def _with_words(work: Callable[[Words], Awaitable[T]]) -> T:
    """Open who writes and describes, do the work, close it."""
    import asyncio  # noqa: PLC0415 - as above

    from maquette import bootstrap, settings  # noqa: PLC0415 - as above

    async def session() -> T:
        async with bootstrap.open_words(settings.load()) as words:
            return await work(words)

    return asyncio.run(session())
