"""The models: what there is, and asking the other sides again."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from typing import Annotated

import typer

from maquette.cli import arguments as a
from maquette.cli.exits import Exit
from maquette.cli.screen import print_json, say, table

models = typer.Typer(
    help="Models: what each can do, its state, and asking for news.", invoke_without_command=True
)

Only = Annotated[str | None, typer.Option("--provider", metavar="ID", help="Only this provider's.")]


@models.callback()
def list_models(context: typer.Context, *, provider: Only = None, json: a.Json = False) -> None:
    """List every model: what it makes, how many pictures a call, whether it costs, its state."""
    if context.invoked_subcommand is not None:
        return
    from maquette import bootstrap, settings  # noqa: PLC0415 - `--help` need not wait for it
    from maquette.services import models as known  # noqa: PLC0415 - as above

    found = settings.load()
    today = date.today()  # noqa: DTZ011 - a shutdown is a calendar day
    lines = known.lines(bootstrap.ready_providers(found), today, provider)
    if json:
        print_json(lines)
        return
    table(
        "Models",
        ("model", "makes", ">pictures", ">references", "costs", "state"),
        [
            (
                f"{one.provider}:{one.model}",
                ", ".join(one.modes),
                one.most_pictures,
                one.most_references,
                "yes" if one.paid else "free",
                one.state.partition(":")[0],
            )
            for one in lines
        ],
    )
    waiting = {one.provider: one.state for one in lines if one.state.startswith("not ready")}
    for name, state in waiting.items():
        say(f"  {name} is {state}")


@models.command("refresh")
def refresh(*, provider: Only = None, json: a.Json = False) -> None:
    """Ask every provider that is ready for its models; costs nothing. Prices stay as they are."""
    import asyncio  # noqa: PLC0415 - as above

    from maquette import bootstrap, settings  # noqa: PLC0415 - as above
    from maquette.services import models as known  # noqa: PLC0415 - as above

    found = settings.load()
    answers = asyncio.run(
        known.refresh(
            bootstrap.ready_providers(found),
            found.home,
            bootstrap.key,
            datetime.now(UTC),
            provider,
        )
    )
    if json:
        print_json(answers)
    elif not answers:
        say("No provider is ready that could be asked. `maquette doctor` says what is missing.")
    for one in () if json else answers:
        said = one.error or f"{one.models} models. " + ("; ".join(one.news) or "Nothing new.")
        say(f"{one.provider}: {said}")
    sys.exit(Exit.FAILED if any(one.error for one in answers) else Exit.DONE)
