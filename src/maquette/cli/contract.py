"""The API's contract: written to a file, and checked against a server that runs."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from maquette.cli import arguments as a
from maquette.cli.screen import print_json, say, table


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("openapi")(openapi)
    app.command("contract-smoke")(contract_smoke)


def openapi(
    *,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Instead of standard output.")
    ] = None,
) -> None:
    """Write this version's OpenAPI document."""
    from maquette.api.contract import written  # noqa: PLC0415 - `--help` need not wait for it
    from maquette.api.contracted import document  # noqa: PLC0415 - as above

    text = written(document())
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def contract_smoke(
    *,
    base_url: Annotated[
        str, typer.Option("--base-url", metavar="URL", help="The server to ask.")
    ] = "http://127.0.0.1:8787",
    project_slug: Annotated[
        str, typer.Option("--project-slug", metavar="NAME", help="Made where it is missing.")
    ] = "contract_demo",
    json_output: a.Json = False,
) -> None:
    """Ask a running server what the contract promises; MAQUETTE_API_KEY signs in.

    Makes a project, a chat session and an instruction that costs nothing; pays nothing.
    """
    from maquette import bootstrap, settings  # noqa: PLC0415 - as above
    from maquette.api import smoke  # noqa: PLC0415 - as above

    found = settings.load()
    key = settings.secret("MAQUETTE_API_KEY")
    checks = asyncio.run(smoke.run(base_url, project_slug, key, bootstrap.wire_rules(found)))
    if json_output:
        print_json([vars(one) for one in checks])
    else:
        rows = [("ok" if one.ok else "WRONG", one.what, one.detail) for one in checks]
        table("Contract", ("", "asked", "answer"), rows)
        wrong = sum(not one.ok for one in checks)
        say(f"{len(checks) - wrong} as promised, {wrong} not.")
    sys.exit(0 if all(one.ok for one in checks) else 1)
