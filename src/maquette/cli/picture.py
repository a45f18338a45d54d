"""The post steps by themselves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maquette.cli import arguments as a
from maquette.cli import flags as f
from maquette.cli import plans
from maquette.cli.exits import Exit
from maquette.cli.screen import note, print_json, say, table
from maquette.cli.session import with_studio
from maquette.cli.watching import asked, spending_of, watched

if TYPE_CHECKING:
    from maquette.jobs.backends import Step
    from maquette.services.pictures import Audit, Made
    from maquette.services.starting import Spending
    from maquette.services.studio import Studio

Output = Annotated[
    Path | None,
    typer.Option("--output", metavar="DIR", help="A folder below the root; each step has its own."),
]
Profile = Annotated[
    str,
    typer.Option(
        "--profile", "--post-color-profile", metavar="LOOK|FILE.cube", help="A look or a file."
    ),
]
Strength = Annotated[
    float, typer.Option("--strength", min=0, max=1, help="How much of the grade, 0 to 1.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("upscale")(upscale)
    app.command("bgremove")(bgremove)
    app.command("color")(color)
    app.command("qa")(qa)
    app.command("archivebad")(archivebad)


def upscale(
    *,
    project: a.Project,
    project_root: a.ProjectRoot = None,
    input: a.Input = None,  # noqa: A002 - the flag's name
    output: Output = None,
    upscale_backend: f.UpscaleBackend = None,
    upscale_scale: f.UpscaleScale = 2.0,
    archive_replaced: a.ArchiveReplaced = True,
    json: a.Json = False,
) -> None:
    """Enlarge pictures into upscaled/."""
    from maquette.cli.order import check_scale  # noqa: PLC0415 - `--help` need not wait for it
    from maquette.core.pipeline import UpscaleStep  # noqa: PLC0415 - as above

    step = UpscaleStep(backend=upscale_backend or "", scale=check_scale(upscale_scale))
    folder = ("upscaled", output)
    _post(project, project_root, input, folder, step, None, archive_replaced, json=json)


def bgremove(  # noqa: PLR0913 - a command has the flags it has
    *,
    project: a.Project,
    project_root: a.ProjectRoot = None,
    input: a.Input = None,  # noqa: A002 - the flag's name
    output: Output = None,
    bg_remove_backends: f.BgBackends = None,
    bg_refine: f.Refine = None,
    bg_refine_required: f.RefineRequired = False,
    bg_refine_model: f.RefineModel = None,
    bg_refine_prompt: f.RefinePrompt = None,
    confirm_spend: a.ConfirmSpend = False,
    max_spend: a.MaxSpend = None,
    archive_replaced: a.ArchiveReplaced = True,
    json: a.Json = False,
) -> None:
    """Remove backgrounds into background_removed/."""
    from maquette.cli.order import background_step  # noqa: PLC0415 - as above

    step = background_step(
        a.listed(bg_remove_backends),
        refine=bg_refine,
        required=bg_refine_required,
        model=bg_refine_model,
        prompt=bg_refine_prompt,
    )
    spending = spending_of(max_spend, confirmed=confirm_spend)
    folder = ("background_removed", output)
    _post(project, project_root, input, folder, step, spending, archive_replaced, json=json)


def color(
    *,
    project: a.Project,
    project_root: a.ProjectRoot = None,
    input: a.Input = None,  # noqa: A002 - the flag's name
    output: Output = None,
    profile: Profile = "cinematic_warm",
    strength: Strength = 1.0,
    archive_replaced: a.ArchiveReplaced = True,
    json: a.Json = False,
) -> None:
    """Grade colours into color_corrected/."""
    from maquette.cli.order import colour_step  # noqa: PLC0415 - as above

    step = colour_step(profile, strength)
    folder = ("color_corrected", output)
    _post(project, project_root, input, folder, step, None, archive_replaced, json=json)


def _post(
    project: str,
    project_root: Path | None,
    given: Path | None,
    folder: tuple[str, Path | None],
    step: Step,
    spending: Spending | None,
    archive: bool,  # noqa: FBT001 - the flag's value
    *,
    json: bool,
) -> None:
    async def work(studio: Studio) -> list[Made]:
        from maquette.services import projects, stepping  # noqa: PLC0415 - as above

        allowed = spending or spending_of(None, confirmed=False)
        root = await projects.root_of(studio, project, project_root)
        order = stepping.PostOrder(
            project=project,
            root=root,
            input=given or root / "outputs",
            output=_below(studio, root, *folder),
            step=step,
            archive_replaced=archive,
        )
        planned = await stepping.plan(studio, order, allowed)
        if not json:
            plans.show_notes(planned.notes, planned.worst_case)
        run_id = await stepping.start(studio, planned, asked(planned.worst_case, allowed))
        if run_id is not None:
            await watched(studio, run_id, silent=json)
        return await stepping.made(studio, planned, run_id)

    made = with_studio(work)
    if json:
        print_json(made)
    else:
        table(
            "Pictures",
            ("input", "output", "by", "replaced", "remarks"),
            [
                (one.source, one.output, one.operation, one.replaced, one.error or _remarks(one))
                for one in made
            ],
        )
    sys.exit(Exit.FAILED if any(one.error for one in made) else Exit.DONE)


def _remarks(made: Made) -> str:
    return "; ".join(finding.message for finding in made.findings)


def _below(studio: Studio, root: Path, default: str, output: Path | None) -> str:
    """Return `--output` as a name below the root."""
    from maquette.core.errors import UnsafePath  # noqa: PLC0415 - as above

    if output is None:
        return default
    folders = studio.shop.place(root).folders
    absolute = output.absolute()
    relative = folders.relative(absolute if folders.relative(absolute) else root / output)
    if relative is None:
        raise UnsafePath(
            f"--output {str(output)!r} is outside the project's root {str(root)!r}; nothing is "
            "ever written there. Give a folder below the root."
        )
    return relative


def qa(
    *,
    project: a.Project,
    project_root: a.ProjectRoot = None,
    input: a.Input = None,  # noqa: A002 - the flag's name
    enforce_grayscale: f.Grayscale = False,
    max_chroma_delta: f.MaxChroma = None,
    fail_on_chroma_exceed: f.FailChroma = None,
    qa_python_bin: f.IgnoredPython = None,
    json: a.Json = False,
) -> None:
    """Let the guard judge existing pictures; changes nothing. Exit status 4 where one fails."""
    from maquette.cli.order import guard_rules  # noqa: PLC0415 - as above

    if qa_python_bin is not None:
        note("--qa-python-bin is ignored: Maquette is one Python.")
    rules = guard_rules(
        enabled=True,
        grayscale=enforce_grayscale,
        max_chroma=max_chroma_delta,
        fail=fail_on_chroma_exceed,
    )

    async def work(studio: Studio) -> list[Audit]:
        from maquette.services import pictures, projects  # noqa: PLC0415 - as above

        root = await projects.root_of(studio, project, project_root)
        return await pictures.qa(studio, input or root / "outputs", rules)

    audits = with_studio(work)
    if json:
        print_json(audits)
    else:
        table(
            "Quality",
            ("picture", "verdict", "findings"),
            [
                (
                    one.path,
                    "passed" if one.verdict.passed else "failed",
                    "; ".join(finding.message for finding in one.verdict.findings) or "-",
                )
                for one in audits
            ],
        )
    sys.exit(Exit.DONE if all(one.verdict.passed for one in audits) else Exit.GUARD)


def archivebad(
    *,
    project: a.Project,
    project_root: a.ProjectRoot = None,
    input: Annotated[  # noqa: A002 - the flag's name
        Path, typer.Option("--input", metavar="FILE_OR_DIR", help="What to move away.")
    ],
    json: a.Json = False,
) -> None:
    """Move rejected pictures to archive/bad/."""

    async def work(studio: Studio) -> list[Made]:
        from maquette.services import pictures, projects  # noqa: PLC0415 - as above

        root = await projects.root_of(studio, project, project_root)
        return await pictures.archive_bad(studio, project, root, input)

    moved = with_studio(work)
    if json:
        print_json(moved)
        return
    for one in moved:
        say(f"{one.source} → {one.output}")
