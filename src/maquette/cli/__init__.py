"""The command line: `maquette …`."""

from __future__ import annotations

import sys

from maquette.core.errors import MaquetteError


def main() -> None:
    """Run a command and leave with the documented exit status."""
    from maquette.cli.app import app  # noqa: PLC0415 - `main` must import even where Typer cannot
    from maquette.cli.arguments import plain_booleans  # noqa: PLC0415 - as above
    from maquette.cli.exits import status_of  # noqa: PLC0415 - as above
    from maquette.cli.screen import complain  # noqa: PLC0415 - as above

    try:
        app(plain_booleans(sys.argv[1:]), prog_name="maquette")
    except MaquetteError as error:
        complain(str(error), error.code, as_json="--json" in sys.argv)
        sys.exit(status_of(error))
