"""`maquette project export|import|snapshot|delete`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import arguments as a
from maquette.cli.screen import note, print_json, say, table
from maquette.cli.session import with_studio

if TYPE_CHECKING:
    from maquette.services.studio import Studio

snapshot = typer.Typer(help="Rows of a project as they once were.", no_args_is_help=True)

Slug = Annotated[str, typer.Argument(metavar="NAME", help="The project's name.")]
Wanted = Annotated[
    str, typer.Argument(metavar="SNAPSHOT", help="Its name, its id, or the beginning of that.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `maquette project`."""
    app.command("export")(export)
    app.command("import")(import_)
    app.command("delete")(delete)
    snapshot.command("create")(create)
    snapshot.command("list")(list_snapshots)
    snapshot.command("show")(show)
    snapshot.command("restore")(restore)
    snapshot.command("delete")(forget)
    app.add_typer(snapshot, name="snapshot")


def export(
    slug: Slug,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Where to write it, replacing what is there; default: MAQUETTE_HOME/exports.",
        ),
    ] = None,
    all_files: Annotated[
        bool,
        typer.Option("--all-files", help="Also the files of the root that Maquette did not make."),
    ] = False,
    project_root: a.ProjectRoot = None,
    json: a.Json = False,
) -> None:
    """Write one project, its rows and its files, into one .tar.gz; no secrets go with it."""

    async def work(studio: Studio) -> Any:
        from maquette.services import exporting, projects  # noqa: PLC0415 - `--help` need not wait

        root = await projects.root_of(studio, slug, project_root)
        return await exporting.export(studio, slug, root=root, output=output, all_files=all_files)

    made = with_studio(work)
    if json:
        print_json(made)
        return
    if made.missing:
        note(f"{made.missing} stored pictures were missing; `maquette verify` lists them.")
    say(f"{made.path}  {made.size_bytes} bytes")
    say(f"  sha256  {made.sha256}")


def import_(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="What `project export` wrote.")],
    *,
    as_: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="A copy under this name, with ids of its own."),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            "--root",
            metavar="DIR",
            help="Where its files will be; default: MAQUETTE_HOME/projects/NAME.",
        ),
    ] = None,
    json: a.Json = False,
) -> None:
    """Take a project in that was exported, here or elsewhere; a damaged archive changes nothing."""

    async def work(studio: Studio) -> Any:
        from maquette.services import importing  # noqa: PLC0415 - as above

        return await importing.import_archive(studio, archive, slug=as_, root=root)

    made = with_studio(work)
    if json:
        print_json(made)
        return
    if made.missing:
        note(f"{made.missing} stored pictures were missing where it came from.")
    say(f"{made.project.slug}  {made.project.name}")
    say(f"  root    {made.project.root}")
    say(f"  runs    {made.project.runs}")
    say(f"  assets  {made.project.assets}")


def delete(
    slug: Slug,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    files: Annotated[
        bool, typer.Option("--files", help="Also put its root aside: DIR.deleted-TIME.")
    ] = False,
    json: a.Json = False,
) -> None:
    """Delete a project's rows and secrets; its files stay, unless --files says otherwise."""
    if not yes:
        _ask(f"Delete the project {slug!r}, its runs, history and secrets?")

    async def work(studio: Studio) -> Any:
        from maquette.services import deleting  # noqa: PLC0415 - as above

        return await deleting.delete(studio, slug, files=files)

    gone = with_studio(work)
    if json:
        print_json(gone)
        return
    say(f"{slug} is deleted. What its calls cost stays in `maquette spend report`.")
    if gone.moved_to is not None:
        say(f"  its files are now in {gone.moved_to}")
    elif gone.root is not None:
        say(f"  its files are still in {gone.root}")


def _ask(question: str) -> None:
    """Leave unless a person says yes; a script must say so beforehand."""
    from maquette.core.errors import BadParameter, Cancelled  # noqa: PLC0415 - as above

    if not sys.stdin.isatty():
        raise BadParameter("Nobody is there to be asked, so nothing was deleted. Give --yes.")
    if not typer.confirm(question, err=True):
        raise Cancelled("Nothing was deleted.")


def create(
    slug: Slug,
    name: Annotated[str, typer.Argument(metavar="TITLE", help="What to call it.")],
    *,
    project_root: a.ProjectRoot = None,
    json: a.Json = False,
) -> None:
    """Keep a project's rows, and the names in its folders, as they are at this moment."""

    async def work(studio: Studio) -> Any:
        from maquette.services import projects, snapshots  # noqa: PLC0415 - as above

        root = await projects.root_of(studio, slug, project_root)
        return await snapshots.create(studio, slug, name, root=root)

    _print(with_studio(work), json=json)


def list_snapshots(
    slug: Slug,
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 50,
    json: a.Json = False,
) -> None:
    """List a project's snapshots, newest first."""

    async def work(studio: Studio) -> Any:
        from maquette.services import snapshots  # noqa: PLC0415 - as above

        return await snapshots.listing(studio, slug, limit, None)

    found = with_studio(work)
    if json:
        print_json(found)
        return
    table(
        "Snapshots",
        ("snapshot", "title", "made", ">files", ">bytes"),
        [
            (one.id, one.name, f"{one.created_at:%F %H:%M}", one.counts["files"], one.size_bytes)
            for one in found
        ],
    )


def show(slug: Slug, wanted: Wanted, *, json: a.Json = False) -> None:
    """Show one snapshot."""

    async def work(studio: Studio) -> Any:
        from maquette.services import snapshots  # noqa: PLC0415 - as above

        return await snapshots.show(studio, slug, wanted)

    _print(with_studio(work), json=json)


def restore(
    slug: Slug, wanted: Wanted, *, project_root: a.ProjectRoot = None, json: a.Json = False
) -> None:
    """Show a snapshot's files under their names again; rows stay, what was there is archived."""

    async def work(studio: Studio) -> Any:
        from maquette.services import projects, snapshots  # noqa: PLC0415 - as above

        root = await projects.root_of(studio, slug, project_root)
        return await snapshots.restore(studio, slug, wanted, root=root)

    found = with_studio(work)
    if json:
        print_json(found)
        return
    changed = [one for one in found if one.state != "same"]
    rows = [(one.path, one.state, one.replaced) for one in changed]
    table("Restored", ("file", "state", "archived"), rows)
    say(f"{len(found)} files, {len(found) - len(changed)} as they were.")


def forget(slug: Slug, wanted: Wanted, *, json: a.Json = False) -> None:
    """Forget a snapshot; `gc` then takes its bytes."""

    async def work(studio: Studio) -> Any:
        from maquette.services import snapshots  # noqa: PLC0415 - as above

        return await snapshots.delete(studio, slug, wanted)

    gone = with_studio(work)
    if json:
        print_json(gone)
        return
    say(f"{gone.name} is forgotten.")


def _print(facts: Any, *, json: bool) -> None:
    if json:
        print_json(facts)
        return
    say(f"{facts.id}  {facts.name}")
    say(f"  made    {facts.created_at:%F %H:%M} UTC")
    say(f"  rows    {sum(facts.counts.values())}")
    say(f"  files   {facts.counts['files']}")
