"""The embedded provider: proofs by classical means, free, offline, and marked as such."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from maquette.core.errors import CapabilityMissing
from maquette.core.money import FREE, Usd
from maquette.core.provider import Provider, Run
from maquette.core.requests import (
    Encoded,
    Generated,
    ImageRequest,
    ModelProfile,
    derived_seed,
)
from maquette.providers.proof import card, edit

PROFILE = ModelProfile(
    id="proof",
    title="Proof: plans and drafts by classical means, no model",
    modes=frozenset({"generate", "edit", "inpaint"}),
    max_pixels=4096 * 4096,
    max_count=1,
    max_references=16,
    supports_seed=True,
    supports_negative_prompt=True,
    deterministic=True,
    paid=False,
    proof=True,
)
CARD_PX = (1024, 1024)
"""The size of a generated card where none is asked for."""


class ProofConfig(BaseModel, frozen=True, extra="forbid"):
    """Nothing to set."""


class ProofProvider(Provider):
    """Edits, inpaints and generates in the worker processes; candidate *i* has seed *i*'s own."""

    id = "proof"
    config = ProofConfig

    def models(self) -> Sequence[ModelProfile]:
        return (PROFILE,)

    def check(self, request: ImageRequest) -> None:
        if request.mode != "edit" and request.by_role("reference"):
            raise CapabilityMissing(
                f"Proofs take style references only when they edit, not to {request.mode}; nothing "
                "was made. Leave them out."
            )
        source = request.by_role("init")
        if request.mode == "inpaint" and source and request.size != "auto":
            own = (source[0].width_px, source[0].height_px)
            if request.size not in ("source", own):
                raise CapabilityMissing(
                    "Inpainting keeps the size of its picture; leave the size out, or enlarge the "
                    "result afterwards."
                )

    def estimate(self, request: ImageRequest) -> Usd:
        return FREE

    async def generate(self, request: ImageRequest, run: Run) -> Generated:
        proofs: list[edit.Proof] = []
        for index in range(request.count):
            seed = derived_seed(request.seed or 0, index)
            proofs.append(await self._make(request, seed, run))
            await run.progress((index + 1) / request.count)
        effective = request.model_copy(update={"size": _size(request), "seed": request.seed or 0})
        return Generated(
            images=[Encoded(proof.data, "image/png") for proof in proofs],
            effective=effective,
            cost=FREE,
            details={**proofs[0].notes, "proof": "true"},
        )

    async def _make(self, request: ImageRequest, seed: int, run: Run) -> edit.Proof:
        size = request.size if isinstance(request.size, tuple) else None
        if request.mode == "generate":
            width_px, height_px = size or CARD_PX
            return await run.compute(
                card.generate,
                prompt=request.prompt,
                negative_prompt=request.negative_prompt,
                width_px=width_px,
                height_px=height_px,
                seed=seed,
            )
        if not request.by_role("init"):
            raise CapabilityMissing(f"{request.mode!r} needs a picture to begin with; give one.")
        source = (await run.read(request.by_role("init")[0].digest)).data
        if request.mode == "inpaint":
            mask = (await run.read(request.by_role("mask")[0].digest)).data
            return await run.compute(edit.inpaint, source, mask, prompt=_words(request), seed=seed)
        references = [(await run.read(given.digest)).data for given in request.by_role("reference")]
        return await run.compute(
            edit.edit, source, tuple(references), prompt=_words(request), seed=seed, size=size
        )


def _size(request: ImageRequest) -> tuple[int, int]:
    """Return what `auto` and `source` come to."""
    if isinstance(request.size, tuple):
        return request.size
    given = request.by_role("init")
    return (given[0].width_px, given[0].height_px) if given else CARD_PX


def _words(request: ImageRequest) -> str:
    """Say the negative prompt as the negations that the vocabulary knows."""
    unwanted = (part.strip() for part in request.negative_prompt.split(","))
    return ", ".join([request.prompt, *(f"no {part}" for part in unwanted if part)])
