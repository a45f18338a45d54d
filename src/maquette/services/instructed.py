"""What an instruction means here: planned and priced, begun as a run or done at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from maquette.core import instructions as i
from maquette.core import money
from maquette.core.errors import (
    BudgetExceeded,
    CapabilityMissing,
    FileMissing,
    NothingToDo,
    ProviderUnavailable,
    StorageUnavailable,
    UnsafePath,
)
from maquette.core.instructions import InstructionKind, Payload
from maquette.core.money import Usd
from maquette.core.pipeline import BackgroundStep, ColourStep, UpscaleStep
from maquette.core.states import JobState
from maquette.db.tables import Instruction, Project
from maquette.folders import BACKGROUND_REMOVED, COLOUR_CORRECTED, PRIVATE, UPSCALED
from maquette.jobs.backends import Step
from maquette.jobs.workshop import Place
from maquette.services import (
    exporting,
    mirror,
    ordering,
    pictures,
    projects,
    starting,
    stepping,
    viewing,
)
from maquette.services.inputs import find_pictures
from maquette.services.starting import Spending
from maquette.services.studio import Studio

_MOST_TOLD = 100
"""Scenes or pictures that a result names; the run, or the command, has them all."""
_CUBE_BYTES = 8 * 1024 * 1024
_LONGEST_PART = 240
"""In bytes: with a suffix it is below the 255 of every file system."""


@dataclass(frozen=True)
class Planned:
    """A run that an instruction would begin."""

    worst_case: Usd
    begin: Callable[[Spending], Awaitable[str]]
    unreadable: tuple[str, ...] = ()
    """Why some pictures will be left out."""


def payload_of(row: Instruction) -> Payload:
    return i.read(InstructionKind(row.kind), row.payload)


async def plan(studio: Studio, project: Project, kind: InstructionKind, said: Payload) -> Planned:
    """Plan a run as if its price were confirmed; nothing is sent or paid."""
    if isinstance(said, i.PipelineRun):
        planned = await _pipeline(studio, project, said)
    else:
        planned = await _step(studio, project, said)
    limit = said.max_spend_usd
    if limit is not None and planned.worst_case > limit:
        raise BudgetExceeded(
            f"This {kind.value} may cost up to {money.show(planned.worst_case)}, more than its "
            f"max_spend_usd of {money.show(Usd(limit))}, so nothing was sent. Raise it, or ask for "
            "less."
        )
    return planned


class _Ordered(ordering.RunWanted):
    """A run whose provider may be named by itself."""

    provider: str | None = None


async def _pipeline(studio: Studio, project: Project, said: i.PipelineRun) -> Planned:
    own = {"stage", "priority", "max_spend_usd", "scene_refs", "style_refs"}
    wanted = _Ordered.model_validate(
        {
            **said.model_dump(exclude=own, exclude_unset=True),
            "scenes": list(said.scene_refs),
            "styles": list(said.style_refs),
            "confirm_spend": True,
        }
    )
    found = await ordering.plan(studio, project, wanted)
    return Planned(found.worst_case, partial(starting.start, studio, found))


async def _step(studio: Studio, project: Project, said: Payload) -> Planned:
    assert isinstance(said, i.Upscale | i.BgRemove | i.Color)
    root = await projects.root_of(studio, project.slug, None)
    place = studio.shop.place(root)
    step, folder = await _step_of(place, said)
    order = stepping.PostOrder(
        project=project.slug,
        root=root,
        input=await given(studio, project, place, said.input),
        output=_output(place, said.output or folder),
        step=step,
        archive_replaced=said.archive_replaced,
    )
    found = await stepping.plan(studio, order, Spending(confirmed=True))
    away = tuple(f"{one.source}: {one.error}" for one in found.unreadable)

    async def begin(spending: Spending) -> str:
        run_id = await stepping.start(studio, found, spending)
        if run_id is None:
            raise NothingToDo(f"No picture could be read. {' '.join(away[:3])}")
        return run_id

    return Planned(found.worst_case, begin, away)


async def _step_of(place: Place, said: i.Upscale | i.BgRemove | i.Color) -> tuple[Step, str]:
    if isinstance(said, i.Upscale):
        return UpscaleStep(backend=said.backend, scale=said.scale), UPSCALED
    if isinstance(said, i.BgRemove):
        return BackgroundStep(backends=said.backends, refine=said.refine), BACKGROUND_REMOVED
    if not said.profile.lower().endswith(".cube"):
        return ColourStep(profile=said.profile, strength=said.strength), COLOUR_CORRECTED
    path = _below(place, said.profile)
    if not path.is_file() or path.stat().st_size > _CUBE_BYTES:
        raise FileMissing(
            f"There is no colour file {said.profile!r} below the root, or it is over "
            f"{_CUBE_BYTES // 1024**2} MiB; name a look, or a .cube file."
        )
    text = await asyncio.to_thread(path.read_text, encoding="utf-8", errors="replace")
    step = ColourStep(profile=path.name, strength=said.strength, cube=text)
    return step, COLOUR_CORRECTED


async def given(studio: Studio, project: Project, place: Place, name: str) -> Path:
    """Return the picture or folder below the root, or an asset's file; never anything outside."""
    path = _below(place, name)
    if not path.is_dir():
        return await ordering.picture_path(studio, project, place, name)
    for one in find_pictures(path):
        _below(place, f"{name}/{one.name}")
    return path


def check_names(studio: Studio, root: str | None, said: Payload) -> None:
    """Raise `UnsafePath` for a name that leads out of the root, before anything is kept."""
    place = studio.shop.place(root or studio.home)
    if isinstance(said, i.PipelineRun):
        for name in (*said.scene_refs, *said.style_refs):
            _plain(place, name)
    elif isinstance(said, i.Upscale | i.BgRemove | i.Color | i.Qa | i.Layers):
        _plain(place, said.input)
    if isinstance(said, i.Upscale | i.BgRemove | i.Color) and said.output is not None:
        _output(place, said.output)


def _plain(place: Place, name: str) -> Path:
    path = place.folders.inside(name)
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if any(len(part.encode()) > _LONGEST_PART for part in parts):
        raise UnsafePath(f"{name[:40]!r}… is longer than a file's name can be; give a shorter one.")
    if PRIVATE in parts:
        raise UnsafePath(f"{name!r} is in the store's own folder; name a picture's asset instead.")
    return path


def _below(place: Place, name: str) -> Path:
    path = _plain(place, name)
    if path.is_symlink():
        raise UnsafePath(
            f"{name!r} is a symbolic link, which may lead out of the project's root; put the "
            "picture itself there."
        )
    return path


def _output(place: Place, name: str) -> str:
    _plain(place, f"{name}/-")
    return name


Act = Callable[[Studio, Project, Payload, str | None], Coroutine[Any, Any, Mapping[str, Any]]]
"""The last one is the id of the person for whom it is done."""


async def _qa(
    studio: Studio, project: Project, said: Payload, _by: str | None
) -> Mapping[str, Any]:
    assert isinstance(said, i.Qa)
    root = await projects.root_of(studio, project.slug, None)
    place = studio.shop.place(root)
    audits = await pictures.qa(studio, await given(studio, project, place, said.input), said.guard)
    told = [
        {
            "picture": place.folders.relative(Path(one.path)) or Path(one.path).name,
            "passed": one.verdict.passed,
            "findings": [found.model_dump(mode="json") for found in one.verdict.findings],
        }
        for one in audits
    ]
    failed = sum(not one.verdict.passed for one in audits)
    return {
        "pictures": len(audits),
        "passed": len(audits) - failed,
        "failed": failed,
        # Those that failed first: they are what a person looks for.
        "verdicts": sorted(told, key=lambda one: bool(one["passed"]))[:_MOST_TOLD],
    }


async def _export(
    studio: Studio, project: Project, said: Payload, by: str | None
) -> Mapping[str, Any]:
    assert isinstance(said, i.Export)
    root = await projects.root_of(studio, project.slug, None)
    made = await exporting.export(studio, project.slug, root=root, all_files=said.all_files, by=by)
    return {"export": made.id, "size_bytes": made.size_bytes, "sha256": made.sha256}


async def _sync(
    studio: Studio, project: Project, said: Payload, _by: str | None
) -> Mapping[str, Any]:
    assert isinstance(said, i.SyncS3)
    root = await projects.root_of(studio, project.slug, None)
    try:
        done = await mirror.sync(
            studio, project.slug, root, dry_run=said.dry_run, delete=said.delete
        )
    except StorageUnavailable as error:  # the bucket's, which a person has to know of
        raise ProviderUnavailable(str(error)) from error
    if not done.complete:
        raise ProviderUnavailable(done.sentence())
    counts = {act: done.count(act) for act in ("uploaded", "copied", "deleted")}
    return {
        "mirror": done.mirror,
        "dry_run": done.dry_run,
        **counts,
        "skipped": done.skipped,
        "bytes_sent": done.bytes_sent,
    }


async def _layers(
    _studio: Studio, _project: Project, _said: Payload, _by: str | None
) -> Mapping[str, Any]:
    raise CapabilityMissing(
        "This installation cannot make layers yet; nothing was done. Use pipeline_run, or a "
        "version that has them."
    )


ACTS: Mapping[InstructionKind, Act] = {
    InstructionKind.QA: _qa,
    InstructionKind.EXPORT: _export,
    InstructionKind.SYNC_S3: _sync,
    InstructionKind.LAYERS: _layers,
}
"""What is done at once, without a run; doing it again after a crash is harmless."""


async def told(studio: Studio, run_id: str) -> dict[str, Any]:
    """Say in a result what became of a run."""
    found = await viewing.summary(studio, run_id)
    states = [one.state for one in found.jobs]
    return {
        "run": found.run,
        "state": found.state,
        "spent_usd": str(found.spent),
        "scenes": len(found.jobs),
        "succeeded": states.count(JobState.SUCCEEDED.value),
        "pictures": [
            {"scene": one.scene, "state": one.state, "file": one.final, "problem": one.problem}
            for one in found.jobs[:_MOST_TOLD]
        ],
    }


def why(result: Mapping[str, Any]) -> str:
    """Say in a sentence why a run did not succeed."""
    problems = [one for one in result["pictures"] if one["problem"]]
    told = "".join(f" Scene {one['scene']!r}: {one['problem']}" for one in problems[:3])
    told += "".join(f" Not read: {one}" for one in result.get("unreadable", ())[:3])
    run = result["run"]
    return f"The run {run} ended {result['state']}.{told} `maquette show {run}` has all of it."


def within(spending: Spending, price: Usd) -> Spending:
    """Let a run cost no more than the price that was confirmed."""
    limit = spending.max_spend
    return replace(spending, max_spend=price if limit is None else min(limit, price))
