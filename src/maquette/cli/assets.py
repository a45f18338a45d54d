"""`maquette assets`, `maquette trash …`: the library of a project's pictures."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import arguments as a
from maquette.cli.exits import Exit
from maquette.cli.screen import note, print_json, say, table
from maquette.cli.session import with_studio

if TYPE_CHECKING:
    from maquette.db.library import Line
    from maquette.services.studio import Studio

trash = typer.Typer(help="Pictures that were thrown away.", no_args_is_help=True)

Ids = Annotated[
    list[str], typer.Argument(metavar="ASSET…", help="Ids, or beginnings that only one has.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=200, help="How many.")]
Next = Annotated[
    str | None, typer.Option("--next", metavar="CURSOR", help="Those after the page before.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("assets")(list_assets)
    app.add_typer(trash, name="trash")


def list_assets(
    *,
    project: a.Project,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="source, generated, upscale …")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Has the tag; repeat for more.")
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="WORDS", help="Words of the prompt or name.")
    ] = None,
    in_trash: Annotated[
        bool, typer.Option("--trash", help="What lies in the trash instead.")
    ] = False,
    limit: Limit = 60,
    after: Next = None,
    json: a.Json = False,
) -> None:
    """List a project's pictures, newest first."""

    async def work(studio: Studio) -> Any:
        from maquette.db.library import Filters  # noqa: PLC0415 - `--help` need not wait for it
        from maquette.services import library, projects  # noqa: PLC0415 - as above

        project_id = (await projects.find(studio, project)).id
        wanted = Filters(project_id, kind=kind, tags=tuple(tag or ()), trashed=in_trash)
        return await library.page(studio, wanted, text=search, limit=limit, cursor=after)

    found = with_studio(work)
    if json:
        print_json({"items": [_document(one) for one in found.items], "next": found.next})
        return
    _print("Trash" if in_trash else "Assets", found)


@trash.command("list")
def list_trash(
    *, project: a.Project, limit: Limit = 60, after: Next = None, json: a.Json = False
) -> None:
    """List what lies in a project's trash, thrown last first."""
    list_assets(project=project, in_trash=True, limit=limit, after=after, json=json)


@trash.command("put")
def put(assets: Ids, *, project: a.Project, json: a.Json = False) -> None:
    """Hide pictures everywhere; their bytes, files and history stay."""
    from maquette.services import trash as service  # noqa: PLC0415 - as above

    _each(assets, project, service.put, "thrown away", json=json)


@trash.command("restore")
def restore(assets: Ids, *, project: a.Project, json: a.Json = False) -> None:
    """Take pictures out of the trash."""
    from maquette.services import trash as service  # noqa: PLC0415 - as above

    _each(assets, project, service.restore, "restored", json=json)


@trash.command("empty")
def empty(
    *,
    project: a.Project,
    dry_run: Annotated[
        bool, typer.Option("--dry-run/--no-dry-run", help="Only say what would be purged.")
    ] = True,
    json: a.Json = False,
) -> None:
    """Take away for good what lies in the trash; exit status 1 where something had to stay."""

    async def work(studio: Studio) -> Any:
        from maquette.services import projects  # noqa: PLC0415 - as above
        from maquette.services import trash as service  # noqa: PLC0415 - as above

        project_id = (await projects.find(studio, project)).id
        return await service.empty(studio, project_id, dry_run=dry_run)

    found = with_studio(work)
    stays = [one for one in found if one.kept_because is not None]
    if json:
        print_json({"dry_run": dry_run, "assets": found})
    else:
        if stays:
            table("Stays", ("asset", "why"), [(one.asset, one.kept_because) for one in stays])
        count = len(found) - len(stays)
        say(
            f"{count} would be purged; --no-dry-run does it."
            if dry_run
            else f"{count} purged; `maquette gc --project {project}` frees their bytes."
        )
    sys.exit(Exit.FAILED if stays else Exit.DONE)


def _each(
    assets: list[str],
    project: str,
    do: Callable[[Studio, str, str], Awaitable[None]],
    done: str,
    *,
    json: bool,
) -> None:
    """Do something to each asset; all ids are looked up before anything is done."""

    async def work(studio: Studio) -> list[str]:
        from maquette.services import library, projects  # noqa: PLC0415 - as above

        project_id = (await projects.find(studio, project)).id
        ids = [await library.whole_id(studio, project_id, one) for one in assets]
        for one in ids:
            await do(studio, project_id, one)
        return ids

    ids = with_studio(work)
    if json:
        print_json(ids)
    else:
        say(f"{len(ids)} {done}.")


def _document(one: Line) -> dict[str, Any]:
    from maquette.core import money  # noqa: PLC0415 - as above

    fields: dict[str, Any] = vars(one) | {"cost_usd": str(money.from_nano(one.cost_nano))}
    return {name: value for name, value in fields.items() if name not in _INNER}


_INNER = ("cost_nano", "words_id", "favourite")


def _print(title: str, found: Any) -> None:
    from maquette.core import money  # noqa: PLC0415 - as above

    table(
        title,
        ("asset", "kind", "name", "size", ">cost", "tags", "made"),
        [
            (
                one.id,
                one.kind,
                one.name,
                f"{one.width_px}x{one.height_px}",
                money.show(money.from_nano(one.cost_nano)),
                ", ".join(one.tags),
                f"{one.created_at:%F %H:%M}",
            )
            for one in found.items
        ],
    )
    if found.next is not None:
        note(f"there are more: --next {found.next}")
