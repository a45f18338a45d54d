"""`maquette project …`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import arguments as a
from maquette.cli import mirror, portable
from maquette.cli.screen import print_json, say, table
from maquette.cli.session import with_studio

if TYPE_CHECKING:
    from maquette.services.projects import ProjectFacts
    from maquette.services.studio import Studio

app = typer.Typer(help="Projects and where their files are.", no_args_is_help=True)
storage = typer.Typer(help="Where a project's files are.", no_args_is_help=True)
app.add_typer(storage, name="storage")
mirror.register(app, storage)
portable.register(app)

Slug = Annotated[str, typer.Argument(metavar="NAME", help="The project's name.")]
Root = Annotated[
    Path | None, typer.Option("--root", metavar="DIR", help="Where its files will be.")
]


@app.command("create")
def create(
    slug: Slug,
    *,
    title: Annotated[str | None, typer.Option("--title", help="A longer name for people.")] = None,
    root: Root = None,
    default_root: Annotated[
        bool, typer.Option("--default-root", help="Keep the files in MAQUETTE_HOME/projects/NAME.")
    ] = False,
    json: a.Json = False,
) -> None:
    """Make a project."""

    async def work(studio: Studio) -> ProjectFacts:
        from maquette.services import projects  # noqa: PLC0415 - `--help` need not wait for it

        return await projects.create(studio, slug, name=title, root=root, default_root=default_root)

    _print(with_studio(work), json=json)


@app.command("list")
def list_projects(*, json: a.Json = False) -> None:
    """List all projects."""

    async def work(studio: Studio) -> Any:
        from maquette.services import projects  # noqa: PLC0415 - as above

        return await projects.listing(studio)

    found = with_studio(work)
    if json:
        print_json(found)
        return
    table(
        "Projects",
        ("project", "title", "root", ">runs", ">assets"),
        [(one.slug, one.name, one.root or "not set", one.runs, one.assets) for one in found],
    )


@app.command("show")
def show(slug: Slug, *, json: a.Json = False) -> None:
    """Show one project."""

    async def work(studio: Studio) -> ProjectFacts:
        from maquette.services import projects  # noqa: PLC0415 - as above

        return await projects.show(studio, slug)

    _print(with_studio(work), json=json)


@app.command("adopt")
def adopt(
    slug: Slug,
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]…", help="Files or folders; default: the project's own."),
    ] = None,
    *,
    project_root: a.ProjectRoot = None,
    json: a.Json = False,
) -> None:
    """Take in pictures that people made or changed; each becomes an asset."""

    async def work(studio: Studio) -> Any:
        from maquette.services import keeping, projects  # noqa: PLC0415 - as above

        root = await projects.root_of(studio, slug, project_root)
        return await keeping.adopt(studio, slug, root, folders or [])

    adopted = with_studio(work)
    if json:
        print_json(adopted)
        return
    table(
        "Adopted",
        ("file", "asset", "made from", "problem"),
        [(one.path, one.asset, one.parent, one.error) for one in adopted],
    )


@app.command("ingest")
def ingest(
    slug: Slug,
    logs: Annotated[list[Path], typer.Argument(metavar="LOG…", help="Run log files.")],
    *,
    backend_db: Annotated[
        Path | None, typer.Option("--backend-db", metavar="FILE", help="Into another database.")
    ] = None,
) -> None:
    """Ingest run logs; doing it again changes nothing."""

    async def work(studio: Studio) -> None:
        from maquette import bootstrap  # noqa: PLC0415 - as above
        from maquette.services import projects, runlog  # noqa: PLC0415 - as above

        project = await projects.find_or_make(studio, slug)
        other = None if backend_db is None else bootstrap.open_other_database(backend_db)
        try:
            for path in logs:
                new = await runlog.ingest_file(studio, project, path, other)
                say(f"{path}: {'ingested' if new else 'was there already'}")
        finally:
            if other is not None:
                await other.close()

    with_studio(work)


@app.command("notify")
def notify(
    slug: Slug,
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="Told by a POST when a run ends.")
    ] = None,
    *,
    off: Annotated[bool, typer.Option("--off", help="Tell nobody any more.")] = False,
    json: a.Json = False,
) -> None:
    """Say who is told when a run ends."""
    from maquette.core.errors import BadParameter  # noqa: PLC0415 - as above

    if (url is None) != off:
        raise BadParameter("Give the address to tell, or --off, and not both.")

    async def work(studio: Studio) -> ProjectFacts:
        from maquette.services import projects  # noqa: PLC0415 - as above

        return await projects.change(studio, slug, projects.Changes(notify_url=url))

    _print(with_studio(work), json=json)


@storage.command("set-local")
def set_local(
    slug: Slug,
    *,
    root: Annotated[Path, typer.Option("--root", metavar="DIR", help="Where the files are.")],
    json: a.Json = False,
) -> None:
    """Write where the project's root is."""

    async def work(studio: Studio) -> ProjectFacts:
        from maquette.services import projects  # noqa: PLC0415 - as above

        return await projects.set_local_root(studio, slug, root)

    _print(with_studio(work), json=json)


def _print(facts: ProjectFacts, *, json: bool) -> None:
    if json:
        print_json(facts)
        return
    say(f"{facts.slug}  {facts.name}")
    say(f"  root    {facts.root or 'not set: give --project-root to every command'}")
    say(f"  runs    {facts.runs}")
    say(f"  assets  {facts.assets}")
    if facts.notifies is not None:
        say(f"  tells   {facts.notifies}")
