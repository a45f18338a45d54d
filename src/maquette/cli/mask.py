"""`maquette mask …`: masks found in pictures, and masks adjusted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import arguments as a
from maquette.cli.screen import note, print_json, say
from maquette.cli.session import with_studio
from maquette.cli.watching import asked, spending_of, watched

if TYPE_CHECKING:
    from maquette.core.masks import Adjust
    from maquette.services.automask import Found, Order
    from maquette.services.maskwishes import MaskWanted
    from maquette.services.starting import Spending
    from maquette.services.studio import Studio

app = typer.Typer(help="Masks: found, and adjusted.", no_args_is_help=True)

Invert = Annotated[bool, typer.Option("--invert", help="Mark what is not marked.")]
Grow = Annotated[int, typer.Option("--grow-px", metavar="PX", help="Mark so far around.")]
Shrink = Annotated[int, typer.Option("--shrink-px", metavar="PX", help="Unmark so far inside.")]
Feather = Annotated[
    float, typer.Option("--feather-px", metavar="PX", help="A soft edge, inside the marks.")
]


@app.command("auto")
def auto(  # noqa: PLR0913 - a command has the flags it has
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The picture.")],
    *,
    project: a.Project,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE.png", help="Also a new file.")
    ] = None,
    click: Annotated[
        list[str] | None, typer.Option("--click", metavar="X,Y", help="On it; again for more.")
    ] = None,
    not_: Annotated[
        list[str] | None, typer.Option("--not", metavar="X,Y", help="On what is not wanted.")
    ] = None,
    box: Annotated[
        str | None, typer.Option("--box", metavar="X,Y,X,Y", help="Around one thing.")
    ] = None,
    background: Annotated[
        bool, typer.Option("--background", help="Mark the subject; with --invert, what is behind.")
    ] = False,
    words: Annotated[
        str | None, typer.Option("--words", metavar="TEXT", help="Let an edit model find it.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="PROVIDER:MODEL", help="Of --words.")
    ] = None,
    way: Annotated[
        str, typer.Option("--way", metavar="paint|erase", help="How the model shows it.")
    ] = "paint",
    backend: Annotated[
        str, typer.Option("--backend", metavar="NAME", help="Such as rembg, or sam for clicks.")
    ] = "",
    invert: Invert = False,
    grow_px: Grow = 0,
    shrink_px: Shrink = 0,
    feather_px: Feather = 0.0,
    form: Annotated[
        str, typer.Option("--format", metavar="mask|transparent", help="What is edited.")
    ] = "mask",
    confirm_spend: a.ConfirmSpend = False,
    max_spend: a.MaxSpend = None,
    json: a.Json = False,
) -> None:
    """Mark what is clicked on, what stands before the background, or what words name."""
    from maquette.services import maskfiles, maskwishes  # noqa: PLC0415 - as for `--help`

    sam, _, sam_model = backend.partition(":")
    clicks = bool(click or not_ or box)
    method = "background" if background else "sam" if clicks and sam == "sam" else None
    said: dict[str, Any] = {
        "method": method,
        "points": [_numbers("--click", one, 2) for one in click or ()],
        "not_points": [_numbers("--not", one, 2) for one in not_ or ()],
        "box": None if box is None else _numbers("--box", box, 4),
        "backend": sam_model if method == "sam" else backend,
        "words": words,
        "model": model,
        "way": way,
        "invert": invert,
        "grow_px": grow_px,
        "shrink_px": shrink_px,
        "feather_px": feather_px,
        "format": form,
    }
    wanted = maskwishes.read(said)
    _check_new(output)
    spending = spending_of(max_spend, confirmed=confirm_spend)

    async def work(studio: Studio) -> tuple[Found, bytes]:
        from maquette.services.automask import Order  # noqa: PLC0415 - as above

        found_project, of = await maskfiles.taken_in(studio, project, file)
        order = Order(found_project, of, None, wanted.adjust())
        found = await _found(studio, order, wanted, spending, silent=json)
        data = await maskfiles.handed_out(studio, found_project, found.mask, wanted.format)
        return found, data

    found, data = with_studio(work)
    if output is not None:
        _write(output, data)
    if json:
        print_json(_document(found, output))
        return
    say(str(output or found.mask.asset))
    _remark(found)


async def _found(
    studio: Studio, order: Order, wanted: MaskWanted, spending: Spending, *, silent: bool
) -> Found:
    from maquette.services import asking, automask, maskfiles, wordmask  # noqa: PLC0415 - as above

    if wanted.chosen == "background":
        return await automask.find(studio, order, automask.removing(studio, wanted.backend))
    if wanted.chosen != "words":
        plan = automask.pointing(studio, order.of, wanted.pointed(), wanted.machine)
        return await automask.find(studio, order, plan)
    planned = await maskfiles.asked(studio, order.project, order.of, wanted)
    allowed = asked(planned.worst_case, spending)
    job_id = await asking.begin(studio, order.project, planned, allowed)
    await watched(studio, job_id.rpartition("-")[0], silent=silent)
    return await wordmask.of_job(studio, order, job_id, wanted.way)


def _document(found: Found, output: Path | None) -> dict[str, Any]:
    return {
        "asset": found.mask.asset,
        "file": output,
        "width": found.mask.input.width_px,
        "height": found.mask.input.height_px,
        "coverage": found.coverage,
        "method": found.method,
        "confidence": found.confidence,
        "draft": found.draft,
        "cost_usd": str(found.cost),
        "findings": [one.message for one in found.findings],
    }


def _remark(found: Found) -> None:
    sure = "" if found.confidence is None else f", confidence {found.confidence:.2f}"
    kind = "a draft by" if found.draft else "by"
    note(f"{found.coverage:.1%} marked, {kind} {found.method}{sure}.")
    for one in found.findings:
        note(one.message)


@app.command("adjust")
def adjust_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The mask.")],
    *,
    output: Annotated[Path, typer.Option("--output", metavar="FILE.png", help="A new file.")],
    marks: Annotated[
        str, typer.Option("--marks", metavar="white|opaque|transparent", help="What is edited.")
    ] = "white",
    invert: Invert = False,
    grow_px: Grow = 0,
    shrink_px: Shrink = 0,
    feather_px: Feather = 0.0,
    json: a.Json = False,
) -> None:
    """Invert, grow, shrink and soften a mask's file, in this order; white is edited then."""
    from maquette.services import maskfiles  # noqa: PLC0415 - as above

    adjust = _adjust(invert=invert, grow_px=grow_px, shrink_px=shrink_px, feather_px=feather_px)
    polarity = _polarity(marks)
    _check_new(output)

    async def work(studio: Studio) -> Any:
        return await maskfiles.adjusted(studio, file, polarity, adjust)

    made = with_studio(work)
    _write(output, made.data)
    if json:
        print_json({"file": output, "coverage": made.coverage})
    else:
        say(str(output))
        note(f"{made.coverage:.1%} marked.")


def _adjust(**said: float) -> Adjust:
    from pydantic import ValidationError  # noqa: PLC0415 - as above

    from maquette.core.errors import BadParameter  # noqa: PLC0415 - as above
    from maquette.core.masks import Adjust  # noqa: PLC0415 - as above

    try:
        return Adjust.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        flag = str(first["loc"][0]).replace("_", "-")
        raise BadParameter(f"--{flag} cannot be used: {first['msg']}.") from None


def _polarity(marks: str) -> Any:
    from typing import get_args  # noqa: PLC0415 - as above

    from maquette.core.errors import BadParameter  # noqa: PLC0415 - as above
    from maquette.core.masks import Polarity  # noqa: PLC0415 - as above

    if marks not in get_args(Polarity):
        raise BadParameter(f"--marks {marks!r} is none of {', '.join(get_args(Polarity))}.")
    return marks


def _numbers(flag: str, text: str, count: int) -> list[int]:
    from maquette.core.errors import BadParameter  # noqa: PLC0415 - as above

    parts = re.split(r"[\s,]+", text.strip())
    if len(parts) != count or not all(re.fullmatch(r"-?\d{1,9}", one) for one in parts):
        raise BadParameter(
            f"{flag} {text!r} cannot be read; write {count} whole numbers of pixels, as "
            f"{','.join(str(10 * n) for n in range(1, count + 1))}."
        )
    return [int(one) for one in parts]


def _check_new(output: Path | None) -> None:
    """Refuse before anything is paid what could not be written."""
    from maquette.core.errors import AlreadyExists, FileMissing  # noqa: PLC0415 - as above

    if output is None:
        return
    if output.exists():
        raise AlreadyExists(f"There is a file {str(output)!r} already; choose another name.")
    if not output.absolute().parent.is_dir():
        raise FileMissing(f"There is no folder {str(output.absolute().parent)!r}; make it first.")


def _write(output: Path, data: bytes) -> None:
    from maquette.disk import write_durably  # noqa: PLC0415 - as above

    write_durably(output, data, scratch=output.absolute().parent)
