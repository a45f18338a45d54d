"""`maquette voice …`: texts spoken, recordings written down."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from maquette.cli import arguments as a
from maquette.cli.screen import note, print_json, say
from maquette.cli.session import with_studio
from maquette.cli.watching import spending_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from maquette.core.people import Caller
    from maquette.core.speech import Voices
    from maquette.db.tables import Project
    from maquette.services.studio import Studio

T = TypeVar("T")
app = typer.Typer(help="Speech: spoken, and written down.", no_args_is_help=True)

InProject = Annotated[
    str | None,
    typer.Option("--project", metavar="NAME", help="Record it there; needed where it costs."),
]


@app.command("say")
def say_(  # noqa: PLR0913 - a command has the flags it has
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say.")],
    *,
    output: Annotated[Path, typer.Option("--output", metavar="FILE.wav", help="A new file.")],
    voice: Annotated[
        str, typer.Option("--voice", metavar="ID", help="Such as en-us, de, or a service's alloy.")
    ] = "",
    rate: Annotated[float, typer.Option("--rate", help="Times the usual speed.")] = 1.0,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="wav, mp3, flac or opus.")
    ] = "",
    project: InProject = None,
    confirm_spend: a.ConfirmSpend = False,
    max_spend: a.MaxSpend = None,
    json: a.Json = False,
) -> None:
    """Speak a text into a file."""
    from maquette.services import voices  # noqa: PLC0415 - `--help` need not wait for it

    wanted = voices.Wanted(text, voice, rate, form)
    _check_new(output)
    if project is None:
        spoken = _aside(lambda by: voices.say_aside(by, wanted))
        data, source, used = spoken.audio.data, spoken.source, spoken.voice
    else:
        spending = spending_of(max_spend, confirmed=confirm_spend)

        async def work(studio: Studio, found: Project, caller: Caller) -> tuple[bytes, Any]:
            row = await voices.speak(studio, found, caller, wanted, spending)
            storage, stored = await voices.sound(studio, found, row)
            return await storage.read(stored.key), row.data

        data, told = _in_project(project, work)
        source, used = told["source"], told["voice"]
    _write(output, data)
    if json:
        print_json({"file": output, "size_bytes": len(data), "source": source, "voice": used})
    else:
        say(str(output))
        note(f"spoken by {source}, voice {used}.")


@app.command("hear")
def hear(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="WAV; a service reads more.")],
    *,
    propose: Annotated[
        bool, typer.Option("--propose", help="Make a command an instruction that waits.")
    ] = False,
    project: InProject = None,
    confirm_spend: a.ConfirmSpend = False,
    max_spend: a.MaxSpend = None,
    json: a.Json = False,
) -> None:
    """Write down what is said in a recording."""
    from maquette.core.errors import BadParameter  # noqa: PLC0415 - as above
    from maquette.services import voices  # noqa: PLC0415 - as above

    data = _read(file)
    if project is None:
        if propose:
            raise BadParameter("An instruction belongs to a project; name one with --project.")
        heard = _aside(lambda by: voices.hear_aside(by, data))
        told: dict[str, Any] = {
            "text": heard.text,
            "source": heard.source,
            "confidence": heard.confidence,
            "alternatives": list(heard.alternatives),
            "command": heard.command,
            "note": heard.note,
        }
    else:
        spending = spending_of(max_spend, confirmed=confirm_spend)

        async def work(studio: Studio, found: Project, caller: Caller) -> dict[str, Any]:
            row = await voices.listen(studio, found, caller, data, spending, propose=propose)
            return {"text": row.text, **row.data}

        told = _in_project(project, work)
    if json:
        print_json(told)
    else:
        _tell(told)


def _tell(told: dict[str, Any]) -> None:
    say(told["text"] or "(nothing that could be made out)")
    for other in told["alternatives"]:
        note(f"perhaps: {other}")
    proposal = told.get("proposal")
    if proposal is not None and "id" in proposal:
        note(f"proposed; `maquette instruct confirm {proposal['id']}` lets it be done.")
    elif proposal is not None:
        note(proposal["problem"])
    if told["note"]:
        note(told["note"])


def _aside(work: Callable[[Voices], Awaitable[T]]) -> T:
    """Do it in no project, with the installation's keys."""
    return with_studio(lambda studio: work(studio.voices(studio.keys.get)))


def _in_project(slug: str, work: Callable[[Studio, Project, Caller], Awaitable[T]]) -> T:
    async def session(studio: Studio) -> T:
        from maquette.services import people, projects  # noqa: PLC0415 - as above

        found = await projects.find(studio, slug)
        return await work(studio, found, await people.local(studio))

    return with_studio(session)


def _check_new(path: Path) -> None:
    """Refuse before anything is paid what could not be written."""
    from maquette.core.errors import AlreadyExists, FileMissing  # noqa: PLC0415 - as above

    if path.exists():
        raise AlreadyExists(f"There is a file {str(path)!r} already; choose another name.")
    if not path.absolute().parent.is_dir():
        raise FileMissing(f"There is no folder {str(path.absolute().parent)!r}; make it first.")


def _write(path: Path, data: bytes) -> None:
    from maquette.disk import write_durably  # noqa: PLC0415 - as above

    write_durably(path, data, scratch=path.absolute().parent)


def _read(path: Path) -> bytes:
    from maquette.core.errors import BadParameter, FileMissing  # noqa: PLC0415 - as above
    from maquette.core.speech import MOST_AUDIO_BYTES  # noqa: PLC0415 - as above

    if not path.is_file():
        raise FileMissing(f"There is no recording {str(path)!r}; check the path.")
    if path.stat().st_size > MOST_AUDIO_BYTES:
        raise BadParameter(
            f"{str(path)!r} is over {MOST_AUDIO_BYTES // 1_000_000} MB; send a shorter one."
        )
    return path.read_bytes()
