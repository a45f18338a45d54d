"""`maquette privacy …`: one person's data, taken out and erased."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maquette.cli import arguments as a
from maquette.cli.screen import print_json, say
from maquette.cli.session import with_studio

if TYPE_CHECKING:
    from maquette.services.privacy import Erased
    from maquette.services.studio import Studio

app = typer.Typer(help="One person's data: export and erasure.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the person signs in with.")]


@app.command("export")
def export(
    name: Name,
    *,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE.zip", help="Where to write it; a new file.")
    ],
) -> None:
    """Write all that is known of a person into a ZIP."""

    async def work(studio: Studio) -> None:
        from maquette.services import privacy  # noqa: PLC0415 - `--help` need not wait for it

        await privacy.write_archive(studio, name, output)

    with_studio(work)
    say(f"{output}: {output.stat().st_size} bytes. It is personal: keep it so.")


@app.command("erase")
def erase(
    name: Name,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it. Without this, only what would go is told.")
    ] = False,
    json: a.Json = False,
) -> None:
    """Erase a person's uploads, words, keys and name; there is no way back."""

    async def work(studio: Studio) -> Erased:
        from maquette.services import privacy  # noqa: PLC0415 - as above

        return await (privacy.erase if yes else privacy.foresee)(studio, name)

    done = with_studio(work)
    if json:
        print_json(done)
        return
    said = "Erased" if yes else "Would be erased, with --yes"
    say(
        f"{said}: the account {name!r} with its keys and words, {done.uploads_purged} uploads, "
        f"{done.recordings_deleted} recordings. Others were made from {done.uploads_kept} more "
        "uploads: these stay, without a sender."
    )
