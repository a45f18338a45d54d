"""`maquette spend …`: caps, kill switch, report, unknown outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import arguments as a
from maquette.cli.screen import print_exactly, print_json, say, table
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
            help="installation, day, project:NAME, project-day:NAME, user:NAME, user-day:NAME, or "
            "project-day or user-day for all; e.g. day=5.00; `none` takes it away.",
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
        return await spending.meters(studio), await spending.switch(studio)

    meters, switch = with_studio(work)
    if json:
        print_json(
            {"stopped_since": switch.stopped_since, "stopped_why": switch.why, "caps": meters}
        )
        return
    if switch.stopped_since is not None:
        because = f" ({switch.why})" if switch.why else ""
        say(
            f"Spending is STOPPED since {switch.stopped_since:%F %H:%M} UTC{because}. "
            "`maquette spend resume` allows it."
        )
    table(
        "Caps",
        ("scope", ">cap", ">spent", ">held", ">full", "alerts"),
        [
            (
                one.scope if one.day is None else f"{one.scope} {one.day}",
                _show(one.limit),
                _show(one.spent),
                _show(one.held),
                "" if one.percent is None else f"{one.percent:g} %",
                ", ".join(f"{percent} %" for percent in one.alerts),
            )
            for one in meters
        ],
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
    by: Annotated[
        str,
        typer.Option("--by", metavar="WORDS", help="day, user, project, model, joined by commas."),
    ] = "day,project,model",
    first: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="The first day, as 2026-11-01.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="The last day, itself included.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="NAME", help="Only this person's.")
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", metavar="NAME", help="Only this project's.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="PROVIDER:MODEL", help="Only this model's.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print a table for spreadsheets.")] = False,
    json: a.Json = False,
) -> None:
    """Show what was spent by day, person, project and model, against what was estimated."""

    async def work(studio: Studio) -> Any:
        from maquette.services import costs  # noqa: PLC0415 - as above

        wanted = costs.dimensions(by)
        which = costs.Which(costs.day(first), costs.day(last), user, project, model)
        return wanted, await costs.report(studio, wanted, which)

    wanted, lines = with_studio(work)
    if json:
        print_json(lines)
        return
    if csv:
        from maquette.services import costs  # noqa: PLC0415 - as above

        print_exactly(costs.as_csv(wanted, lines))
        return
    table(
        "Spent",
        (*wanted, ">calls", ">estimated", ">actual", ">unknown"),
        [
            (
                *(_named(one, word) for word in wanted),
                one.calls,
                _show(one.estimated),
                _show(one.actual),
                _show(one.unknown),
            )
            for one in lines
        ],
    )


def _named(line: Any, word: str) -> str:
    if word == "model":
        return f"{line.provider}:{line.model}"
    return str(getattr(line, word) or "")


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
                one.run if one.kind == "pictures" else "(no run)",
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
    """Decide an unknown outcome; a run can go on afterwards."""

    async def work(studio: Studio) -> Any:
        from maquette.core.money import parse_usd  # noqa: PLC0415 - as above
        from maquette.services import spending  # noqa: PLC0415 - as above

        paid = None if amount is None else parse_usd(amount)
        return await spending.decide(studio, attempt, charged=charged, amount=paid)

    told = with_studio(work)
    if told.kind == "pictures":
        say(f"Decided. `maquette resume {told.run}` goes on with its run.")
    else:
        say(
            f"Decided. It was a call of the model {told.model} ({told.scene}), which belongs to no "
            "run: nothing goes on by itself. Ask again if you still want the answer."
        )
