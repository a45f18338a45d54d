"""`maquette serve` and `maquette worker`."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Annotated

import typer

from maquette.cli.screen import say

if TYPE_CHECKING:
    from maquette.settings import Settings

LEGACY_PORTS = (5050, 4000, 3030, 8787, 8000)
"""Where the five systems that Maquette unites used to listen."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("serve")(serve)
    app.command("worker")(worker)


def serve(
    *,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8787,
    work: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Also work queued runs.")
    ] = True,
    legacy_ports: Annotated[
        bool, typer.Option("--legacy-ports", help="Also listen at 5050, 4000, 3030, 8787, 8000.")
    ] = False,
) -> None:
    """Serve the API and the studio, and work what is queued."""
    gc.disable()  # what is loaded now stays: to look for garbage in it costs a tenth of the start
    from maquette import logs, settings  # noqa: PLC0415 - `--help` need not wait for it
    from maquette.api.server import run_server  # noqa: PLC0415 - as above

    gc.freeze()
    gc.enable()
    found = settings.load()
    logs.configure(found.log_level, found.log_format)
    ports = list(dict.fromkeys([port, *(LEGACY_PORTS if legacy_ports else ())]))
    run_server(found, host, ports, work=work, say=say)


def worker(
    *,
    once: Annotated[bool, typer.Option("--once", help="Stop when nothing is left to do.")] = False,
) -> None:
    """Work queued runs and instructions, without serving."""
    from maquette import logs, settings  # noqa: PLC0415 - as above

    found = settings.load()
    logs.configure(found.log_level, found.log_format)
    asyncio.run(_work(found, once=once))


async def _work(found: Settings, *, once: bool) -> None:
    from maquette import bootstrap  # noqa: PLC0415 - as above
    from maquette.cli.session import on_interrupt  # noqa: PLC0415 - as above
    from maquette.services import working  # noqa: PLC0415 - as above

    stop = asyncio.Event()

    async def leave() -> None:
        say("Stopping: paid calls are waited for, the rest is handed back.")
        stop.set()

    async with bootstrap.open_studio(found) as studio:
        on_interrupt(leave)
        await working.work(studio, stop, once=once)
