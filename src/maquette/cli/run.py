"""The main job: dry, run, resume, replay, cancel, runs, show, sheet."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maquette.cli import arguments as a
from maquette.cli.exits import status_of_state
from maquette.cli.flags import PlanFlags, RunFlags, takes
from maquette.cli.screen import note, print_json, say, table
from maquette.cli.session import on_interrupt, with_studio

if TYPE_CHECKING:
    from maquette.core.pipeline import RunOrder
    from maquette.services.planning import Plan
    from maquette.services.running import Spending
    from maquette.services.studio import Studio


def register(app: typer.Typer) -> None:
    """Add the commands of the main job."""
    app.command("dry")(dry)
    app.command("run")(run)
    app.command("resume")(resume)
    app.command("replay")(replay)
    app.command("cancel")(cancel)
    app.command("runs")(list_runs)
    app.command("show")(show)
    app.command("sheet")(sheet)


@takes(PlanFlags)
def dry(flags: PlanFlags, *, json: a.Json = False) -> None:
    """Plan a run: what would be sent and the most it can cost. Sends nothing, writes nothing."""

    async def work(studio: Studio) -> Plan:
        return await _plan(studio, flags)

    planned = with_studio(work)
    if json:
        print_json(_plan_document(planned))
    else:
        _print_plan(planned)


@takes(PlanFlags, RunFlags)
def run(flags: PlanFlags, more: RunFlags, *, json: a.Json = False) -> None:
    """Do the main job: edit every scene, judge, pick the best, post-process, log."""
    _refuse_mirror(more)
    spending = _spending(more.max_spend, confirmed=more.confirm_spend)

    async def work(studio: Studio) -> int:
        from maquette.services import running  # noqa: PLC0415 - `--help` need not wait for it

        planned = await _plan(studio, flags)
        if not json:
            _print_price(planned)
        run_id = await running.start(studio, planned, _ask(planned, spending))
        status = await see(studio, run_id, as_json=json)
        if more.backend_db_ingest and more.backend_db is not None:
            await _ingest_elsewhere(
                studio, run_id, more.backend_db, required=more.backend_db_required
            )
        return status

    sys.exit(with_studio(work))


def _refuse_mirror(more: RunFlags) -> None:
    """Say before any work that there is no S3 mirror to sync to."""
    from maquette.core.errors import BadParameter  # noqa: PLC0415 - as above

    if more.storage_sync_required:
        raise BadParameter(
            "--storage-sync-required is set, but this project has no S3 mirror; nothing was "
            "started. Leave the flag out."
        )
    if more.storage_sync_s3 or more.storage_sync_dry_run or more.storage_sync_delete:
        note("the project has no S3 mirror, so nothing will be synced.")


def _spending(max_spend: str | None, *, confirmed: bool) -> Spending:
    from maquette.core.money import parse_usd  # noqa: PLC0415 - as above
    from maquette.services.running import Spending  # noqa: PLC0415 - as above

    return Spending(confirmed, None if max_spend is None else parse_usd(max_spend))


def _ask(planned: Plan, spending: Spending) -> Spending:
    """Let a person at a terminal type the confirmation instead of the flag."""
    from maquette.core import money  # noqa: PLC0415 - as above
    from maquette.services.running import Spending  # noqa: PLC0415 - as above

    if planned.worst_case == 0 or spending.confirmed or not sys.stdin.isatty():
        return spending
    price = money.show(planned.worst_case)
    typed = typer.prompt(f"This may cost up to {price}. Type the amount to go on", default="no")
    return Spending(str(typed).strip().lstrip("$") == price.lstrip("$"), spending.max_spend)


async def _plan(studio: Studio, flags: PlanFlags) -> Plan:
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
    return await planning.plan(studio, order, root)


def _order(flags: PlanFlags) -> RunOrder:
    from maquette.cli import order as o  # noqa: PLC0415 - as above

    switches = (flags.post_bg_remove, flags.post_upscale, flags.post_color)
    post = None
    if any(switch is not None for switch in switches):
        post = o.post_chain(
            background=bool(switches[0]),
            backends=a.listed(flags.bg_remove_backends),
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


def _plan_document(planned: Plan) -> dict[str, Any]:
    return {
        "project": planned.order.project,
        "root": str(planned.root),
        "provider": planned.provider,
        "model": planned.profile.id,
        "calls": planned.calls,
        "worst_case_usd": str(planned.worst_case),
        "needs_confirmation": planned.worst_case > 0,
        "notes": list(planned.notes),
        "jobs": [
            {
                "scene": job.spec.scene,
                "source": str(job.source.path),
                "worst_case_usd": str(job.worst_case),
                "spec": job.spec.model_dump(mode="json"),
            }
            for job in planned.jobs
        ],
    }


def _print_plan(planned: Plan) -> None:
    from maquette.core import money  # noqa: PLC0415 - as above

    table(
        f"Plan for {planned.order.project}: {planned.provider}:{planned.profile.id}, "
        f"{planned.calls} calls",
        ("scene", "size", ">candidates", "refs", "post chain", ">at most"),
        [
            (
                job.spec.scene,
                _size_words(job.spec.request.size, job.spec.source),
                job.spec.candidates,
                ", ".join(ref.path.name for ref in job.references) or "-",
                " → ".join(job.spec.post.names()) or "-",
                money.show(job.worst_case),
            )
            for job in planned.jobs
        ],
    )
    for line in planned.notes:
        say(f"  · {line}")
    _print_price(planned)


def _print_price(planned: Plan) -> None:
    from maquette.core import money  # noqa: PLC0415 - as above

    price = money.show(planned.worst_case)
    need = "needs --confirm-spend" if planned.worst_case > 0 else "no confirmation needed"
    scenes = f"{len(planned.jobs)} scenes, {planned.calls} calls"
    say(f"  {scenes}. Price: at most {price}; {need}.")


def _size_words(size: Any, source: Any) -> str:
    if isinstance(size, tuple):
        return f"{size[0]}x{size[1]}"
    if size == "source" and source is not None:
        return f"{source.width_px}x{source.height_px} (source)"
    return str(size)


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
    from maquette.cli.progress import Progress  # noqa: PLC0415 - as above
    from maquette.services import running, viewing  # noqa: PLC0415 - as above

    leaving = asyncio.Event()

    async def stop() -> None:
        leaving.set()
        note("stopping: a call that was already paid is waited for. Ctrl-C again leaves at once.")
        await running.cancel(studio, run_id)

    on_interrupt(stop)
    with Progress(await viewing.size_of(studio, run_id), silent=as_json) as progress:
        state = await running.see_through(studio, run_id, progress.tell, leaving)
    summary = await viewing.summary(studio, run_id)
    if summary.made:
        summary = await viewing.with_sheet(studio, summary)
    if as_json:
        print_json(viewing.document(summary))
    else:
        _print_summary(summary)
    return status_of_state(state)


def _print_summary(summary: Any) -> None:
    from maquette.core import money  # noqa: PLC0415 - as above

    table(
        f"Run {summary.run}: {summary.state}, {money.show(summary.spent)} spent",
        ("scene", "state", "winner", "guard", "final"),
        [
            (job.scene, job.state, job.winner, job.guard, job.final or job.problem)
            for job in summary.jobs
        ],
    )
    for job in summary.jobs:
        if job.problem:
            say(f"  {job.scene}: {job.problem}")
    say(f"  run log        {summary.log}")
    if summary.sheet:
        say(f"  contact sheet  {summary.sheet}")
    for line in summary.differences:
        say(f"  {line}")
    say("Next:")
    for command, why in summary.next_commands:
        say(f"  {command:<44}  {why}")


RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, a part of it, or `latest`.")]


def resume(
    run: RunId,
    *,
    confirm_spend: a.ConfirmSpend = False,
    max_spend: a.MaxSpend = None,
    json: a.Json = False,
) -> None:
    """Go on with a run that was interrupted, cancelled or failed; nothing is paid twice."""
    spending = _spending(max_spend, confirmed=confirm_spend)

    async def work(studio: Studio) -> int:
        from maquette.services import running  # noqa: PLC0415 - as above

        return await see(studio, await running.resume(studio, run, spending), as_json=json)

    sys.exit(with_studio(work))


def replay(
    run: RunId,
    *,
    confirm_spend: a.ConfirmSpend = False,
    max_spend: a.MaxSpend = None,
    json: a.Json = False,
) -> None:
    """Run it again from its log: same bytes where the model is deterministic."""
    spending = _spending(max_spend, confirmed=confirm_spend)

    async def work(studio: Studio) -> int:
        from maquette.services import running  # noqa: PLC0415 - as above

        return await see(studio, await running.replay(studio, run, spending), as_json=json)

    sys.exit(with_studio(work))


def cancel(run: RunId) -> None:
    """Ask a run to end; calls that were paid are waited for and kept."""

    async def work(studio: Studio) -> str:
        from maquette.core.states import JobState  # noqa: PLC0415 - as above
        from maquette.services import running, viewing  # noqa: PLC0415 - as above

        found = await viewing.summary(studio, run)
        await running.cancel(studio, found.run)
        if JobState(found.state).final:
            return f"Run {found.run} has ended already: {found.state}."
        return f"Run {found.run} will stop at the next step."

    say(with_studio(work))


def list_runs(
    *,
    project: Annotated[
        str | None, typer.Option("--project", metavar="NAME", help="Only this project's.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many.")] = 20,
    before: Annotated[
        str | None, typer.Option("--before", metavar="RUN", help="Older than this run.")
    ] = None,
    json: a.Json = False,
) -> None:
    """List runs, newest first."""

    async def work(studio: Studio) -> list[Any]:
        from maquette.services import viewing  # noqa: PLC0415 - as above

        return await viewing.listing(studio, project, limit, before)

    found = with_studio(work)
    if json:
        print_json(found)
        return
    table(
        "Runs",
        ("run", "project", "state", ">scenes", ">spent", "began"),
        [
            (one.run, one.project, one.state, one.scenes, one.spent_text, f"{one.began:%F %H:%M}")
            for one in found
        ],
    )


def show(
    what: Annotated[
        str, typer.Argument(metavar="RUN|ASSET", help="A run, or an asset and its family.")
    ],
    *,
    json: a.Json = False,
) -> None:
    """Show a run's pictures and money, or an asset's lineage both ways."""

    async def work(studio: Studio) -> Any:
        from maquette.core.errors import RunNotFound  # noqa: PLC0415 - as above
        from maquette.services import keeping, viewing  # noqa: PLC0415 - as above

        try:
            return await viewing.summary(studio, what)
        except RunNotFound:
            return await keeping.lineage(studio, what)

    from maquette.cli.family import lineage_document, print_lineage  # noqa: PLC0415 - as above
    from maquette.services import viewing  # noqa: PLC0415 - as above

    found = with_studio(work)
    if isinstance(found, viewing.Summary):
        if json:
            print_json(viewing.document(found))
        else:
            _print_summary(found)
            _print_assets(found)
    elif json:
        print_json(lineage_document(found))
    else:
        print_lineage(found)


def _print_assets(summary: Any) -> None:
    table(
        "Assets",
        ("asset", "scene", "kind", "size", "file"),
        [(one.id, one.scene, one.kind, one.size, one.file) for one in summary.assets],
    )


def sheet(run: RunId) -> None:
    """Draw the run's contact sheet again and say where it is."""

    async def work(studio: Studio) -> Any:
        from maquette.services import viewing  # noqa: PLC0415 - as above

        return await viewing.with_sheet(studio, await viewing.summary(studio, run))

    say(with_studio(work).sheet)
