"""The command line: `maquette …`."""

from __future__ import annotations

import sys

from maquette.core.errors import MaquetteError


def main() -> None:
    """Run a command and leave with the documented exit status."""
    from typer import Abort, TyperException  # noqa: PLC0415 - as below

    from maquette.cli.app import app  # noqa: PLC0415 - `main` must import even where Typer cannot
    from maquette.cli.arguments import plain_booleans  # noqa: PLC0415 - as above
    from maquette.cli.exits import Exit, status_of, way_out  # noqa: PLC0415 - as above
    from maquette.cli.screen import complain  # noqa: PLC0415 - as above

    as_json = "--json" in sys.argv
    try:
        # A program gets every complaint as JSON, so Typer must not print its own.
        status = app(
            plain_booleans(sys.argv[1:]), prog_name="maquette", standalone_mode=not as_json
        )
    except MaquetteError as error:
        complain(f"{error}{way_out(error)}", error.code, as_json=as_json)
        status = status_of(error)
    except TyperException as error:
        words = getattr(error, "format_message", error.__str__)()
        complain(f"{words} `--help` lists what there is.", "bad-parameter", as_json=True)
        status = Exit.USAGE
    except Abort:
        status = Exit.FAILED
    sys.exit(status)
