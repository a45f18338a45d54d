"""The wire format, purely: what a request becomes, and what a server's answers say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from maquette.core.errors import BadProviderReply
from maquette.core.provider import Listed
from maquette.core.requests import ImageRequest, Option
from maquette.providers.a1111.config import CURRENT, MOST_PICTURES
from maquette.providers.a1111.profiles import (
    CUTTING_DEFAULTS,
    EDIT_DEFAULTS,
    MASK_DEFAULTS,
    Options,
)
from maquette.providers.a1111.sizes import Wide, nearest

TXT2IMG = "/sdapi/v1/txt2img"
IMG2IMG = "/sdapi/v1/img2img"
PROGRESS = "/sdapi/v1/progress"
INTERRUPT = "/sdapi/v1/interrupt"
MODELS = "/sdapi/v1/sd-models"

_SEEDS = 2**32 - MOST_PICTURES
"""Some servers keep 32 bits of a seed, and a batch counts on from it."""
_MOST_MODELS = 2000
_LONGEST_TITLE = 200


@dataclass(frozen=True)
class Asked:
    """A request in the words of the API, without its pictures."""

    path: str
    body: Mapping[str, Any]
    size: Wide
    effective: ImageRequest
    clamped: tuple[str, ...]


def ask(request: ImageRequest, default_size: Wide) -> Asked:
    """Fill in the defaults and bring the request within what servers take."""
    edits = request.mode != "generate"
    size, notes = sent_size(request, default_size)
    options = sent_options(request)
    seed = request.seed
    if seed is not None and seed >= _SEEDS:
        seed %= _SEEDS
        notes.append(f"seed: {request.seed} → {seed}, such servers keep 32 bits of it")
    body: dict[str, Any] = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "width": size[0],
        "height": size[1],
        "batch_size": request.count,
        "n_iter": 1,
        "seed": -1 if seed is None else seed,
        "send_images": True,
        "save_images": False,
        "do_not_save_grid": True,
        **options,
    }
    if request.by_role("mask"):
        body["inpainting_mask_invert"] = 0
    if request.model != CURRENT:
        body["override_settings"] = {"sd_model_checkpoint": request.model}
        body["override_settings_restore_afterwards"] = True
    return Asked(
        path=IMG2IMG if edits else TXT2IMG,
        body=body,
        size=size,
        effective=request.model_copy(update={"size": size, "seed": seed, "options": options}),
        clamped=tuple(notes),
    )


def sent_size(request: ImageRequest, default_size: Wide) -> tuple[Wide, list[str]]:
    """Return the size that goes on the wire, and what had to be changed."""
    if isinstance(request.size, tuple):
        return request.size, []
    sources = request.by_role("init")
    if not sources:
        return default_size, []
    given = (sources[0].width_px, sources[0].height_px)
    size = nearest(given)
    if size == given:
        return size, []
    return size, [f"size: {given[0]}x{given[1]} → {size[0]}x{size[1]}, the nearest it makes"]


def sent_options(request: ImageRequest) -> dict[str, Option]:
    """Return the options with the defaults that the mode needs.

    The defaults of the servers' APIs differ from those of their own pages, and from each other.
    """
    try:
        given = Options.model_validate(request.options).model_dump(exclude_none=True)
    except ValidationError:
        # Checked before sending: only a reply from before an update meets this.
        raise BadProviderReply(
            "The options of this request are no longer known, so its answer (kept) cannot be read. "
            "Start the run again."
        ) from None
    defaults: dict[str, Option] = {}
    if request.mode != "generate":
        defaults |= EDIT_DEFAULTS
    if request.by_role("mask"):
        defaults |= MASK_DEFAULTS
    if given.get("inpaint_full_res"):
        defaults |= CUTTING_DEFAULTS
    return defaults | given


class _Row(BaseModel, frozen=True):
    title: str | None = None
    model_name: str | None = None


_ROWS = TypeAdapter(tuple[_Row, ...])


def listed(body: bytes) -> Sequence[Listed]:
    """Read the checkpoints of a server; raise `BadProviderReply` for anything else."""
    try:
        rows = _ROWS.validate_json(body)
    except ValidationError:
        raise BadProviderReply(
            f"The list of checkpoints ({len(body)} bytes) is not what the API promises; perhaps "
            "something else answers at base_url. Check it."
        ) from None
    found = {CURRENT: Listed(id=CURRENT)}
    for row in rows[:_MOST_MODELS]:
        name = row.model_name or row.title or ""
        if name.strip() and name.isprintable():
            title = row.title if row.title and row.title.isprintable() else name
            found.setdefault(name, Listed(id=name, title=title[:_LONGEST_TITLE]))
    return list(found.values())
