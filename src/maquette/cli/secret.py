"""`maquette secret …`: a project's own keys for services."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import arguments as a
from maquette.cli.screen import note, print_json, say, table
from maquette.cli.session import with_studio
from maquette.core.errors import BadParameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import SecretStr

    from maquette.services.rotating import Rotated
    from maquette.services.secrets import SecretFacts
    from maquette.services.studio import Studio

app = typer.Typer(help="A project's own keys for services, sealed.", no_args_is_help=True)

Slug = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's name.")]
Provider = Annotated[
    str, typer.Argument(metavar="PROVIDER", help="Whose key it is, as `maquette plugins` names it.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The secret's name; mostly api_key.")]


@app.command("set")
def set_command(
    slug: Slug,
    provider: Provider,
    name: Name,
    *,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read the value from standard input.")
    ] = False,
    secret_value: Annotated[
        str | None,
        typer.Option(
            "--secret-value", metavar="TEXT", help="The value; other programs can see it here."
        ),
    ] = None,
    json: a.Json = False,
) -> None:
    """Keep a key for a project; it wins over the environment and .env."""
    if stdin and secret_value is not None:
        raise BadParameter("Give --stdin or --secret-value, not both.")
    value = given(secret_value) if secret_value is not None else asked(stdin=stdin)
    put(slug, provider, name, value, json=json)


def given(text: str) -> SecretStr:
    """Take a value from the command line, with a warning."""
    from pydantic import SecretStr  # noqa: PLC0415 - `--help` need not wait for it

    note(
        "other programs of this machine, and the shell's history, can see --secret-value; "
        "better leave it out and be asked, or use --stdin."
    )
    return SecretStr(text)


def asked(*, stdin: bool) -> SecretStr:
    """Ask a person without showing what is typed, or read standard input."""
    from pydantic import SecretStr  # noqa: PLC0415 - as above

    if stdin:
        return SecretStr(sys.stdin.read(_MOST))
    if not sys.stdin.isatty():
        raise BadParameter("Nobody can be asked for the value here; add --stdin and send it there.")
    return SecretStr(typer.prompt("Value", hide_input=True, err=True))


_MOST = 64 * 1024


def put(slug: str, provider: str, name: str, value: SecretStr, *, json: bool) -> None:
    async def work(studio: Studio) -> tuple[SecretFacts, bool]:
        from maquette.services import projects, secrets  # noqa: PLC0415 - as above

        project = await projects.find(studio, slug)
        return await secrets.put(studio, project.id, provider, name, value)

    facts, new = with_studio(work)
    if json:
        print_json(_document(facts))
        return
    say(f"{provider}/{name} {facts.masked} {'is kept' if new else 'was replaced'}.")
    say(f"  In {slug!r} it stands before {facts.variable} of the environment and of .env.")


@app.command("list")
def list_command(slug: Slug, *, json: a.Json = False) -> None:
    """List a project's secrets, masked."""

    async def work(studio: Studio) -> Sequence[SecretFacts]:
        from maquette.services import projects, secrets  # noqa: PLC0415 - as above

        return await secrets.listing(studio, (await projects.find(studio, slug)).id)

    found = with_studio(work)
    if json:
        print_json([_document(one) for one in found])
        return
    table(
        "Secrets",
        ("provider", "name", "value", "stands before", "set at", "problem"),
        [
            (one.provider, one.name, one.masked, one.variable, one.updated_at, one.problem)
            for one in found
        ],
    )


@app.command("delete")
def delete(slug: Slug, provider: Provider, name: Name) -> None:
    """Forget a project's key; the environment's counts again."""

    async def work(studio: Studio) -> None:
        from maquette.services import projects, secrets  # noqa: PLC0415 - as above

        await secrets.remove(studio, (await projects.find(studio, slug)).id, provider, name)

    with_studio(work)
    say(f"{provider}/{name} is forgotten.")


@app.command("rotate-key")
def rotate_key(
    *,
    new_key_stdin: Annotated[
        bool,
        typer.Option(
            "--new-key-stdin",
            help="Read the new master key from standard input; needed where MAQUETTE_MASTER_KEY "
            "holds the present one.",
        ),
    ] = False,
    json: a.Json = False,
) -> None:
    """Replace the master key: seal all secrets of all projects anew."""
    value = asked(stdin=True) if new_key_stdin else None

    async def work(studio: Studio) -> Rotated:
        from maquette.services import rotating  # noqa: PLC0415 - as above

        return await rotating.rotate(studio, value)

    done = with_studio(work)
    if json:
        print_json(done)
        return
    say(f"{done.secrets} secrets are sealed with the new master key {done.key_id}.")
    if done.kept is None:
        say("  Put it into MAQUETTE_MASTER_KEY now: the old one opens nothing any more.")
    else:
        say(f"  The old key lies at {done.kept}.")
        say("  Backups of the database need it. Remove it when there are none left from before.")


def _document(facts: SecretFacts) -> dict[str, Any]:
    """Use the names of the REST route."""
    return {
        "provider_code": facts.provider,
        "secret_name": facts.name,
        "environment_name": facts.variable,
        "masked": facts.masked,
        "problem": facts.problem,
        "updated_at": facts.updated_at,
    }
