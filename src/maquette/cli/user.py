"""`maquette user …`: accounts, their passwords and their keys."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import arguments as a
from maquette.cli.screen import print_json, say, table
from maquette.cli.session import with_studio

if TYPE_CHECKING:
    from maquette.core.money import Usd
    from maquette.core.people import Role
    from maquette.services.people import Person
    from maquette.services.studio import Studio

app = typer.Typer(help="People who may sign in to a server.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the person signs in with.")]
RoleName = Annotated[str, typer.Option("--role", metavar="ROLE", help="admin, creator or viewer.")]
PasswordStdin = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from standard input; do not ask."),
]


@app.command("create")
def create(
    name: Name,
    *,
    role: RoleName = "creator",
    password_stdin: PasswordStdin = False,
    json: a.Json = False,
) -> None:
    """Make an account; the first administrator is made so."""
    wanted, password = _role(role), _password(from_stdin=password_stdin)

    async def work(studio: Studio) -> Person:
        from maquette.services import people  # noqa: PLC0415 - `--help` need not wait for it

        return await people.create(studio, name, wanted, people.Change(password=password))

    _print(with_studio(work), json=json)


@app.command("list")
def list_users(*, json: a.Json = False) -> None:
    """List all accounts."""

    async def work(studio: Studio) -> list[Person]:
        from maquette.services import people  # noqa: PLC0415 - as above

        found: list[Person] = []
        while page := await people.listing(studio, 200, found[-1].name if found else ""):
            found += page
        return found

    found = with_studio(work)
    if json:
        print_json(found)
        return
    table(
        "People",
        ("name", "role", "state", ">spent", ">cap", ">quota"),
        [
            (one.name, one.role, _state(one), _usd(one.spent), _usd(one.spend_cap), _mb(one))
            for one in found
        ],
    )


@app.command("set")
def set_user(
    name: Name,
    *,
    role: Annotated[
        str | None, typer.Option("--role", metavar="ROLE", help="admin, creator or viewer.")
    ] = None,
    disabled: Annotated[
        bool | None,
        typer.Option("--disable/--enable", help="Nobody can sign in to a disabled account."),
    ] = None,
    verified: Annotated[
        bool | None,
        typer.Option("--verified/--unverified", help="Whether you know who the person is."),
    ] = None,
    quota_mb: Annotated[
        str | None,
        typer.Option("--quota-mb", metavar="MB", help="Room for uploads; `none`: no ceiling."),
    ] = None,
    spend_cap: Annotated[
        str | None,
        typer.Option("--spend-cap", metavar="USD", help="The most to spend; `none`: no cap."),
    ] = None,
    json: a.Json = False,
) -> None:
    """Change an account; what is not named stays as it is."""

    async def work(studio: Studio) -> Person:
        from maquette.services import people  # noqa: PLC0415 - as above

        change = people.Change(
            role=None if role is None else _role(role),
            disabled=disabled,
            verified=verified,
            quota_bytes=None if quota_mb is None else (_bytes(quota_mb),),
            spend_cap=None if spend_cap is None else (_cap(spend_cap),),
        )
        return await people.change(studio, name, change)

    _print(with_studio(work), json=json)


@app.command("reset-password")
def reset_password(name: Name, *, password_stdin: PasswordStdin = False) -> None:
    """Give an account a new password; its sessions and access tokens end."""
    password = _password(from_stdin=password_stdin)

    async def work(studio: Studio) -> Person:
        from maquette.services import people  # noqa: PLC0415 - as above

        return await people.change(studio, name, people.Change(password=password))

    with_studio(work)
    say(f"{name} has a new password, and is signed out everywhere. API keys stay valid.")


@app.command("keys")
def keys(
    name: Name,
    *,
    revoke: Annotated[
        str | None, typer.Option("--revoke", metavar="ID", help="End this key for good first.")
    ] = None,
    json: a.Json = False,
) -> None:
    """List a person's API keys; only the person can make one."""

    async def work(studio: Studio) -> Any:
        from maquette.services import keys as known  # noqa: PLC0415 - as above

        if revoke is not None:
            await known.revoke_of(studio, revoke, name)
        found = list(await known.listing(studio, name, 200))
        while found and (page := await known.listing(studio, name, 200, found[-1].id)):
            found += page
        return found

    found = with_studio(work)
    if json:
        print_json(found)
        return
    table(
        "Keys",
        ("id", "name", "begins", "scopes", "until", "last used"),
        [
            (
                one.id,
                one.name,
                one.prefix,
                ", ".join(one.scopes),
                "it is revoked" if one.expires_at is None else f"{one.expires_at:%F}",
                "never" if one.last_used_at is None else f"{one.last_used_at:%F %H:%M}",
            )
            for one in found
        ],
    )


def _role(text: str) -> Role:
    from maquette.core.errors import BadParameter  # noqa: PLC0415 - as above
    from maquette.core.people import Role  # noqa: PLC0415 - as above

    try:
        return Role(text)
    except ValueError:
        raise BadParameter(f"{text!r} is no role; write {', '.join(sorted(Role))}.") from None


def _password(*, from_stdin: bool) -> str:
    """Ask for it twice where somebody sits at a terminal; never take it from the arguments."""
    from maquette.core.errors import BadParameter  # noqa: PLC0415 - as above

    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise BadParameter(
            "There is no terminal to ask for the password at; give it to standard input with "
            "--password-stdin."
        )
    return typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)


def _bytes(megabytes: str) -> int | None:
    from maquette.core.errors import BadParameter  # noqa: PLC0415 - as above

    if megabytes.lower() == "none":
        return None
    if not megabytes.isdecimal() or len(megabytes) > 12:
        raise BadParameter(f"--quota-mb {megabytes!r} is no number of megabytes, and not `none`.")
    return int(megabytes) * 1024 * 1024


def _cap(text: str) -> Usd | None:
    from maquette.core.money import parse_usd  # noqa: PLC0415 - as above

    return None if text.lower() == "none" else parse_usd(text)


def _print(person: Person, *, json: bool) -> None:
    if json:
        print_json(person)
        return
    say(f"{person.name}  {person.role}, {_state(person)}")
    say(f"  quota  {_mb(person)}")
    say(f"  cap    {_usd(person.spend_cap)}")
    say(f"  spent  {_usd(person.spent)}")


def _state(person: Person) -> str:
    if person.disabled:
        return "disabled"
    if not person.has_password:
        return "no password"
    return "verified" if person.verified else "enabled"


def _usd(amount: Usd | None) -> str:
    from maquette.core import money  # noqa: PLC0415 - as above

    return "no cap" if amount is None else money.show(amount)


def _mb(person: Person) -> str:
    quota = person.quota_bytes
    return "no ceiling" if quota is None else f"{quota / 1024 / 1024:,.0f} MB"
