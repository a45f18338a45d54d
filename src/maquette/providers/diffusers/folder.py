"""What lies in the weights folder, read from names and small JSON files only."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from maquette.core.requests import Mode
from maquette.providers.diffusers.families import FAMILIES, INPAINT_CHANNELS, Family

INDEX = "model_index.json"
_MOST_BYTES = 1_000_000
_PICKLED = frozenset({".bin", ".ckpt", ".pt", ".pth", ".pkl"})
_LIBRARIES = frozenset({"diffusers", "transformers", "stable_diffusion"})
"""Whose classes a model may name; `stable_diffusion` holds the safety checker."""
_WEIGHTLESS = ("Scheduler", "Tokenizer", "Extractor", "Processor")
_SMALLEST_MULTIPLE_PX = 8
"""The pipelines of these families demand it, whatever their VAE."""


@dataclass(frozen=True)
class LocalModel:
    """A model that can be asked for."""

    id: str
    folder: Path
    pipeline: str
    family: Family
    modes: frozenset[Mode]
    native_px: int
    multiple_px: int
    """Both sides of a picture are multiples of it."""
    variant: str | None
    """As `fp16`, where some part has weights only under that name."""
    stamp: str
    """Changes with the names, sizes and times of its files."""


@dataclass(frozen=True)
class Unusable:
    """A folder that looks like a model and cannot be used."""

    id: str
    why: str


class _Unfit(Exception):
    """The folder is no model for us; the text says why."""


def scan(weights: Path) -> Sequence[LocalModel | Unusable]:
    """List the models below a folder by name; a folder that cannot be read holds none."""
    try:
        folders = sorted(path for path in weights.iterdir() if not path.name.startswith("."))
    except OSError:
        return []
    return [_read(path) for path in folders if is_model(path)]


def is_model(folder: Path) -> bool:
    """Tell whether a folder says of itself that it is a model."""
    try:
        return (folder / INDEX).is_file()
    except OSError:
        return False


def _read(folder: Path) -> LocalModel | Unusable:
    try:
        return _model(folder)
    except (_Unfit, OSError) as error:
        return Unusable(folder.name, str(error))


def _model(folder: Path) -> LocalModel:
    index = _json(folder / INDEX)
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str) or pipeline not in FAMILIES:
        raise _Unfit(
            f"its pipeline class is {_short(pipeline)}, and these are known: {', '.join(FAMILIES)}"
        )
    family = FAMILIES[pipeline]
    parts = _parts(index)
    variant = _variant(folder, parts)
    core = _config(folder, "unet") or _config(folder, "transformer")
    vae = _config(folder, "vae")
    blocks = vae.get("block_out_channels")
    scale = 2 ** (len(cast("list[Any]", blocks)) - 1) if isinstance(blocks, list) and blocks else 8
    side = core.get("sample_size")
    native_px = side * scale if isinstance(side, int) and 8 <= side <= 1024 else family.native_px
    only_inpaints = core.get("in_channels") == INPAINT_CHANNELS
    if only_inpaints and "inpaint" not in family.modes:
        raise _Unfit(f"its UNet is made for inpainting, and a {pipeline} does not inpaint")
    return LocalModel(
        id=folder.name,
        folder=folder,
        pipeline=pipeline,
        family=family,
        modes=frozenset({"inpaint"}) if only_inpaints else family.modes,
        native_px=native_px,
        multiple_px=max(_SMALLEST_MULTIPLE_PX, scale * family.patch),
        variant=variant,
        stamp=_stamp(folder, parts),
    )


def _parts(index: Mapping[str, Any]) -> dict[str, str]:
    """Return the class of each part; a part of a foreign library would run foreign code."""
    found: dict[str, str] = {}
    for name, value in index.items():
        if name.startswith("_") or not isinstance(value, list):
            continue
        pair = cast("list[Any]", value)
        if len(pair) != 2 or pair[0] is None:
            continue
        library, kind = pair
        if library not in _LIBRARIES or not _known(kind) or not name.isidentifier():
            raise _Unfit(
                f"its part {_short(name)} is {_short(pair)}, which could run code that is not "
                "part of diffusers or transformers"
            )
        found[name] = kind
    if not found:
        raise _Unfit(f"its {INDEX} lists no parts")
    return found


def _variant(folder: Path, parts: Mapping[str, str]) -> str | None:
    """Check that every part has safe weights; return the name under which some have them."""
    variants: set[str] = set()
    for name, kind in parts.items():
        if any(word in kind for word in _WEIGHTLESS):
            continue
        files = _files(folder / name)
        safe = [path for path in files if path.suffix == ".safetensors"]
        if not safe:
            pickled = sorted(path.name for path in files if path.suffix in _PICKLED)
            if pickled:
                raise _Unfit(
                    f"its part {name!r} has only pickled weights ({pickled[0]}), which can run "
                    "code when they are loaded; get the model as .safetensors"
                )
            raise _Unfit(f"its part {name!r} has no .safetensors weights; fetch it whole")
        tags = {_tag(path.name) for path in safe}
        if None not in tags:
            variants.add(min(tag for tag in tags if tag is not None))
    if len(variants) > 1:
        raise _Unfit(f"its parts come in different variants: {', '.join(sorted(variants))}")
    return variants.pop() if variants else None


def _stamp(folder: Path, parts: Mapping[str, str]) -> str:
    stats = {
        f"{part}/{path.name}": (found.st_size, found.st_mtime_ns)
        for part in ("", *parts)
        for path in _files(folder / part)
        if (found := path.stat())
    }
    return hashlib.sha256(repr(sorted(stats.items())).encode()).hexdigest()


def _tag(name: str) -> str | None:
    """Return `fp16` of `model.fp16.safetensors` and of `model.fp16-00001-of-00002.safetensors`."""
    middle = name.split(".")[1:-1]
    return middle[0].split("-")[0] if middle else None


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_file()]
    except OSError:
        return []


def _config(folder: Path, part: str) -> dict[str, Any]:
    path = folder / part / "config.json"
    return _json(path) if path.is_file() else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _Unfit(f"its {path.name} is over {_MOST_BYTES} bytes")
        document: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _Unfit(f"its {path.name} cannot be read ({type(error).__name__})") from None
    if not isinstance(document, dict):
        raise _Unfit(f"its {path.name} is not a table")
    return cast("dict[str, Any]", document)


def _known(kind: object) -> bool:
    """Tell whether a part says its class; `AutoModel` and its like look into foreign code."""
    return isinstance(kind, str) and not re.match("Auto[A-Z]", kind)


def _short(value: object) -> str:
    return repr(value)[:80]
