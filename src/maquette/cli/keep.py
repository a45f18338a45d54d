"""What is kept: verify and gc."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import arguments as a
from maquette.cli.exits import Exit
from maquette.cli.screen import print_json, say, table
from maquette.cli.session import with_studio

if TYPE_CHECKING:
    from maquette.services.studio import Studio


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("verify")(verify)
    app.command("gc")(gc)


def verify(*, project: a.Project, project_root: a.ProjectRoot = None, json: a.Json = False) -> None:
    """Hash every stored picture again and look at every file; exit status 1 where one is off."""

    async def work(studio: Studio) -> Any:
        from maquette.services import keeping, projects  # noqa: PLC0415 - `--help` need not wait

        root = await projects.root_of(studio, project, project_root)
        return await keeping.verify(studio, project, root)

    checked, flaws = with_studio(work)
    if json:
        print_json({"checked": checked, "flaws": flaws})
    else:
        if flaws:
            table("Flaws", ("what", "where", "advice"), [(x.what, x.path, x.advice) for x in flaws])
        say(f"{checked} checked, {len(flaws)} flaws.")
    sys.exit(Exit.FAILED if flaws else Exit.DONE)


def gc(
    *,
    project: a.Project,
    project_root: a.ProjectRoot = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run/--no-dry-run", help="Only say what would be moved.")
    ] = True,
    json: a.Json = False,
) -> None:
    """Find stored bytes that nothing points to; --no-dry-run moves them to the store's trash."""

    async def work(studio: Studio) -> Any:
        from maquette.services import keeping, projects  # noqa: PLC0415 - as above

        root = await projects.root_of(studio, project, project_root)
        return await keeping.sweep(studio, project, root, dry_run=dry_run)

    leftovers = with_studio(work)
    if json:
        print_json({"dry_run": dry_run, "leftovers": leftovers})
        return
    rows = [(one.key, one.size_bytes, "too young" if one.young else "") for one in leftovers]
    table("Leftovers", ("object", ">bytes", "stays"), rows)
    count = sum(not one.young for one in leftovers)
    verb = "would go to the trash; --no-dry-run does it" if dry_run else "moved to the trash"
    say(f"{count} {verb}.")
