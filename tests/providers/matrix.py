"""What every provider does with every parameter, found out by asking it: `docs/providers.md`.

Each parameter is given by itself. Where the provider refuses it, that is *refused*; where it says
that it changed it, *clamped*; where the call to the stand-in server (or, in-process, the picture)
differs from the call without it, *honoured*. What is none of these is *ignored*, and a test fails.

Write the page anew: `python -m tests.providers.matrix`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from maquette.core.errors import BadParameter, CapabilityMissing
from maquette.core.provider import Provider, profile_of
from maquette.core.requests import (
    Encoded,
    ImageRequest,
    Input,
    Mode,
    ModelProfile,
    Option,
    canonical,
    digest_of,
)
from maquette.core.wire import WireRules
from maquette.imaging import png
from maquette.providers.a1111.config import A1111Config
from maquette.providers.a1111.provider import A1111Provider
from maquette.providers.openai.config import OpenAIConfig
from maquette.providers.openai.provider import OpenAIProvider
from maquette.providers.photoroom.config import PhotoroomConfig
from maquette.providers.photoroom.provider import PhotoroomProvider
from maquette.providers.proof.provider import ProofProvider
from maquette.providers.removebg.config import RemoveBgConfig
from maquette.providers.removebg.provider import RemoveBgProvider
from maquette.services.planning import check_request
from maquette.testing.contracts import FakeRun
from maquette.testing.standin_a1111 import A1111StandIn
from maquette.testing.standin_cutout import CutoutStandIn
from maquette.testing.standin_openai import StandIn

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
CLOSED = WireRules(paid_calls=False)
MODES: tuple[Mode, ...] = ("generate", "edit", "inpaint", "cutout")
SIZE = (128, 96)
"""Of the source, (width_px, height_px)."""

Wire = Callable[[], object]
Table = Mapping[Mode, Mapping[str, str]]
"""By mode and parameter, what becomes of it."""


@dataclass(frozen=True)
class Subject:
    """A provider with a server to talk to, and how its last call looked."""

    provider: Provider
    model: str
    wire: Wire | None
    options: Mapping[str, Mapping[str, Option]]
    """An option's name, and how to give it."""
    known: dict[str, tuple[set[str], object]] = field(default_factory=dict[str, Any])
    """How the calls looked that were made."""


def _noise(seed: int, channels: int = 3) -> bytes:
    rng = np.random.default_rng(seed)
    return png.write(rng.integers(0, 256, (SIZE[1], SIZE[0], channels), np.uint8))


def _mask() -> bytes:
    pixels = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    pixels[20:60, 10:50] = 255
    return png.write(pixels)


PICTURES = {"init": _noise(1), "reference": _noise(2), "mask": _mask()}
STORED = {digest_of(data): Encoded(data, "image/png") for data in PICTURES.values()}


def given(role: str) -> Input:
    data = PICTURES[role]
    facts = {"width_px": SIZE[0], "height_px": SIZE[1], "size_bytes": len(data)}
    return Input.model_validate(
        {"role": role, "digest": digest_of(data), "media_type": "image/png", **facts}
    )


def base(subject: Subject, mode: Mode) -> ImageRequest:
    roles = {"generate": (), "inpaint": ("init", "mask")}.get(mode, ("init",))
    return ImageRequest(
        provider=subject.provider.id,
        model=subject.model,
        mode=mode,
        prompt="" if mode == "cutout" else "a warm evening by the sea",
        size="auto" if mode == "generate" else "source",
        inputs=tuple(given(role) for role in roles),
    )


def probes(subject: Subject, mode: Mode) -> dict[str, dict[str, Any]]:
    """Return the parameters, each as a change of the plain request."""
    plain = base(subject, mode)
    named: dict[str, dict[str, Any]] = {
        "another prompt": {"prompt": "snow at night"},
        "negative prompt": {"negative_prompt": "boats"},
        "exact size 1024x1536": {"size": (1024, 1536)},
        "unusual size 1000x700": {"size": (1000, 700)},
        "seed": {"seed": 7},
        "a reference picture": {"inputs": (*plain.inputs, given("reference"))},
        "two pictures a call": {"count": 2},
    }
    options = {f"option `{name}`": {"options": dict(how)} for name, how in subject.options.items()}
    return named | options


def outcome(subject: Subject, plain: ImageRequest, changed: ImageRequest, name: str) -> str:
    """Find out what becomes of a parameter."""
    profile = profile_of(subject.provider, subject.model)
    try:
        check_request(changed, profile)
        subject.provider.check(changed)
        notes, after = seen(subject, changed)
    except (CapabilityMissing, BadParameter):
        return "refused"
    with_defaults = plain
    if len(changed.options) > 1:  # what an option needs beside it is no effect of its own
        own = name.strip("`").rpartition("`")[2]
        rest = {key: value for key, value in changed.options.items() if key != own}
        with_defaults = plain.model_copy(update={"options": rest})
    told, before = seen(subject, with_defaults)
    if notes - told:
        return "clamped"
    return "ignored" if before == after else "honoured"


def seen(subject: Subject, request: ImageRequest) -> tuple[set[str], object]:
    """Make the call; return what was clamped, and how it looked."""
    key = request.model_dump_json()
    if key not in subject.known:
        subject.known[key] = _called(subject, request)
    return subject.known[key]


def _called(subject: Subject, request: ImageRequest) -> tuple[set[str], object]:
    made = asyncio.run(subject.provider.generate(request, FakeRun(STORED)))
    if subject.wire is None:
        return set(made.clamped), [digest_of(image.data) for image in made.images]
    return set(made.clamped), subject.wire()


OPENAI_OPTIONS: Mapping[str, Mapping[str, Option]] = {
    "quality": {"quality": "low"},
    "background": {"background": "opaque"},
    "output_format": {"output_format": "webp"},
    "output_compression": {"output_compression": 40, "output_format": "jpeg"},
    "moderation": {"moderation": "low"},
    "partial_images": {"partial_images": 2},
    "safety_identifier": {"safety_identifier": "5f2a"},
}
A1111_OPTIONS: Mapping[str, Mapping[str, Option]] = {
    "steps": {"steps": 31},
    "cfg_scale": {"cfg_scale": 3.5},
    "sampler_name": {"sampler_name": "Euler a"},
    "scheduler": {"scheduler": "Karras"},
    "denoising_strength": {"denoising_strength": 0.4},
    "mask_blur": {"mask_blur": 9},
    "inpainting_fill": {"inpainting_fill": 0},
    "inpaint_full_res": {"inpaint_full_res": True},
    "inpaint_full_res_padding": {"inpaint_full_res_padding": 8, "inpaint_full_res": True},
}


@contextmanager
def subjects() -> Generator[dict[str, Subject]]:
    """Open every provider that runs here, each with its stand-in."""
    with StandIn() as openai, A1111StandIn() as a1111, CutoutStandIn() as cutout:

        def openai_wire() -> object:
            last = openai.seen[-1]
            files = [(part.name, digest_of(part.data)) for part in last.files]
            return last.path, canonical(dict(last.fields)), files

        def a1111_wire() -> object:
            last = a1111.seen[-1]
            return last.path, canonical(dict(last.fields))

        def cutout_wire() -> object:
            last = cutout.seen[-1]
            return canonical(dict(last.fields)), [digest_of(part.data) for part in last.files]

        made: list[Subject] = [
            Subject(ProofProvider(), "proof", None, {}),
            Subject(
                OpenAIProvider(
                    OpenAIConfig(base_url=openai.url, shipped_models=True, has_key=True), CLOSED
                ),
                "gpt-image-2.5-flare",
                openai_wire,
                OPENAI_OPTIONS,
            ),
            Subject(
                A1111Provider(A1111Config(base_url=a1111.url), CLOSED, look_s=0.01),
                "current",
                a1111_wire,
                A1111_OPTIONS,
            ),
            Subject(
                PhotoroomProvider(PhotoroomConfig(base_url=cutout.url, has_key=True), CLOSED),
                "segment",
                cutout_wire,
                {},
            ),
            Subject(
                RemoveBgProvider(
                    RemoveBgConfig.model_validate(
                        {"base_url": cutout.url, "has_key": True, "usd_per_credit": "0.2"}
                    ),
                    CLOSED,
                ),
                "removebg",
                cutout_wire,
                {},
            ),
        ]
        yield {one.provider.id: one for one in made}


def table(subject: Subject) -> Table:
    """Find out everything about one provider."""
    profile = profile_of(subject.provider, subject.model)
    found: dict[Mode, dict[str, str]] = {}
    for mode in MODES:
        if mode in profile.modes:
            plain = base(subject, mode)
            found[mode] = {
                name: outcome(subject, plain, plain.model_copy(update=change), name)
                for name, change in probes(subject, mode).items()
            }
    return found


def page(
    tables: Mapping[str, Mapping[Mode, Mapping[str, str]]], facts: Mapping[str, Subject]
) -> str:
    """Write the page."""
    lines = [
        "# What each provider does with each parameter",
        "",
        "This page is generated by asking every provider (`python -m tests.providers.matrix`), and",
        "a test compares it with what really goes over the wire to a stand-in server. *Honoured*:",
        "it reaches the other side. *Clamped*: it is changed to what the model can, and the change",
        "is kept with the picture. *Refused*: nothing is sent. Nothing is ever ignored.",
        "",
        "| provider | asked here | makes | pictures a call | references | seed | costs |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, subject in facts.items():
        lines.append(_facts(name, profile_of(subject.provider, subject.model)))
    for name, modes in tables.items():
        lines += ["", f"## {name}", "", f"| parameter | {' | '.join(modes)} |"]
        lines.append("|---" * (1 + len(modes)) + "|")
        for parameter in next(iter(modes.values())):
            cells = " | ".join(modes[mode][parameter] for mode in modes)
            lines.append(f"| {parameter} | {cells} |")
    return "\n".join(lines) + "\n"


def _facts(name: str, profile: ModelProfile) -> str:
    cells = (
        name,
        f"`{profile.id}`",
        ", ".join(sorted(profile.modes)),
        profile.max_count,
        profile.max_references or "none",
        "yes" if profile.supports_seed else "no",
        "yes" if profile.paid else "free",
    )
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def everything() -> str:
    with subjects() as known:
        return page({name: table(one) for name, one in known.items()}, known)


if __name__ == "__main__":
    PAGE.write_text(everything(), encoding="utf-8")
