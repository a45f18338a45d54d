"""Is everything there? config, plugins, doctor, tools, warmup."""

from __future__ import annotations

import sys
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import arguments as a
from maquette.cli.exits import Exit
from maquette.cli.screen import print_json, say, table

if TYPE_CHECKING:
    from maquette.core.provider import Provider
    from maquette.services.health import Check

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
    lines = _plugin_lines()
    if json:
        print_json(lines)
    else:
        _print("Plugins", lines)
    sys.exit(Exit.DONE if all(one.ready for one in lines) else Exit.FAILED)


def _plugin_lines() -> list[Check]:
    from maquette import bootstrap, settings  # noqa: PLC0415 - as above
    from maquette.services import health  # noqa: PLC0415 - as above

    found = settings.load()
    providers, operations, storages = bootstrap.registries(found)
    return [
        *health.plugin_lines(
            "provider", providers, lambda kind: _provider_words(bootstrap.build(found, kind))
        ),
        *health.plugin_lines(
            "operation", operations, lambda one: health.operation_words(one, found.weights_folder)
        ),
        *health.plugin_lines("storage", storages, lambda kind: (kind.__doc__ or "").split("\n")[0]),
    ]


def _provider_words(provider: Provider) -> str:
    today = date.today()  # noqa: DTZ011 - a shutdown is a calendar day
    living = [one for one in provider.models() if one.shutdown is None or one.shutdown > today]
    words = "; ".join(
        f"{model.id}: {', '.join(sorted(model.modes))}{'' if model.paid else ', free'}"
        for model in living
    )
    missing = provider.missing()
    return words if missing is None else f"{missing} Then: {words}"


def doctor(*, json: a.Json = False) -> None:
    """Look at everything; say what is missing and how to get it."""
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
    for tool in health.tools().values():
        ready = tool.ready()
        advice = "" if ready else f"maquette tools setup {tool.name}"
        checks.append(health.Check(f"tool {tool.name}", ready, tool.purpose, advice))
    checks += _plugin_lines()
    if json:
        print_json(checks)
    else:
        _print("Doctor", checks)
    sys.exit(Exit.DONE if all(one.ready for one in checks) else Exit.FAILED)


def _print(title: str, checks: list[Check]) -> None:
    table(
        title,
        ("", "what", "detail", "what to do"),
        [("ok" if one.ready else "!!", one.name, one.detail, one.advice) for one in checks],
    )


@tools.command("list")
def list_tools(*, json: a.Json = False) -> None:
    """List the tools: what for, how large, whose licence, from where."""
    from maquette.services import health  # noqa: PLC0415 - as above

    rows = [
        (one.name, "ready" if one.ready() else "missing", one.purpose, one.size, one.licence)
        for one in health.tools().values()
    ]
    if json:
        keys = ("name", "state", "purpose", "size", "licence")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    table("Tools", ("tool", "state", "what for", "size", "licence"), rows)


@tools.command("setup")
def setup_tool(
    name: Annotated[
        str | None, typer.Argument(metavar="[TOOL]", help="As `tools list` shows it; default all.")
    ] = None,
) -> None:
    """Set a tool up."""
    from maquette.services import health  # noqa: PLC0415 - as above

    for one in [name] if name is not None else list(health.tools()):
        _set_up(one)


def warmup() -> None:
    """Compile the pixel kernels now, so that the first picture does not wait."""
    _set_up("kernels")


def _set_up(name: str) -> None:
    import asyncio  # noqa: PLC0415 - as above
    import time  # noqa: PLC0415 - as above

    from maquette.jobs.workers import PixelPool  # noqa: PLC0415 - as above
    from maquette.services import health  # noqa: PLC0415 - as above

    async def work() -> None:
        pool = PixelPool(workers=1, timeout_s=600)
        try:
            await health.set_up(pool, name)
        finally:
            await pool.close()

    began = time.monotonic()
    asyncio.run(work())
    say(f"{name} is ready ({time.monotonic() - began:.1f} s).")
