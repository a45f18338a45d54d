"""Is everything there? config, plugins, doctor, tools, warmup."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import arguments as a
from maquette.cli.exits import Exit
from maquette.cli.screen import console, print_json, say, table

if TYPE_CHECKING:
    from maquette.core.tools import Tool
    from maquette.services.health import Check
    from maquette.services.tools import Wanted
    from maquette.settings import Settings

tools = typer.Typer(
    help="Optional tools: what there is, and setting them up.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("config")(config)
    app.command("plugins")(plugins)
    app.command("doctor")(doctor)
    app.command("warmup")(warmup)


def config(*, json: a.Json = False) -> None:
    """Show every setting and where it comes from; secrets are masked."""
    from maquette import settings  # noqa: PLC0415 - `--help` need not wait for it

    found = settings.load()
    origins = settings.origins(found)
    values = found.model_dump(mode="json")
    values["providers"] = _masked(values["providers"])
    rows = [(f"{settings.PREFIX}{name}".upper(), values[name], origins[name]) for name in origins]
    if json:
        print_json({name: {"value": value, "origin": origin} for name, value, origin in rows})
        return
    table("Settings", ("setting", "value", "origin"), rows)
    say(f"  Files: {found.home / 'settings.toml'}, .env; the environment wins.")


def _masked(section: dict[str, Any]) -> dict[str, Any]:
    """Hide what may be a secret: a provider's section is not ours to know."""
    shown: dict[str, Any] = {}
    for name, value in section.items():
        if isinstance(value, dict):
            shown[name] = _masked(value)  # pyright: ignore[reportUnknownArgumentType] - JSON
        elif any(word in name.lower() for word in ("key", "token", "secret", "password")):
            shown[name] = "**********"
        else:
            shown[name] = value
    return shown


def plugins(*, json: a.Json = False) -> None:
    """List providers, operations and storages, and those that failed to load."""
    from maquette import settings  # noqa: PLC0415 - as above

    checks = _plugin_checks(settings.load())
    if json:
        print_json(checks)
    else:
        _print("Plugins", checks)
    sys.exit(_status(checks))


def _plugin_checks(found: Settings) -> list[Check]:
    from maquette import bootstrap  # noqa: PLC0415 - as above
    from maquette.services import health  # noqa: PLC0415 - as above

    _, operations, storages = bootstrap.registries(found)
    today = date.today()  # noqa: DTZ011 - a shutdown is a calendar day
    return [
        *health.provider_checks(bootstrap.ready_providers(found), today),
        *health.operation_checks(operations, found.weights_folder),
        *health.storage_checks(storages),
    ]


def doctor(
    *,
    online: Annotated[
        bool, typer.Option("--online", help="Also ask every service and server; costs nothing.")
    ] = False,
    json: a.Json = False,
) -> None:
    """Look at everything; say what is missing, what it would cost to get, and how."""
    from maquette import bootstrap, settings  # noqa: PLC0415 - as above
    from maquette.core.errors import MaquetteError  # noqa: PLC0415 - as above
    from maquette.services import health  # noqa: PLC0415 - as above

    found = settings.load()
    checks = health.package_checks()
    try:
        bootstrap.prepare_database(found)
        checks.append(health.Check("database", ready=True, detail="ready"))
        checks.append(health.disk_check(found.home))
    except MaquetteError as error:
        checks.append(health.Check("database", ready=False, detail=error.code, advice=str(error)))
    checks.append(health.kernels_check())
    checks += _plugin_checks(found)
    checks += bootstrap.other_checks(found)
    if online:
        import asyncio  # noqa: PLC0415 - as above

        checks += asyncio.run(_asked(found))
    if json:
        print_json(checks)
    else:
        _print("Doctor", checks)
    sys.exit(_status(checks))


async def _asked(found: Settings) -> list[Check]:
    """Ask every provider that is ready for its models."""
    from maquette import bootstrap  # noqa: PLC0415 - as above
    from maquette.services import health, models  # noqa: PLC0415 - as above

    answers = await models.refresh(
        bootstrap.ready_providers(found), found.home, bootstrap.key, datetime.now(UTC)
    )
    return [
        health.Check(
            f"{one.provider} online",
            ready=one.error is None,
            detail=f"answers, {one.models} models" if one.error is None else "no answer",
            advice=one.error or "",
        )
        for one in answers
    ]


def _status(checks: Sequence[Check]) -> int:
    return Exit.DONE if all(one.ready or one.optional for one in checks) else Exit.FAILED


def _print(title: str, checks: Sequence[Check]) -> None:
    """Print a line for each; what is missing gets what it would take below it."""
    from rich.text import Text  # noqa: PLC0415 - as above

    width = max(len(one.name) for one in checks) + 2
    lines = [Text(title, style="italic")]
    for one in checks:
        mark, style = (
            ("ok", "green") if one.ready else ("--", "") if one.optional else ("!!", "red")
        )
        lines.append(Text(f" {mark}  ", style=style) + Text(f"{one.name:<{width}}{one.detail}"))
        if not one.ready:
            lines += [Text(f"     {what}") for what in _lacking(one)]
    for line in lines:
        console().print(line, soft_wrap=True)


def _lacking(one: Check) -> list[str]:
    told = [one.advice]
    if one.tool is not None:
        if not one.tool.advice and one.tool.command not in one.advice:
            told.append(f"get it   {one.tool.command}")
        told += _facts(one.tool)
    return told


def _facts(tool: Tool) -> list[str]:
    return [f"size     {tool.size}", f"licence  {tool.licence}", f"from     {tool.source}"]


def _tools(found: Settings) -> dict[str, Tool]:
    from maquette import bootstrap  # noqa: PLC0415 - as above
    from maquette.services import health  # noqa: PLC0415 - as above

    _, operations, _ = bootstrap.registries(found)
    return health.tools(bootstrap.ready_providers(found), operations, bootstrap.other_tools())


@tools.command("list")
def list_tools(*, json: a.Json = False) -> None:
    """List the tools: what for, how large, whose licence, from where, and the command."""
    from maquette import bootstrap, settings  # noqa: PLC0415 - as above
    from maquette.services import health  # noqa: PLC0415 - as above

    found = settings.load()
    checks = [health.kernels_check(), *_plugin_checks(found), *bootstrap.other_checks(found)]
    missing = {one.tool.name for one in checks if one.tool is not None}
    keys = ("name", "state", "purpose", "size", "licence", "source", "command")
    rows = [
        (
            one.name,
            "missing" if one.name in missing or _lacks(one, found) else "ready",
            one.purpose,
            one.size,
            one.licence,
            one.source,
            one.command,
        )
        for one in _tools(found).values()
    ]
    if json:
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    for one, row in zip(_tools(found).values(), rows, strict=True):
        say(f"{one.name} ({row[1]}): {one.purpose}")
        for line in (*_facts(one), f"get it   {one.command}"):
            say(f"  {line}")


def _lacks(tool: Tool, found: Settings) -> bool:
    from maquette.services import tools as setting_up  # noqa: PLC0415 - as above

    return bool(setting_up.wanted(tool, found.weights_folder).packages)


@tools.command("setup")
def setup_tool(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[TOOL]", help="As `tools list` shows it; default kernels."),
    ] = None,
    *,
    weights: Annotated[
        str | None,
        typer.Option("--weights", metavar="A,B,…", help="Only these of its weights."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Fetch it without asking.")] = False,
) -> None:
    """Set a tool up; what would be fetched is said first, and waits for a yes."""
    from maquette import settings  # noqa: PLC0415 - as above
    from maquette.services import health  # noqa: PLC0415 - as above
    from maquette.services import tools as setting_up  # noqa: PLC0415 - as above

    if name in (None, health.KERNELS.name):
        warmup()
        return
    found = settings.load()
    tool = setting_up.find(_tools(found).values(), name or "")
    if tool.advice:
        say(f"{tool.name} cannot be fetched: {tool.advice}.")
        for line in _facts(tool):
            say(f"  {line}")
        return
    what = setting_up.wanted(tool, found.weights_folder, a.listed(weights))
    if what.nothing:
        say(f"{tool.name} is there already.")
        return
    _announce(what, found.weights_folder)
    if not yes and not (sys.stdin.isatty() and typer.confirm("Fetch it?")):
        say("Nothing was fetched. Add --yes to do it.")
        sys.exit(Exit.USAGE)
    _fetch(what, found)
    say(f"{tool.name} is ready. `maquette doctor` shows it.")


def _announce(what: Wanted, folder: Path) -> None:
    say(f"{what.tool.name}: {what.tool.purpose}")
    for line in _facts(what.tool):
        say(f"  {line}")
    for package in what.packages:
        say(f"  package  {package}")
    for one in what.files:
        size = f"{one.size_bytes / 1e6:.1f} MB" if one.size_bytes else "size unknown"
        say(f"  weights  {folder / one.path} ({size}, {one.licence}) from {one.address}")


def _fetch(what: Wanted, found: Settings) -> None:
    import asyncio  # noqa: PLC0415 - as above

    from maquette import bootstrap  # noqa: PLC0415 - as above
    from maquette.services import tools as setting_up  # noqa: PLC0415 - as above

    asyncio.run(setting_up.set_up(what, found.weights_folder, bootstrap.wire_rules(found), say))
    _, operations, _ = bootstrap.registries(found)
    operations.load_all()
    for name in operations:
        one = operations.get(name)
        if one is not None and one.tool is what.tool and one.warm is not None:
            say(f"preparing {name}, so that the first picture does not wait")
            _in_worker(one.warm)


def warmup() -> None:
    """Compile the pixel kernels now, so that the first picture does not wait."""
    import time  # noqa: PLC0415 - as above

    from maquette.services import health  # noqa: PLC0415 - as above

    began = time.monotonic()
    _in_worker(health.warm_kernels)
    say(f"kernels is ready ({time.monotonic() - began:.1f} s).")


def _in_worker(work: Callable[[], None]) -> None:
    """Compile or load something in a worker process, as pictures will be."""
    import asyncio  # noqa: PLC0415 - as above

    from maquette.jobs.workers import PixelPool  # noqa: PLC0415 - as above

    async def session() -> None:
        pool = PixelPool(workers=1, timeout_s=900)
        try:
            await pool.run(work)
        finally:
            await pool.close()

    asyncio.run(session())
