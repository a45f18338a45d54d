"""Looking at what was made: runs, show, sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import arguments as a
from maquette.cli.screen import print_json, say, table
from maquette.cli.session import with_studio

if TYPE_CHECKING:
    from maquette.services.studio import Studio


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("runs")(list_runs)
    app.command("show")(show)
    app.command("sheet")(sheet)


def print_summary(summary: Any) -> None:
    from maquette.core import money  # noqa: PLC0415 - as above

    table(
        f"Run {summary.run}: {summary.state}, {money.show(summary.spent)} spent",
        ("scene", "state", "winner", "guard", "final"),
        [
            (job.scene, job.state, job.winner, job.guard, job.final or job.problem)
            for job in summary.jobs
        ],
    )
    for job in summary.jobs:
        if job.problem:
            say(f"  {job.scene}: {job.problem}")
    say(f"  run log        {summary.log}")
    if summary.sheet:
        say(f"  contact sheet  {summary.sheet}")
    for line in summary.differences:
        say(f"  {line}")
    say("Next:")
    for command, why in summary.next_commands:
        say(f"  {command:<44}  {why}")


def list_runs(
    *,
    project: Annotated[
        str | None, typer.Option("--project", metavar="NAME", help="Only this project's.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many.")] = 20,
    before: Annotated[
        str | None, typer.Option("--before", metavar="RUN", help="Older than this run.")
    ] = None,
    json: a.Json = False,
) -> None:
    """List runs, newest first."""

    async def work(studio: Studio) -> list[Any]:
        from maquette.services import viewing  # noqa: PLC0415 - as above

        return await viewing.listing(studio, project, limit, before)

    found = with_studio(work)
    if json:
        print_json(found)
        return
    table(
        "Runs",
        ("run", "project", "state", ">scenes", ">spent", "began"),
        [
            (one.run, one.project, one.state, one.scenes, one.spent_text, f"{one.began:%F %H:%M}")
            for one in found
        ],
    )


def show(
    what: Annotated[
        str, typer.Argument(metavar="RUN|ASSET", help="A run, or an asset and its family.")
    ],
    *,
    json: a.Json = False,
) -> None:
    """Show a run's pictures and money, or an asset's lineage both ways."""

    async def work(studio: Studio) -> Any:
        from maquette.core.errors import RunNotFound  # noqa: PLC0415 - as above
        from maquette.services import keeping, viewing  # noqa: PLC0415 - as above

        try:
            return await viewing.summary(studio, what)
        except RunNotFound:
            return await keeping.lineage(studio, what)

    from maquette.cli.family import lineage_document, print_lineage  # noqa: PLC0415 - as above
    from maquette.services import viewing  # noqa: PLC0415 - as above

    found = with_studio(work)
    if isinstance(found, viewing.Summary):
        if json:
            print_json(viewing.document(found))
        else:
            print_summary(found)
            _print_assets(found)
    elif json:
        print_json(lineage_document(found))
    else:
        print_lineage(found)


def _print_assets(summary: Any) -> None:
    table(
        "Assets",
        ("asset", "scene", "kind", "size", "file"),
        [(one.id, one.scene, one.kind, one.size, one.file) for one in summary.assets],
    )


def sheet(run: a.RunId) -> None:
    """Draw the run's contact sheet again and say where it is."""

    async def work(studio: Studio) -> Any:
        from maquette.services import sheets, viewing  # noqa: PLC0415 - as above

        return await sheets.with_sheet(studio, await viewing.summary(studio, run))

    say(with_studio(work).sheet)
