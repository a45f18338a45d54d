"""`maquette db …`."""

from __future__ import annotations

import typer

from maquette.cli import arguments as a
from maquette.cli.screen import print_json, say

app = typer.Typer(help="The database.", no_args_is_help=True)


@app.command("init")
def init() -> None:
    """Create the database; harmless where it is there already."""
    from maquette import bootstrap, settings  # noqa: PLC0415 - `--help` need not wait for it

    found = settings.load()
    bootstrap.prepare_database(found)
    say(f"The database is ready in {found.home}.")


@app.command("migrate")
def migrate() -> None:
    """Bring the database to this version's schema; an older SQLite file is backed up first."""
    from maquette import settings  # noqa: PLC0415 - as above
    from maquette.db import migrate as m  # noqa: PLC0415 - as above

    backup = m.migrate(settings.load().url)
    say(f"The database has schema {m.HEAD}." + (f" Backup: {backup}" if backup else ""))


@app.command("status")
def status(*, json: a.Json = False) -> None:
    """Say which schema the database has, and which this version knows."""
    from maquette import settings  # noqa: PLC0415 - as above
    from maquette.db import migrate as m  # noqa: PLC0415 - as above

    url = settings.load().url
    found = m.status(url)
    if json:
        print_json({"status": found, "schema": m.revision(url), "known": m.HEAD})
    else:
        say(f"{found}: schema {m.revision(url) or 'none'}, this version knows {m.HEAD}.")
