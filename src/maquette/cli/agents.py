"""`maquette mcp`: the tools for agents, over standard input and output."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from maquette.cli.screen import print_json

if TYPE_CHECKING:
    from maquette.settings import Settings

app = typer.Typer(
    help="Tools for agents: an MCP server over standard input and output.",
    invoke_without_command=True,
)


@app.callback()
def mcp(
    context: typer.Context,
    *,
    project: Annotated[
        str | None,
        typer.Option(
            "--project", metavar="SLUG", help="Where calls work that name no project; else yours."
        ),
    ] = None,
) -> None:
    """Serve the tools to the MCP client that started this, until it closes its end.

    Nothing but the protocol is written to standard output; logs go to standard error.
    """
    if context.invoked_subcommand is not None:
        return
    from maquette import logs, settings  # noqa: PLC0415 - `--help` need not wait for it

    found = settings.load()
    logs.configure(found.log_level, found.log_format)
    asyncio.run(_serve(found, project))


async def _serve(found: Settings, project: str | None) -> None:
    from maquette import bootstrap  # noqa: PLC0415 - as above
    from maquette.agent import stdio  # noqa: PLC0415 - as above
    from maquette.cli.session import on_interrupt  # noqa: PLC0415 - as above
    from maquette.services import projects  # noqa: PLC0415 - as above

    stop = asyncio.Event()

    async def leave() -> None:
        stop.set()

    async with bootstrap.open_studio(found) as studio:
        if project is not None:
            await projects.find(studio, project)
        on_interrupt(leave)
        most_bytes = found.server.upload_mb * 1024 * 1024
        ended = await stdio.serve(studio, project, most_bytes, stop)
    if not ended:  # a thread still reads the client's end, and nothing else can wake it
        sys.stderr.flush()
        os._exit(130)


@app.command("manifest")
def manifest() -> None:
    """Print the tools as OpenAI's clients take them: a JSON list of functions."""
    _print_functions()


def functions() -> None:
    """Print the tools as OpenAI's clients take them: a JSON list of functions."""
    _print_functions()


def _print_functions() -> None:
    from maquette.agent import manifest as known  # noqa: PLC0415 - as above

    print_json([one.model_dump() for one in known.functions()])


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.command("functions")(functions)
    parent.add_typer(app, name="mcp")
