"""`maquette instruct …`: instructions that the worker, or another agent, does."""

from __future__ import annotations

import json as j
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import arguments as a
from maquette.cli.screen import note, print_json, say, table
from maquette.cli.session import with_studio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from maquette.core.people import Caller
    from maquette.db.tables import Instruction, Project
    from maquette.services.studio import Studio

app = typer.Typer(help="Instructions, done by the worker.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The instruction's id.")]


@app.command("create")
def create(
    *,
    project: a.Project,
    kind: Annotated[
        str,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="pipeline_run, upscale, bgremove, color, qa, layers, export or sync_s3.",
        ),
    ],
    payload: Annotated[
        str,
        typer.Option("--payload", metavar="JSON", help="What it is told; @FILE reads it, - too."),
    ] = "{}",
    dispatch_to_agent: Annotated[
        bool | None,
        typer.Option(
            "--dispatch-to-agent/--no-dispatch-to-agent",
            help="Hand it to the agent; default: where one is configured.",
        ),
    ] = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Wait for `confirm` whatever it costs.")
    ] = False,
    json: a.Json = False,
) -> None:
    """Give an instruction; what may cost money waits for `maquette instruct confirm`."""
    given = _payload(payload)

    async def work(studio: Studio, found: Project, caller: Caller) -> Instruction:
        from maquette.core.errors import BadParameter  # noqa: PLC0415 - `--help` need not wait
        from maquette.core.instructions import InstructionKind  # noqa: PLC0415 - as above
        from maquette.services import instructing  # noqa: PLC0415 - as above

        if kind not in set(InstructionKind):
            known = ", ".join(InstructionKind)
            raise BadParameter(f"--type {kind!r} is none that there is; give one of {known}.")
        wanted = instructing.Wanted(InstructionKind(kind), given, dispatch_to_agent, draft)
        return await instructing.create(studio, found, caller, wanted)

    _print(_in_project(project, work), json=json)


@app.command("list")
def list_instructions(
    *,
    project: a.Project,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
    json: a.Json = False,
) -> None:
    """List a project's instructions, newest first."""

    async def work(studio: Studio, found: Project, _caller: Caller) -> Any:
        from maquette.services import instructing  # noqa: PLC0415 - as above

        return await instructing.listing(studio, found, state=None, limit=limit, before=None)

    rows = _in_project(project, work)
    if json:
        print_json([document(row) for row in rows])
        return
    table(
        "Instructions",
        ("id", "type", "state", ">at most", "run"),
        [(row.id, row.kind, row.state, f"${_price(row)}", row.run_id) for row in rows],
    )


@app.command("show")
def show(instruction: Id, *, project: a.Project, json: a.Json = False) -> None:
    """Show an instruction and what happened to it."""

    async def work(studio: Studio, found: Project, _caller: Caller) -> Any:
        from maquette.services import instructing  # noqa: PLC0415 - as above

        row = await instructing.show(studio, found, instruction)
        return row, await instructing.history(studio, found, row.id, after=0, limit=500)

    row, changes = _in_project(project, work)
    told = [{"kind": one.kind, "state": one.state, "at": one.at} for one in changes]
    if json:
        print_json(document(row) | {"events": told})
        return
    _print(row, json=False)
    table("Changes", ("at", "what", "state"), [(x["at"], x["kind"], x["state"]) for x in told])


@app.command("confirm")
def confirm(instruction: Id, *, project: a.Project, json: a.Json = False) -> None:
    """Let an instruction cost up to its worst case, and queue it."""

    async def work(studio: Studio, found: Project, caller: Caller) -> Instruction:
        from maquette.services import instructing  # noqa: PLC0415 - as above

        return await instructing.confirm(studio, found, caller, instruction)

    _print(_in_project(project, work), json=json)


@app.command("cancel")
def cancel(instruction: Id, *, project: a.Project, json: a.Json = False) -> None:
    """End an instruction, or ask what runs to end."""

    async def work(studio: Studio, found: Project, caller: Caller) -> Instruction:
        from maquette.services import instructing  # noqa: PLC0415 - as above

        return await instructing.cancel(studio, found, caller, instruction)

    _print(_in_project(project, work), json=json)


def _in_project(slug: str, work: Callable[[Studio, Project, Caller], Awaitable[Any]]) -> Any:
    async def session(studio: Studio) -> Any:
        from maquette.services import people, projects  # noqa: PLC0415 - as above

        found = await projects.find(studio, slug)
        return await work(studio, found, await people.local(studio))

    return with_studio(session)


def _payload(text: str) -> dict[str, Any]:
    """Read JSON from the command line, a file or standard input."""
    from maquette.core.errors import BadParameter, FileMissing  # noqa: PLC0415 - as above

    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        path = Path(text[1:])
        if not path.is_file():
            raise FileMissing(f"There is no file {str(path)!r} for --payload; check the path.")
        text = path.read_text(encoding="utf-8")
    try:
        found = j.loads(text)
    except ValueError as error:
        raise BadParameter(f"--payload is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise BadParameter('--payload is no JSON object; write one such as {"candidates": 3}.')
    return found  # pyright: ignore[reportUnknownVariableType] - checked by its type next


def document(row: Instruction) -> dict[str, Any]:
    """Return an instruction as programs read it, in the API's words."""
    error = {"code": row.error_code, "message": row.error_message}
    return {
        "id": row.id,
        "instruction_type": row.kind,
        "state": row.state,
        "payload_json": row.payload,
        "dispatch_to_agent": row.dispatch,
        "confirmed": row.confirmed,
        "worst_case_usd": _price(row),
        "run_id": row.run_id,
        "result": row.result,
        "error": None if row.error_code is None else error,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }


def _price(row: Instruction) -> str:
    from maquette.core import money  # noqa: PLC0415 - as above

    return str(money.from_nano(row.worst_case_nano))


def _print(row: Instruction, *, json: bool) -> None:
    if json:
        print_json(document(row))
        return
    say(f"{row.id}  {row.kind}  {row.state}")
    if row.run_id is not None:
        say(f"  run    {row.run_id}")
    if row.error_message is not None:
        say(f"  error  {row.error_message}")
    if row.state in ("draft", "awaiting_confirmation"):
        note(
            f"it may cost up to ${_price(row)} and waits for a word: `maquette instruct confirm "
            f"{row.id} --project NAME`."
        )
    elif row.state == "queued":
        note("a server or `maquette worker --once` does it.")
