"""Prompts from ideas, scenes from pictures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from maquette.cli import arguments as a
from maquette.cli.screen import note, print_json, say
from maquette.cli.session import with_studio
from maquette.cli.watching import spending_of

if TYPE_CHECKING:
    from maquette.core.language import Words
    from maquette.services.starting import Spending
    from maquette.services.studio import Studio
    from maquette.services.words import Account

T = TypeVar("T")

Embedded = Annotated[
    bool, typer.Option("--embedded", help="Ask no language model, even where one is configured.")
]

InProject = Annotated[
    str | None,
    typer.Option("--project", metavar="NAME", help="Whose keys and money; needed where it costs."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("prompts")(prompts)
    app.command("describe")(describe)


def prompts(  # noqa: PLR0913 - a command has the flags it has
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
    project: InProject = None,
    confirm_spend: a.ConfirmSpend = False,
    max_spend: a.MaxSpend = None,
    json: a.Json = False,
) -> None:
    """Write prompts from an idea or a scene; each different."""
    from maquette.core.errors import BadParameter  # noqa: PLC0415 - `--help` need not wait for it
    from maquette.services import words  # noqa: PLC0415 - as above

    if (idea is None) == (scene is None):
        raise BadParameter("Give either an idea in a few words, or --scene FILE.json.")
    given = words.read_scene(scene) if scene is not None else idea or ""
    written = _with_words(
        project,
        spending_of(max_spend, confirmed=confirm_spend),
        lambda by, account: words.write(by, given, count, seed, embedded=embedded, account=account),
    )
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
    project: InProject = None,
    confirm_spend: a.ConfirmSpend = False,
    max_spend: a.MaxSpend = None,
) -> None:
    """Describe a picture as a scene, in JSON: what `prompts --scene` takes."""
    from maquette.services import words  # noqa: PLC0415 - as above

    found = _with_words(
        project,
        spending_of(max_spend, confirmed=confirm_spend),
        lambda by, account: words.describe(by, picture, embedded=embedded, account=account),
    )
    print_json(found.scene.model_dump(mode="json", exclude_defaults=True))
    by = "measured, not recognised: no model was asked" if found.embedded else found.source
    sure = "" if found.confidence is None else f" (confidence {found.confidence:.2f})"
    note(f"{by}{sure}.")


def _with_words(
    slug: str | None,
    spending: Spending,
    work: Callable[[Words, Account | None], Awaitable[T]],
) -> T:
    """Open who writes and describes, with a project's keys and money where one is named."""
    import asyncio  # noqa: PLC0415 - as above

    from maquette import bootstrap, settings  # noqa: PLC0415 - as above

    async def session() -> T:
        async with bootstrap.open_words(settings.load()) as words:
            return await work(words, None)

    async def in_project(studio: Studio) -> T:
        from maquette.services import projects, words  # noqa: PLC0415 - as above

        project = await projects.find(studio, slug or "")
        account = words.Account(studio, project, spending)
        return await work(await words.of_project(studio, project.id), account)

    return asyncio.run(session()) if slug is None else with_studio(in_project)
