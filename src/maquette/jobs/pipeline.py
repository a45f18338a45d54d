"""The life of a job: generate, composite, guard, select, post chain, final guard, publish.

Each step is done once and leaves a row; after a crash the job goes on at the first without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core import money
from maquette.core.errors import InvalidInput
from maquette.core.findings import Expected, Finding, GuardRules, Verdict
from maquette.core.pipeline import JobSpec
from maquette.core.requests import Digest, ImageRequest, Input, Mode, derived_seed
from maquette.core.states import JobState
from maquette.core.storage import object_key
from maquette.db import assets, runs
from maquette.db.tables import Candidate, Job
from maquette.jobs import calls, compositing, post, publish, taking
from maquette.jobs.attempts import Call
from maquette.jobs.chainlink import Link
from maquette.jobs.compositing import Composited
from maquette.jobs.job import Bench, Outcome
from maquette.jobs.pixelwork import OperationCall, perform

_KIND: dict[Mode, str] = {
    "generate": "generated",
    "edit": "edited",
    "inpaint": "inpainted",
    "cutout": "cutout",
    "upscale": "upscaled",
}


def first_step(spec: JobSpec) -> str | None:
    """Return the step that a job begins with, where that is a call."""
    return "generate.0" if spec.request is not None and spec.calls else None


async def work(bench: Bench) -> JobState:
    """Do what is left of the job; return the state it ends in."""
    try:
        return await _work(bench)
    except BaseException:
        await bench.abandon()
        raise


async def _work(bench: Bench) -> JobState:
    if bench.spec.request is None:
        winner: str | None = bench.spec.begins_with
    else:
        winner = await _best(bench)
    if winner is None:
        await bench.step("publish", lambda: publish.rejected(bench))
        return JobState.FAILED_OUTPUT_GUARD
    chain = await post.run(bench, winner)
    passed = True
    if len(chain) > 1:
        final = await bench.step("final_guard", lambda: _final_guard(bench, chain))
        passed = Verdict.model_validate(final["verdict"]).passed
    await bench.step("publish", lambda: publish.accepted(bench, chain, passed=passed))
    return JobState.SUCCEEDED if passed else JobState.FAILED_OUTPUT_GUARD


async def _best(bench: Bench) -> str | None:
    """Make the candidates; return the one that the guard likes best, if it likes one."""
    for index, count in enumerate(bench.spec.calls):
        await _generate(bench, index, count)
    restored = await compositing.run(bench, then="guard")
    then = None if bench.spec.post.names() else "publish"
    guarded = await bench.step("guard", lambda: _guard(bench, restored), then=then)
    selected: int | None = guarded["selected"]
    if selected is None:
        return None
    return next(one for one in await _candidates(bench) if one.position == selected).asset_id


async def _generate(bench: Bench, index: int, count: int) -> None:
    name = f"generate.{index}"
    first = sum(bench.spec.calls[:index])
    seed = bench.spec.asked.seed
    request = bench.spec.asked.model_copy(
        update={"count": count, "seed": None if seed is None else derived_seed(seed, first)}
    )
    wanted = Call(name, request)

    async def send() -> Outcome:
        answer = await calls.call(bench, wanted)
        return await _take_in(bench, answer)

    await bench.step(name, send, then=_after_call(bench.spec, index))


def _after_call(spec: JobSpec, index: int) -> str:
    if index + 1 < len(spec.calls):
        return f"generate.{index + 1}"
    return compositing.STEP if compositing.is_ordered(spec) else "guard"


async def _take_in(bench: Bench, answer: calls.Answer) -> Outcome:
    """Store the pictures of an answer; the rows commit with its settlement."""
    images = answer.generated.images
    blobs = [await taking.stored(bench, image.data) for image in images]
    shares = money.split(money.Nano(answer.charged_nano), len(images)) if images else ()

    async def commit(session: AsyncSession) -> None:
        await answer.settle(session, bench)
        parents = await _parents(session, bench)
        # Counted on, not computed: a provider may answer with fewer or more than was asked.
        first = len(await runs.candidates_of(session, bench.job_id))
        for offset, (blob, share) in enumerate(zip(blobs, shares, strict=True)):
            asset_id = await assets.add(
                session,
                bench.project_id,
                assets.NewAsset(
                    blob=blob,
                    kind=_KIND[bench.spec.asked.mode],
                    name=f"{bench.spec.scene} {first + offset + 1}",
                    made_by=taking.made_by(answer),
                    parents=parents,
                    job_id=bench.job_id,
                    cost_nano=share,
                ),
                bench.shop.clock.now(),
            )
            session.add(
                Candidate(
                    job_id=bench.job_id,
                    position=first + offset,
                    attempt_id=answer.attempt.id,
                    asset_id=asset_id,
                    state="new",
                )
            )

    return {"attempt": answer.attempt.id, "digests": [blob.digest for blob in blobs]}, commit


async def _parents(session: AsyncSession, bench: Bench) -> list[tuple[str, str]]:
    if bench.spec.parents:
        return list(bench.spec.parents)
    found: list[tuple[str, str]] = []
    for given in bench.spec.asked.inputs:
        kind = "source" if given.role == "init" else given.role
        asset = await assets.with_digest(session, bench.project_id, given.digest, kind)
        if asset is not None:
            found.append((asset.id, given.role))
    return found


async def _candidates(bench: Bench) -> list[Candidate]:
    async with bench.shop.db.read() as session:
        return list(await runs.candidates_of(session, bench.job_id))


async def _guard(bench: Bench, restored: Mapping[int, Composited]) -> Outcome:
    """Judge every candidate and pick the best that passes."""
    async with bench.shop.db.read() as session:
        candidates = list(await runs.candidates_of(session, bench.job_id))
        sent = {one.id: one.effective for one in await runs.attempts_of(session, bench.job_id)}
    verdicts = [
        await _judged(bench, one, sent[one.attempt_id], restored.get(one.position, Composited()))
        for one in candidates
    ]
    passing = [index for index, verdict in enumerate(verdicts) if verdict.passed]
    best = min(passing, key=lambda index: verdicts[index].rank(), default=None)
    selected = None if best is None else candidates[best].position

    async def commit(session: AsyncSession) -> None:
        for candidate, verdict in zip(candidates, verdicts, strict=True):
            await session.execute(
                update(Candidate)
                .where(Candidate.id == candidate.id)
                .values(
                    state="passed" if verdict.passed else "failed_output_guard",
                    verdict=verdict.model_dump(mode="json"),
                    selected=candidate.position == selected,
                )
            )
        await session.execute(
            update(Job).where(Job.id == bench.job_id).values(selected_position=selected)
        )
        bench.record(
            session,
            "guarded",
            selected=selected,
            verdicts=[verdict.summary() for verdict in verdicts],
        )

    return {"selected": selected}, commit


async def _judged(
    bench: Bench, one: Candidate, effective: dict[str, Any] | None, restored: Composited
) -> Verdict:
    """Judge a candidate, with what was found when its original was put back."""
    spec = bench.spec
    expected = expected_of(spec, effective)
    if restored.as_source and spec.source is not None:
        expected = _same_size(spec.source)
    verdict = await judge(bench, one.asset_id, spec.guard, expected)
    found = restored.findings
    if not spec.guard.enabled:
        found = tuple(finding for finding in found if finding.severity != "hard")
    return verdict.model_copy(update={"findings": (*verdict.findings, *found)})


def expected_of(spec: JobSpec, effective: dict[str, Any] | None) -> Expected:
    """Say what size a candidate must have: as was really asked for, after clamping."""
    size = spec.asked.size
    if effective is not None:
        size = ImageRequest.model_validate(effective).size
    if size == "source" and spec.source is not None:
        return _same_size(spec.source)
    if isinstance(size, tuple):
        return Expected(width_px=size[0], height_px=size[1])
    return Expected()


def _same_size(source: Input) -> Expected:
    return Expected(width_px=source.width_px, height_px=source.height_px)


async def judge(bench: Bench, asset_id: str, rules: GuardRules, expected: Expected) -> Verdict:
    """Let the guard look at one asset."""
    if not rules.enabled:
        return Verdict()
    async with bench.shop.db.read() as session:
        asset, _ = await assets.get(session, asset_id)
    data = await bench.place.storage.read(object_key(Digest(asset.digest)))
    params = {"rules": rules.model_dump(), "expected": expected.model_dump()}
    try:
        reply = await bench.compute(perform, OperationCall("guard.output", params, {"image": data}))
    except InvalidInput as error:
        return Verdict(findings=(Finding(code="undecodable", severity="hard", message=str(error)),))
    excess = reply.report.get("mean_chroma_excess")
    own = asset.made_by.get("findings", ()) if "request" in asset.made_by else ()
    return Verdict(
        findings=reply.findings + tuple(Finding.model_validate(one) for one in own),
        mean_chroma_excess=excess if isinstance(excess, float) else 0.0,
    )


async def _final_guard(bench: Bench, chain: list[Link]) -> Outcome:
    """Judge the end of the post chain: the look may have changed, size and alpha must fit."""
    last = chain[-1]
    rules = bench.spec.guard
    verdict = await judge(bench, last.asset_id, rules, last.expected)
    noticed = tuple(finding for link in chain for finding in link.findings)
    together = tuple(dict.fromkeys(verdict.findings + noticed))
    verdict = verdict.model_copy(update={"findings": together})
    return {"verdict": verdict.model_dump(mode="json")}, None
