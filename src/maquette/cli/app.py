"""All commands, grouped as `--help` shows them."""

from __future__ import annotations

from typing import Annotated

import typer

from maquette import __version__
from maquette.cli import (
    agents,
    aliases,
    assets,
    contract,
    database,
    instruct,
    keep,
    look,
    mask,
    models,
    picture,
    privacy,
    project,
    run,
    secret,
    serve,
    setup,
    spend,
    user,
    voice,
    words,
)
from maquette.cli import credits as wallet

app = typer.Typer(
    name="maquette",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:  # noqa: FBT001 - Typer calls it so
    if value:
        typer.echo(f"maquette {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Image production: plan for free, pay on confirmation, lose nothing.

    Exit status: 0 done, 1 failed jobs, 2 usage, 3 spend refused, 4 guard, 130 interrupted.
    """


run.register(app)
look.register(app)
assets.register(app)
picture.register(app)
keep.register(app)
setup.register(app)
words.register(app)
serve.register(app)
aliases.register(app)
contract.register(app)
agents.register(app)
app.add_typer(mask.app, name="mask")
app.add_typer(models.models, name="models")
app.add_typer(project.app, name="project")
app.add_typer(secret.app, name="secret")
app.add_typer(instruct.app, name="instruct")
app.add_typer(privacy.app, name="privacy")
app.add_typer(spend.app, name="spend")
app.add_typer(user.app, name="user")
app.add_typer(wallet.app, name="credits")
app.add_typer(voice.app, name="voice")
app.add_typer(database.app, name="db")
app.add_typer(setup.tools, name="tools")
