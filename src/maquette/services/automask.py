"""Masks that are found: by clicks, by background removal, or in what a model painted."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal

from maquette.core import money
from maquette.core.errors import BadParameter, OperationFailed
from maquette.core.findings import Finding
from maquette.core.masks import Adjust, Polarity
from maquette.core.money import Usd
from maquette.core.pointing import Pointed
from maquette.core.requests import Digest
from maquette.core.storage import object_key
from maquette.db.tables import Project
from maquette.jobs import backends
from maquette.jobs.backends import Computed
from maquette.jobs.maskforms import as_transparent
from maquette.jobs.maskwork import MaskCall, read_mask
from maquette.jobs.pixelwork import OperationCall, OperationReply, perform
from maquette.pixels import hints
from maquette.services import library, masks
from maquette.services.asking import Given
from maquette.services.studio import Studio

_DRAFTS = 500
"""Operations that nobody prefers to this are drafts: they know colours, not things."""


Form = Literal["mask", "transparent"]
"""How a mask is handed out: one channel, 255 = edit; or RGBA, transparent = edit."""


@dataclass(frozen=True)
class Order:
    """For whom a mask of which picture is made, and how it is adjusted."""

    project: Project
    of: Given
    caller_id: str | None = None
    adjust: Adjust = masks.AS_SENT
    """Done to what was found."""


@dataclass(frozen=True)
class Found:
    """A mask that was found and is kept."""

    mask: Given
    coverage: float
    """The share of the picture that it marks, 0 to 1."""
    method: str
    """Who found it: an operation, or the model that painted it."""
    confidence: float | None
    draft: bool
    findings: tuple[Finding, ...] = ()
    cost: Usd = money.FREE


@dataclass(frozen=True)
class Source:
    """Who found a mask, beside the operation that computed it."""

    method: str
    made_by: Mapping[str, Any] = field(default_factory=dict[str, Any])
    parents: Sequence[tuple[str, str]] = ()
    cost: Usd = money.FREE


def pointing(studio: Studio, of: Given, pointed: Pointed, backend: str = "click") -> Computed:
    """Plan to mark what somebody points at; `backend` is `click`, `sam` or `sam:MODEL`."""
    name, _, model = backend.partition(":")
    if name not in ("click", "sam"):
        raise BadParameter(f"Nothing called {backend!r} looks for clicks; choose click or sam.")
    hints.of(pointed).check(of.input.height_px, of.input.width_px)
    params = pointed.model_dump(mode="json", exclude_defaults=True)
    wanted = Computed(f"mask.{name}", params | ({"model": model} if model else {}))
    return backends.resolve(studio.shop, wanted)


def removing(studio: Studio, backend: str = "") -> Computed:
    """Plan to mark the subject by removing the background.

    Where no backend is named, the preferred one of this machine is taken: never a service.
    """
    found = backends.background(studio.shop, backend or _own_background(studio))
    if not isinstance(found, Computed):
        raise BadParameter(
            f"{backend!r} is a service; masks are made on this machine. Let it remove the "
            "background, then give its cutout as a mask whose opaque part is edited."
        )
    return backends.resolve(studio.shop, found)


async def find(studio: Studio, order: Order, wanted: Computed) -> Found:
    """Let this machine find a mask as planned, and keep it."""
    reply = await _computed(studio, order, wanted)
    alone = studio.shop.operations[wanted.operation].kind == "background"
    source = Source(wanted.operation, {} if alone else {"shown": dict(wanted.params)})
    polarity = "opaque" if alone else "white"
    return await _kept(studio, order, reply, source, wanted, polarity=polarity)


def _own_background(studio: Studio) -> str:
    known = (studio.shop.operations.get(name) for name in studio.shop.operations)
    ready = [
        (one.preference, one.backend)
        for one in known
        if one and one.kind == "background" and one.missing(studio.shop.weights) is None
    ]
    return min(ready, default=(0, "classical"))[1]


async def of_answer(
    studio: Studio, order: Order, answer: Given, way: str, source: Source | None = None
) -> Found:
    """Make a mask of what a model painted, which is kept; this costs nothing."""
    source = source or Source("mask.answer")
    source = Source(
        source.method,
        source.made_by,
        [*source.parents, (answer.asset, "answer")],
        source.cost,
    )
    wanted = Computed("mask.answer", {"way": way})
    try:
        reply = await _computed(studio, order, wanted, answer=answer)
    except OperationFailed as error:
        raise OperationFailed(
            f"{error} The model's picture is kept as the asset {answer.asset!r}: look at it. "
            "Another mask of it costs nothing; another answer does."
        ) from None
    return await _kept(studio, order, reply, source, wanted)


async def _computed(
    studio: Studio, order: Order, wanted: Computed, **more: Given
) -> OperationReply:
    """Let a worker make a mask, or a cutout; raise where nothing was found."""
    shop = studio.shop
    given = {"image": order.of, **more}
    inputs = {name: await _bytes(studio, order.project, one) for name, one in given.items()}
    operation = shop.operations[wanted.operation]
    call = OperationCall(wanted.operation, wanted.params, inputs, weights=shop.weights)
    reply = await shop.pool.run_patiently(operation.patience, perform, call)
    if reply.data is None or reply.report.get("share") == 0:
        name = order.of.input.name
        raise OperationFailed(f"{operation.title!r} found nothing to mark in {name!r}.")
    return reply


async def data_uri(studio: Studio, project: Project, mask: Given, form: Form) -> str:
    """Write a mask into an address of its own, as it is kept or as OpenAI has it."""
    data = await _bytes(studio, project, mask)
    if form == "transparent":
        data = await studio.shop.pool.run(as_transparent, data)
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


async def _bytes(studio: Studio, project: Project, one: Given) -> bytes:
    storage, _ = await library.located(studio, project, one.input.digest)
    return await storage.read(object_key(Digest(one.input.digest)))


async def _kept(
    studio: Studio,
    order: Order,
    reply: OperationReply,
    source: Source,
    by: Computed,
    *,
    polarity: Polarity = "white",
) -> Found:
    """Adjust what was found and keep it beside its picture."""
    of, operation = order.of, studio.shop.operations[by.operation]
    assert reply.data is not None
    size = of.input.width_px, of.input.height_px
    call = MaskCall(reply.data, polarity, size, order.adjust, "the mask that was found")
    made = await studio.shop.pool.run(read_mask, call)
    confidence = reply.report.get("confidence")
    history: dict[str, Any] = {
        "operation": by.operation,
        "version": operation.version,
        "method": source.method,
        **source.made_by,
        "confidence": confidence,
        "model": reply.report.get("model"),
        "adjusted": order.adjust.model_dump(exclude_defaults=True),
    }
    mask = await masks.store(
        studio,
        order.project,
        order.caller_id,
        made,
        of,
        made_by={name: one for name, one in history.items() if one not in (None, {})},
        name=f"{PurePath(of.input.name).stem or 'picture'}-mask",
        parents=source.parents,
    )
    return Found(
        mask,
        made.coverage,
        source.method,
        float(confidence) if isinstance(confidence, float) else None,
        operation.preference > _DRAFTS,
        reply.findings,
        source.cost,
    )
