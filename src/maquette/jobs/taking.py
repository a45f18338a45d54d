"""Taking in what a provider answered: bytes into the store, and the asset that will show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maquette.core.errors import OperationFailed
from maquette.core.requests import Input, digest_of
from maquette.core.storage import object_key
from maquette.db import assets
from maquette.db.tables import Asset, Blob
from maquette.jobs.calls import Answer
from maquette.jobs.job import Bench
from maquette.jobs.pixelwork import UNREADABLE, Facts, look


async def stored(bench: Bench, data: bytes) -> assets.NewBlob:
    """Keep bytes that are paid for, whatever they are."""
    digest = digest_of(data)
    await bench.place.storage.put(object_key(digest), data)
    return assets.NewBlob(digest, size_bytes=len(data), **vars(await _facts(bench, data)))


async def _facts(bench: Bench, data: bytes) -> Facts:
    """Look at a picture that is paid for: nothing may stop its way into the rows."""
    try:
        return await bench.shop.pool.run(look, data, bench.spec.scene)
    except OperationFailed:
        return UNREADABLE


async def taken_in(
    bench: Bench, answer: Answer, kind: str, parents: Sequence[tuple[str, str]]
) -> assets.NewAsset:
    """Store the one picture of an answer; its row is for the caller to commit."""
    return assets.NewAsset(
        blob=await stored(bench, answer.generated.images[0].data),
        kind=kind,
        name=f"{bench.spec.scene} {kind}",
        made_by=made_by(answer),
        parents=parents,
        job_id=bench.job_id,
        cost_nano=answer.charged_nano,
    )


def made_by(answer: Answer) -> dict[str, Any]:
    """Say what made the pictures of an answer, as their assets keep it."""
    generated = answer.generated
    return {
        "request": generated.effective.model_dump(mode="json"),
        "clamped": list(generated.clamped),
        "details": dict(generated.details),
        "findings": [one.model_dump(mode="json") for one in generated.findings],
    }


def input_of(asset: Asset, blob: Blob) -> Input:
    """Refer to a stored picture in a request."""
    return Input.model_validate(
        {
            "role": "init",
            "digest": asset.digest,
            "name": asset.name,
            "media_type": blob.media_type,
            "width_px": blob.width_px,
            "height_px": blob.height_px,
            "size_bytes": blob.size_bytes,
        }
    )
