"""The post chain: background removal → upscale → colour, each a durable step.

A deterministic step whose operation, version, parameters and input are known is not computed
again: its picture is taken from the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import Cancelled, MaquetteError, OperationFailed
from maquette.core.findings import Expected
from maquette.core.operation import Operation
from maquette.core.pipeline import BackgroundStep, ColourStep, UpscaleStep
from maquette.core.requests import Digest, canonical, digest_of
from maquette.core.storage import object_key
from maquette.db import assets
from maquette.db.tables import Asset, Blob
from maquette.folders import BACKGROUND_REMOVED, COLOUR_CORRECTED, UPSCALED
from maquette.jobs.job import Bench, Outcome
from maquette.jobs.pixelwork import OperationCall, perform


@dataclass(frozen=True)
class Link:
    """One picture of the chain, where it is shown and what the guard may expect of it."""

    asset_id: str
    folder: str | None
    expected: Expected


@dataclass(frozen=True)
class Choice:
    """One backend of a step, ready to be tried."""

    operation: str
    params: Mapping[str, Any]


async def run(bench: Bench, winner: str) -> list[Link]:
    """Do the chain's steps; return its pictures, the winner first."""
    async with bench.shop.db.read() as session:
        _, blob = await assets.get(session, winner)
    chain = [Link(winner, None, _expected(blob, alpha=None))]
    post = bench.spec.post
    for name, step, folder in (
        ("background", post.background, BACKGROUND_REMOVED),
        ("upscale", post.upscale, UPSCALED),
        ("colour", post.colour, COLOUR_CORRECTED),
    ):
        if step is not None:
            link = await _do(bench, f"post.{name}", choices_of(step), chain[-1], folder)
            chain.append(link)
    return chain


def choices_of(step: BackgroundStep | UpscaleStep | ColourStep) -> list[Choice]:
    """Return the operations to try for a step, in order."""
    if isinstance(step, BackgroundStep):
        return [Choice(f"background.{backend}", {}) for backend in step.backends]
    if isinstance(step, UpscaleStep):
        return [Choice(f"upscale.{step.backend}", {"scale": step.scale})]
    return [Choice("colour.lut", step.model_dump())]


async def _do(bench: Bench, name: str, choices: list[Choice], before: Link, folder: str) -> Link:
    async with bench.shop.db.read() as session:
        source, blob = await assets.get(session, before.asset_id)

    async def attempt() -> Outcome:
        failures: list[str] = []
        for choice in choices[:-1]:
            try:
                return await _apply(bench, choice, source, failures)
            except Cancelled:
                raise
            except MaquetteError as error:
                failures.append(f"{choice.operation}: {error}")
        return await _apply(bench, choices[-1], source, failures)

    result = await bench.step(name, attempt)
    operation = bench.shop.operations[result["operation"]]
    scale = operation.scale(operation.params.model_validate(result["params"]))
    alpha = True if operation.gives_alpha else before.expected.alpha
    expected = Expected(
        width_px=round(blob.width_px * scale), height_px=round(blob.height_px * scale), alpha=alpha
    )
    return Link(result["asset"], folder, expected)


async def _apply(bench: Bench, choice: Choice, source: Asset, failures: list[str]) -> Outcome:
    operation = bench.shop.operations[choice.operation]
    seed = bench.spec.request.seed or 0
    key = cache_key(operation, choice.params, source.digest, seed)
    made = await _known(bench, operation, key) or await _compute(bench, choice, source, seed)
    blob, report = made
    asset = assets.NewAsset(
        blob=blob,
        kind=operation.kind,
        name=f"{bench.spec.scene} {operation.kind}",
        made_by={
            "operation": operation.id,
            "version": operation.version,
            "params": dict(choice.params),
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
        "params": dict(choice.params),
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
    report = {name: asset.made_by[name] for name in ("findings", "report", "losses")}
    return _blob(blob), report


async def _compute(
    bench: Bench, choice: Choice, source: Asset, seed: int
) -> tuple[assets.NewBlob, dict[str, Any]]:
    data = await bench.place.storage.read(object_key(Digest(source.digest)))
    call = OperationCall(choice.operation, choice.params, {"image": data}, seed, bench.shop.weights)
    reply = await bench.compute(perform, call)
    if reply.data is None or reply.facts is None:
        raise OperationFailed(f"{choice.operation!r} returned no picture.")
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
