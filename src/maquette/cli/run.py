"""The main job: dry, run, resume, replay, cancel, runs, show, sheet."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from maquette.cli import arguments as a
from maquette.cli import mirror, plans
from maquette.cli.exits import Exit, status_of_state
from maquette.cli.flags import PlanFlags, RunFlags, takes
from maquette.cli.look import print_summary
from maquette.cli.screen import note, print_json, say
from maquette.cli.session import with_studio
from maquette.cli.watching import asked, spending_of, watched

if TYPE_CHECKING:
    from maquette.core.pipeline import BackgroundStep, RunOrder
    from maquette.services.planning import Plan
    from maquette.services.studio import Studio


def register(app: typer.Typer) -> None:
    """Add the commands of the main job."""
    app.command("dry")(dry)
    app.command("run")(run)
    app.command("resume")(resume)
    app.command("replay")(replay)
    app.command("cancel")(cancel)


@takes(PlanFlags)
def dry(flags: PlanFlags, *, json: a.Json = False) -> None:
    """Plan a run: what would be sent and the most it can cost. Sends nothing, writes nothing."""

    async def work(studio: Studio) -> Plan:
        return await _plan(studio, flags)

    planned = with_studio(work)
    if json:
        print_json(plans.document(planned))
    else:
        plans.show(planned)


@takes(PlanFlags, RunFlags)
def run(flags: PlanFlags, more: RunFlags, *, json: a.Json = False) -> None:
    """Do the main job: edit every scene, judge, pick the best, post-process, log."""
    spending = spending_of(more.max_spend, confirmed=more.confirm_spend)

    async def work(studio: Studio) -> int:
        from maquette.services import starting  # noqa: PLC0415 - `--help` need not wait for it

        await mirror.checked_before(studio, flags.project, more)
        planned = await _plan(studio, flags, confirmed=more.confirm_spend)
        if not json:
            plans.show_price(planned)
        run_id = await starting.start(studio, planned, asked(planned.worst_case, spending))
        status = await see(studio, run_id, as_json=json)
        if more.backend_db_ingest and more.backend_db is not None:
            await _ingest_elsewhere(
                studio, run_id, more.backend_db, required=more.backend_db_required
            )
        if status == Exit.INTERRUPTED:
            return status
        synced = await mirror.synced_after(studio, flags.project, planned.root, more)
        return status or synced

    sys.exit(with_studio(work))


async def _plan(studio: Studio, flags: PlanFlags, *, confirmed: bool = True) -> Plan:
    from maquette.services import planning, projects  # noqa: PLC0415 - as above

    if flags.qa_python_bin is not None or flags.backend_python_bin is not None:
        note("--qa-python-bin and --backend-python-bin are ignored: Maquette is one Python.")
    order = _order(flags)
    root = await projects.root_of(
        studio,
        order.project,
        flags.project_root,
        resolve=flags.backend_storage_resolve,
        required=flags.backend_storage_required,
    )
    return await planning.plan(studio, order, root, confirmed=confirmed)


def _order(flags: PlanFlags) -> RunOrder:
    from maquette.cli import order as o  # noqa: PLC0415 - as above

    switches = (flags.post_bg_remove, flags.post_upscale, flags.post_color)
    post = None
    if any(switch is not None for switch in switches):
        post = o.post_chain(
            background=_background(flags) if switches[0] else None,
            upscale=bool(switches[1]),
            upscale_backend=flags.upscale_backend,
            upscale_scale=flags.upscale_scale,
            colour=bool(switches[2]),
            colour_profile=flags.post_color_profile,
        )
    return o.run_order(
        project=flags.project,
        input=flags.input,
        scene_refs=a.listed_paths(flags.scene_refs),
        style_refs=a.listed_paths(flags.style_refs),
        manifest=flags.manifest,
        prompt=flags.prompt,
        negative_prompt=flags.negative_prompt,
        provider=flags.provider,
        model=flags.model,
        size=None if flags.size is None else o.parse_size(flags.size),
        seed=flags.seed,
        options=o.parse_options(flags.option or []),
        candidates=flags.candidates,
        max_candidates=flags.max_candidates,
        allow_many_candidates=flags.allow_many_candidates,
        guard=o.guard_rules(
            enabled=flags.output_guard_enabled,
            grayscale=flags.enforce_grayscale,
            max_chroma=flags.max_chroma_delta,
            fail=flags.fail_on_chroma_exceed,
        ),
        post=post,
        archive_replaced=flags.archive_replaced,
    )


def _background(flags: PlanFlags) -> BackgroundStep:
    from maquette.cli import order as o  # noqa: PLC0415 - as above

    return o.background_step(
        a.listed(flags.bg_remove_backends),
        refine=flags.bg_refine,
        required=flags.bg_refine_required,
        model=flags.bg_refine_model,
        prompt=flags.bg_refine_prompt,
    )


async def _ingest_elsewhere(studio: Studio, run_id: str, path: Path, *, required: bool) -> None:
    from maquette import bootstrap  # noqa: PLC0415 - as above
    from maquette.core.errors import MaquetteError  # noqa: PLC0415 - as above
    from maquette.services import viewing  # noqa: PLC0415 - as above

    try:
        other = bootstrap.open_other_database(path)
        try:
            await viewing.copy_run(studio, run_id, other)
        finally:
            await other.close()
    except MaquetteError as error:
        if required:
            raise
        note(f"the run log was not ingested into {path}: {error}")


async def see(studio: Studio, run_id: str, *, as_json: bool) -> int:
    """Work or follow a run with progress on screen; return the exit status."""
    from maquette.services import sheets, viewing  # noqa: PLC0415 - as above

    state = await watched(studio, run_id, silent=as_json)
    summary = await viewing.summary(studio, run_id)
    if summary.made:
        summary = await sheets.with_sheet(studio, summary)
    if as_json:
        print_json(viewing.document(summary))
    else:
        print_summary(summary)
    return status_of_state(state)


def resume(
    run: a.RunId,
    *,
    confirm_spend: a.ConfirmSpend = False,
    max_spend: a.MaxSpend = None,
    json: a.Json = False,
) -> None:
    """Go on with a run that was interrupted, cancelled or failed; nothing is paid twice."""
    spending = spending_of(max_spend, confirmed=confirm_spend)

    async def work(studio: Studio) -> int:
        from maquette.services import running  # noqa: PLC0415 - as above

        return await see(studio, await running.resume(studio, run, spending), as_json=json)

    sys.exit(with_studio(work))


def replay(
    run: a.RunId,
    *,
    confirm_spend: a.ConfirmSpend = False,
    max_spend: a.MaxSpend = None,
    json: a.Json = False,
) -> None:
    """Run it again from its log: same bytes where the model is deterministic."""
    spending = spending_of(max_spend, confirmed=confirm_spend)

    async def work(studio: Studio) -> int:
        from maquette.services import replaying  # noqa: PLC0415 - as above

        return await see(studio, await replaying.replay(studio, run, spending), as_json=json)

    sys.exit(with_studio(work))


async def _tell_nobody(_event: object) -> None:
    return None


def cancel(run: a.RunId) -> None:
    """Ask a run to end; calls that were paid are waited for and kept."""

    async def work(studio: Studio) -> str:
        from maquette.core.states import JobState  # noqa: PLC0415 - as above
        from maquette.services import running, viewing  # noqa: PLC0415 - as above

        found = await viewing.summary(studio, run)
        if JobState(found.state).final:
            return f"Run {found.run} has ended already: {found.state}."
        await running.cancel(studio, found.run)
        leaving = asyncio.Event()
        leaving.set()
        state = await running.see_through(studio, found.run, _tell_nobody, leaving)
        return f"Run {found.run} has ended: {state}."

    say(with_studio(work))
