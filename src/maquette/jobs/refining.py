"""The refine pass: an edit model cleans the edges of a cutout, and only those."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import BudgetExceeded, InvalidInput, MaquetteError, OperationFailed
from maquette.core.findings import Finding
from maquette.core.pipeline import RefineStep
from maquette.core.requests import Digest
from maquette.core.storage import object_key
from maquette.db import assets
from maquette.db.tables import Asset
from maquette.jobs import attempts, calls, taking
from maquette.jobs.backends import refine_request
from maquette.jobs.chainlink import NO_WAY_ROUND, Link
from maquette.jobs.job import Bench, Outcome
from maquette.jobs.pixelwork import OperationCall, OperationReply, perform

STEP = "post.refine"
MERGE = "refine.merge"


async def refine(bench: Bench, step: RefineStep, before: Link) -> Link:
    """Refine a cutout; where that fails and is not required, the cutout stays as it was."""
    result = await bench.step(STEP, lambda: _refine(bench, step, before))
    skipped = result.get("skipped")
    if skipped is not None and step.required:
        raise OperationFailed(
            f"The refine pass is required and what it brought cannot be used: {skipped} It was "
            "paid for and is kept; `maquette replay` makes the scene anew."
        )
    findings = tuple(Finding.model_validate(one) for one in result["findings"])
    return Link(result["asset"], before.folder, before.expected, before.findings + findings)


async def _refine(bench: Bench, step: RefineStep, before: Link) -> Outcome:
    async with bench.shop.db.read() as session:
        cutout, blob = await assets.get(session, before.asset_id)
    request = refine_request(bench.shop, step, taking.input_of(cutout, blob))
    try:
        answer = await calls.call(bench, attempts.Call(STEP, request))
    except BudgetExceeded as error:  # the generator made a larger picture than it was asked for
        if step.required:
            raise
        return _skipped(before, str(error)), None
    except NO_WAY_ROUND:
        raise
    except MaquetteError as error:
        if step.required:
            raise
        return _skipped(before, str(error)), None
    raw = await taking.taken_in(bench, answer, "edited", [(cutout.id, "init")])
    try:
        reply = await _merged(bench, cutout, answer.generated.images[0].data)
        merged = await _asset(bench, cutout, raw, reply)
        result = _done(merged)
    except (InvalidInput, OperationFailed) as error:
        # It is paid for: the money is settled and the picture kept, whatever it is.
        merged, result = None, _skipped(before, str(error))

    async def commit(session: AsyncSession) -> None:
        now = bench.shop.clock.now()
        await answer.settle(session, bench)
        for new in (raw, merged):
            if new is not None:
                await assets.add(session, bench.project_id, new, now)

    return result, commit


async def _merged(bench: Bench, cutout: Asset, refined: bytes) -> OperationReply:
    data = await bench.place.storage.read(object_key(Digest(cutout.digest)))
    call = OperationCall(MERGE, {}, {"image": data, "refined": refined})
    return await bench.shop.pool.run(perform, call)


async def _asset(
    bench: Bench, cutout: Asset, raw: assets.NewAsset, reply: OperationReply
) -> assets.NewAsset:
    if reply.data is None:
        raise OperationFailed(f"{MERGE!r} returned no picture.")
    return assets.NewAsset(
        blob=await taking.stored(bench, reply.data),
        kind="background",
        name=f"{bench.spec.scene} background",
        made_by={
            "operation": MERGE,
            "version": bench.shop.operations[MERGE].version,
            "params": {},
            "findings": [one.model_dump(mode="json") for one in reply.findings],
            "report": dict(reply.report),
            "losses": list(reply.losses),
        },
        parents=[(cutout.id, "init"), (raw.id, "reference")],
        job_id=bench.job_id,
    )


def _done(merged: assets.NewAsset) -> dict[str, Any]:
    made = merged.made_by
    return {
        "asset": merged.id,
        "operation": MERGE,
        "params": {},
        "findings": made["findings"],
        "report": made["report"],
    }


def _skipped(before: Link, why: str) -> dict[str, Any]:
    finding = Finding(
        code="not_refined", severity="info", message=f"The refine pass was skipped: {why}"
    )
    return {
        "asset": before.asset_id,
        "skipped": why,
        "findings": [finding.model_dump(mode="json")],
    }
