"""`maquette credits …`: what people have, grants, the books."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import arguments as a
from maquette.cli.exits import Exit
from maquette.cli.screen import print_json, say, table
from maquette.cli.session import with_studio

if TYPE_CHECKING:
    from maquette.core.money import Usd
    from maquette.services.studio import Studio
    from maquette.services.wallets import Audit, Entry, Purse

app = typer.Typer(help="Credits: what people have, grants, the books.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the person signs in with.")]


def _show(amount: Usd) -> str:
    from maquette.core import money  # noqa: PLC0415 - `--help` need not wait for it

    return money.show(amount)


@app.command("show")
def show(name: Name, *, json: a.Json = False) -> None:
    """Show what a person has."""

    async def work(studio: Studio) -> Purse:
        from maquette.services import wallets  # noqa: PLC0415 - as above

        return await wallets.show(studio, name)

    _print(with_studio(work), json=json)


@app.command("grant")
def grant(
    name: Name,
    amount: Annotated[str, typer.Argument(metavar="USD", help="How much, such as 25.00.")],
    *,
    why: Annotated[str, typer.Option("--why", help="What it is for; it stands in the books.")],
    take_back: Annotated[
        bool, typer.Option("--take-back", help="Take it back, as far as it is not spent or held.")
    ] = False,
    json: a.Json = False,
) -> None:
    """Give a person credits that nobody paid for."""

    async def work(studio: Studio) -> Purse:
        from maquette.core.money import Usd, parse_usd  # noqa: PLC0415 - as above
        from maquette.services import wallets  # noqa: PLC0415 - as above

        given = parse_usd(amount)
        return await wallets.grant(studio, name, Usd(-given) if take_back else given, why)

    _print(with_studio(work), json=json)


@app.command("ledger")
def ledger(
    name: Name,
    *,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, help="How many lines, newest first.")
    ] = 50,
    json: a.Json = False,
) -> None:
    """List what went in and out of a person's wallet."""

    async def work(studio: Studio) -> list[Entry]:
        from maquette.services import wallets  # noqa: PLC0415 - as above

        return list(await wallets.entries(studio, name, limit))

    found = with_studio(work)
    if json:
        print_json(found)
        return
    table(
        "Ledger",
        ("at", "kind", ">amount", "why"),
        [(f"{one.at:%F %H:%M}", one.kind, _show(one.amount), one.why or "") for one in found],
    )


@app.command("verify")
def verify(*, json: a.Json = False) -> None:
    """Add up all books and compare them with wallets, calls and purchases."""

    async def work(studio: Studio) -> Audit:
        from maquette.services import wallets  # noqa: PLC0415 - as above

        return await wallets.verify(studio)

    found = with_studio(work)
    if json:
        print_json(found)
    else:
        for line in (*found.wrong, *found.to_look_at):
            say(line)
        say(
            f"{found.wallets} wallets with {_show(found.in_circulation)} in all: "
            + ("the books are WRONG." if found.wrong else "the books balance.")
        )
    if found.wrong:
        raise typer.Exit(Exit.FAILED)


def _print(purse: Purse, *, json: bool) -> None:
    if json:
        document: dict[str, Any] = {
            "name": purse.name,
            "balance": purse.balance,
            "held": purse.held,
            "available": purse.available,
            "debt": purse.debt,
            "pays": purse.pays,
        }
        print_json(document)
        return
    say(f"{purse.name}  {_show(purse.available)} available")
    say(f"  balance  {_show(purse.balance)}")
    say(f"  held     {_show(purse.held)}")
    if not purse.pays:
        say("  Credits are not asked for of this person.")
