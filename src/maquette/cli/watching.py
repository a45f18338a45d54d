"""Working or following a run, with progress on screen and Ctrl-C understood."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from maquette.cli.screen import note
from maquette.cli.session import on_interrupt

if TYPE_CHECKING:
    from maquette.core.money import Usd
    from maquette.core.states import JobState
    from maquette.services.starting import Spending
    from maquette.services.studio import Studio


async def watched(studio: Studio, run_id: str, *, silent: bool) -> JobState:
    """See a run through; return how it ended."""
    from maquette.cli.progress import Progress  # noqa: PLC0415 - `--help` need not wait for it
    from maquette.services import running, viewing  # noqa: PLC0415 - as above

    leaving = asyncio.Event()

    async def stop() -> None:
        leaving.set()
        note("stopping: a call that was already paid is waited for. Ctrl-C again leaves at once.")
        await running.cancel(studio, run_id)

    on_interrupt(stop)
    with Progress(await viewing.size_of(studio, run_id), silent=silent) as progress:
        return await running.see_through(studio, run_id, progress.tell, leaving)


def spending_of(max_spend: str | None, *, confirmed: bool) -> Spending:
    """Read what a person allows."""
    from maquette.core.money import parse_usd  # noqa: PLC0415 - as above
    from maquette.services.starting import Spending  # noqa: PLC0415 - as above

    return Spending(confirmed, None if max_spend is None else parse_usd(max_spend))


def asked(worst_case: Usd, spending: Spending) -> Spending:
    """Let a person at a terminal type the confirmation instead of the flag."""
    import sys  # noqa: PLC0415 - as above

    import typer  # noqa: PLC0415 - as above

    from maquette.core import money  # noqa: PLC0415 - as above
    from maquette.services.starting import Spending  # noqa: PLC0415 - as above

    if worst_case == 0 or spending.confirmed or not sys.stdin.isatty():
        return spending
    price = money.show(worst_case)
    typed = typer.prompt(f"This may cost up to {price}. Type the amount to go on", default="no")
    return Spending(str(typed).strip().lstrip("$") == price.lstrip("$"), spending.max_spend)
