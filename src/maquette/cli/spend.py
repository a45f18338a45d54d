"""`maquette spend …`: caps, kill switch, report, unknown outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import arguments as a
from maquette.cli.screen import print_json, say, table
from maquette.cli.session import with_studio

if TYPE_CHECKING:
    from maquette.core.money import Usd
    from maquette.services.studio import Studio

app = typer.Typer(help="Money: caps, kill switch, report.", no_args_is_help=True)


def _show(amount: Usd | None) -> str:
    from maquette.core import money  # noqa: PLC0415 - `--help` need not wait for it

    return "no cap" if amount is None else money.show(amount)


@app.command("caps")
def caps(
    *,
    set_cap: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SCOPE=USD",
            help="installation, day or project:NAME, e.g. day=5.00; `none` takes it away.",
        ),
    ] = None,
    json: a.Json = False,
) -> None:
    """Show the caps and how full they are; change them with --set."""
    changes = [pair.rpartition("=") for pair in set_cap or []]

    async def work(studio: Studio) -> Any:
        from maquette.core.errors import BadParameter  # noqa: PLC0415 - as above
        from maquette.core.money import parse_usd  # noqa: PLC0415 - as above
        from maquette.services import spending  # noqa: PLC0415 - as above

        for scope, equals, text in changes:
            if not equals:
                raise BadParameter(f"--set {text!r} is not SCOPE=USD, e.g. day=5.00.")
            limit = None if text.lower() == "none" else parse_usd(text)
            await spending.set_cap(studio, scope, limit)
        stopped = await spending.stopped_since(studio), await spending.stopped_why(studio)
        return await spending.meters(studio), *stopped

    meters, stopped, why = with_studio(work)
    if json:
        print_json({"stopped_since": stopped, "stopped_why": why, "caps": meters})
        return
    if stopped is not None:
        because = f" ({why})" if why else ""
        say(
            f"Spending is STOPPED since {stopped:%F %H:%M} UTC{because}. "
            "`maquette spend resume` allows it."
        )
    table(
        "Caps",
        ("scope", ">cap", ">spent", ">held"),
        [(one.scope, _show(one.limit), _show(one.spent), _show(one.held)) for one in meters],
    )


@app.command("stop")
def stop(
    *,
    why: Annotated[str | None, typer.Option("--why", help="A word for the others.")] = None,
) -> None:
    """Throw the kill switch: no paid call goes out any more, anywhere."""

    async def work(studio: Studio) -> None:
        from maquette.services import spending  # noqa: PLC0415 - as above

        await spending.stop(studio, why)

    with_studio(work)
    say("Spending is stopped. Free work goes on. `maquette spend resume` allows it again.")


@app.command("resume")
def resume() -> None:
    """Take the kill switch back."""

    async def work(studio: Studio) -> None:
        from maquette.services import spending  # noqa: PLC0415 - as above

        await spending.allow(studio)

    with_studio(work)
    say("Spending is allowed again, under the caps.")


@app.command("report")
def report(
    *,
    project: Annotated[
        str | None, typer.Option("--project", metavar="NAME", help="Only this project's.")
    ] = None,
    json: a.Json = False,
) -> None:
    """Show what was spent by day, project and model, against what was estimated."""

    async def work(studio: Studio) -> Any:
        from maquette.services import spending  # noqa: PLC0415 - as above

        return await spending.report(studio, project)

    lines = with_studio(work)
    if json:
        print_json(lines)
        return
    table(
        "Spent",
        ("day", "project", "model", ">calls", ">estimated", ">actual", ">unknown"),
        [
            (
                one.day,
                one.project,
                f"{one.provider}:{one.model}",
                one.calls,
                _show(one.estimated),
                _show(one.actual),
                _show(one.unknown),
            )
            for one in lines
        ],
    )


@app.command("unknown")
def unknown(*, json: a.Json = False) -> None:
    """List calls that may have been charged though their answer was lost."""

    async def work(studio: Studio) -> Any:
        from maquette.services import spending  # noqa: PLC0415 - as above

        return await spending.undecided(studio)

    found = with_studio(work)
    if json:
        print_json(found)
        return
    table(
        "Unknown outcomes",
        ("attempt", "run", "scene", "model", ">up to", "sent", "why"),
        [
            (
                one.attempt,
                one.run,
                one.scene,
                f"{one.provider}:{one.model}",
                _show(one.reserved),
                "" if one.sent_at is None else f"{one.sent_at:%F %H:%M}",
                one.why,
            )
            for one in found
        ],
    )


@app.command("decide")
def decide(
    attempt: Annotated[str, typer.Argument(metavar="ATTEMPT", help="As `spend unknown` lists it.")],
    *,
    charged: Annotated[
        bool,
        typer.Option("--charged/--not-charged", help="What the provider's usage page says."),
    ],
    amount: Annotated[
        str | None, typer.Option("--amount", metavar="USD", help="What was charged, if known.")
    ] = None,
) -> None:
    """Decide an unknown outcome; then `maquette resume` may make the call again."""

    async def work(studio: Studio) -> None:
        from maquette.core.money import parse_usd  # noqa: PLC0415 - as above
        from maquette.services import spending  # noqa: PLC0415 - as above

        paid = None if amount is None else parse_usd(amount)
        await spending.decide(studio, attempt, charged=charged, amount=paid)

    with_studio(work)
    say("Decided. `maquette resume RUN` goes on with its run.")
