"""The post chain: background removal → upscale → colour, each a durable step.

A deterministic step whose operation, version, parameters and input are known is not computed
again: its picture is taken from the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import MaquetteError, ObjectNotFound, OperationFailed
from maquette.core.findings import Expected, Finding
from maquette.core.operation import Operation
from maquette.core.requests import Digest, canonical, digest_of
from maquette.core.storage import object_key
from maquette.db import assets
from maquette.db.tables import Asset, Blob
from maquette.folders import BACKGROUND_REMOVED, COLOUR_CORRECTED, UPSCALED
from maquette.jobs import attempts, calls, refining, taking
from maquette.jobs.backends import Backend, Called, Computed, Step, backends_of, request_for
from maquette.jobs.chainlink import NO_WAY_ROUND, Link
from maquette.jobs.job import Bench, Outcome
from maquette.jobs.pixelwork import OperationCall, perform

_FOLDERS = {"background": BACKGROUND_REMOVED, "upscale": UPSCALED, "colour": COLOUR_CORRECTED}


async def run(bench: Bench, winner: str) -> list[Link]:
    """Do the chain's steps; return its pictures, the winner first."""
    async with bench.shop.db.read() as session:
        _, blob = await assets.get(session, winner)
    chain = [Link(winner, None, _expected(blob, alpha=None))]
    post = bench.spec.post
    if post.background is not None:
        chain.append(await _do(bench, "background", post.background, chain[-1]))
        if any(finding.severity == "hard" for finding in chain[-1].findings):
            return chain  # the final guard will say so
        if post.background.refine.wanted:
            # The refined cutout takes the place of the plain one, which stays in the lineage.
            chain[-1] = await refining.refine(bench, post.background.refine, chain[-1])
    if post.upscale is not None:
        chain.append(await _do(bench, "upscale", post.upscale, chain[-1]))
    if post.colour is not None:
        chain.append(await _do(bench, "colour", post.colour, chain[-1]))
    return chain


async def _do(bench: Bench, kind: str, step: Step, before: Link) -> Link:
    async with bench.shop.db.read() as session:
        source, blob = await assets.get(session, before.asset_id)
    backends = backends_of(bench.shop, step)
    result = await bench.step(
        f"post.{kind}", lambda: _first_that_works(bench, kind, backends, source, blob)
    )
    operation = bench.shop.operations.get(result["operation"])
    scale, alpha = 1.0, True
    if operation is not None:
        scale = operation.scale(operation.params.model_validate(result["params"]))
        alpha = True if operation.gives_alpha else before.expected.alpha
    expected = Expected(
        width_px=round(blob.width_px * scale), height_px=round(blob.height_px * scale), alpha=alpha
    )
    findings = tuple(Finding.model_validate(one) for one in result.get("findings", ()))
    return Link(result["asset"], _FOLDERS[kind], expected, findings)


async def _first_that_works(
    bench: Bench, kind: str, backends: Sequence[Backend], source: Asset, blob: Blob
) -> Outcome:
    """Try the backends in order; a call that an earlier process made comes before all others."""
    failures: list[str] = []
    errors: list[MaquetteError] = []
    for backend in backends[await _standing(bench, kind, backends) :]:
        try:
            if isinstance(backend, Called):
                return await _cut_out(bench, kind, backend, source, blob, failures)
            return await _apply(bench, backend, source, failures)
        except NO_WAY_ROUND:
            raise
        except MaquetteError as error:
            failures.append(f"{backend.name}: {error}")
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    raise OperationFailed(f"Every {kind} backend failed. " + " · ".join(failures))


async def _standing(bench: Bench, kind: str, backends: Sequence[Backend]) -> int:
    for index, backend in enumerate(backends):
        if isinstance(backend, Called):
            name = call_name(kind, backend)
            if await attempts.standing(bench, name) is not None:
                return index
    return 0


def call_name(kind: str, backend: Called) -> str:
    """Name the provider call of a step, as its attempts are called."""
    return f"post.{kind}.{backend.provider}"


async def _cut_out(
    bench: Bench, kind: str, backend: Called, source: Asset, blob: Blob, failures: list[str]
) -> Outcome:
    """Let a provider do the step; its picture commits together with its settlement."""
    request = request_for(backend, taking.input_of(source, blob))
    answer = await calls.call(bench, attempts.Call(call_name(kind, backend), request))
    asset = await taking.taken_in(bench, answer, kind, [(source.id, "init")])
    found = [*asset.made_by["findings"], *_flaws(asset.blob, blob)]

    async def commit(session: AsyncSession) -> None:
        await answer.settle(session, bench)
        await assets.add(session, bench.project_id, asset, bench.shop.clock.now())

    result: dict[str, Any] = {
        "asset": asset.id,
        "operation": backend.name,
        "params": {},
        "fallbacks": list(failures),
        "findings": found,
        "report": asset.made_by["details"],
        "losses": asset.made_by["clamped"],
    }
    return result, commit


def _flaws(cutout: assets.NewBlob, source: Blob) -> list[dict[str, Any]]:
    """Say what is wrong with a service's cutout; it is paid for, kept, and goes no further."""
    if not cutout.width_px:
        what = "is not a picture that can be read"
    elif (cutout.width_px, cutout.height_px) != (source.width_px, source.height_px):
        what = f"has {cutout.width_px}x{cutout.height_px} px, not those of its source"
    elif not cutout.has_alpha:
        what = "has no transparency"
    else:
        return []
    message = f"The cutout {what}. It is kept in archive/bad/; try another backend."
    return [Finding(code="bad_cutout", severity="hard", message=message).model_dump(mode="json")]


async def _apply(bench: Bench, backend: Computed, source: Asset, failures: list[str]) -> Outcome:
    operation = bench.shop.operations[backend.operation]
    seed = bench.spec.seed
    key = cache_key(operation, backend.params, source.digest, seed)
    made = await _known(bench, operation, key) or await _compute(bench, backend, source, seed)
    blob, report = made
    asset = assets.NewAsset(
        blob=blob,
        kind=operation.kind,
        name=f"{bench.spec.scene} {operation.kind}",
        made_by={
            "operation": operation.id,
            "version": operation.version,
            "params": dict(backend.params),
            "seed": seed,
            **report,
        },
        parents=[(source.id, "init")],
        job_id=bench.job_id,
        cache_key=key,
    )

    async def commit(session: AsyncSession) -> None:
        await assets.add(session, bench.project_id, asset, bench.shop.clock.now())

    result = {
        "asset": asset.id,
        "operation": operation.id,
        "params": dict(backend.params),
        "fallbacks": list(failures),
        **report,
    }
    return result, commit


def cache_key(operation: Operation[Any], params: Mapping[str, Any], digest: str, seed: int) -> str:
    """Name the result of an operation by all that decides it."""
    body = {
        "operation": operation.id,
        "version": operation.version,
        "params": operation.params.model_validate(dict(params)).model_dump(mode="json"),
        "input": digest,
        "seed": seed,
    }
    return digest_of(canonical(body).encode())


async def _known(
    bench: Bench, operation: Operation[Any], key: str
) -> tuple[assets.NewBlob, dict[str, Any]] | None:
    if not operation.deterministic:
        return None
    async with bench.shop.db.read() as session:
        found = await assets.cached(session, bench.project_id, key)
    if found is None:
        return None
    asset, blob = found
    try:  # it may have been made in another root of the project, whose store is not this one
        await bench.place.storage.head(object_key(Digest(asset.digest)))
    except ObjectNotFound:
        return None
    report = {name: asset.made_by[name] for name in ("findings", "report", "losses")}
    return _blob(blob), report


async def _compute(
    bench: Bench, backend: Computed, source: Asset, seed: int
) -> tuple[assets.NewBlob, dict[str, Any]]:
    data = await bench.place.storage.read(object_key(Digest(source.digest)))
    call = OperationCall(
        backend.operation, backend.params, {"image": data}, seed, bench.shop.weights
    )
    patience = bench.shop.operations[backend.operation].patience
    reply = await bench.compute_patiently(patience, perform, call)
    if reply.data is None or reply.facts is None:
        raise OperationFailed(f"{backend.operation!r} returned no picture.")
    digest = digest_of(reply.data)
    await bench.place.storage.put(object_key(digest), reply.data)
    report = {
        "findings": [finding.model_dump(mode="json") for finding in reply.findings],
        "report": dict(reply.report),
        "losses": list(reply.losses),
    }
    return assets.NewBlob(digest, size_bytes=len(reply.data), **vars(reply.facts)), report


def _blob(blob: Blob) -> assets.NewBlob:
    return assets.NewBlob(
        blob.digest,
        blob.media_type,
        blob.size_bytes,
        blob.width_px,
        blob.height_px,
        blob.has_alpha,
    )


def _expected(blob: Blob, *, alpha: bool | None) -> Expected:
    return Expected(width_px=blob.width_px, height_px=blob.height_px, alpha=alpha)
