"""Which weights of Segment Anything are there: its users put them into a folder themselves."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from maquette.core.errors import BadParameter, CapabilityMissing
from maquette.core.tools import Tool

FOLDER: Final = "sam"
"""Below the installation's weights folder."""

_ENCODER, _DECODER = ".encoder.onnx", ".decoder.onnx"

TOOL: Final = Tool(
    name="sam",
    purpose="marks what is clicked on with Segment Anything, on this machine",
    licence="MIT (onnxruntime); the published weights of Segment Anything: Apache-2.0",
    size="about 70 MB of packages; weights of 40 MB to 2.6 GB, which you supply",
    source="https://github.com/facebookresearch/segment-anything, exported to ONNX as "
    "https://github.com/vietanhdev/samexporter does it",
    extra="onnx",
)


@dataclass(frozen=True)
class Model:
    """A pair of files: `NAME.encoder.onnx` looks at a picture, `NAME.decoder.onnx` at clicks."""

    name: str
    encoder: Path
    decoder: Path


def installed() -> bool:
    """Say whether onnxruntime is there, without importing it."""
    spec = find_spec("onnxruntime")
    return spec is not None and spec.origin is not None


def present(weights: Path) -> list[Model]:
    """Return the complete pairs, by name."""
    folder = weights / FOLDER
    names = sorted(one.name.removesuffix(_ENCODER) for one in folder.glob(f"*{_ENCODER}"))
    pairs = [Model(name, folder / f"{name}{_ENCODER}", folder / f"{name}{_DECODER}")
             for name in names]  # fmt: skip
    return [one for one in pairs if one.encoder.is_file() and one.decoder.is_file()]


def missing(weights: Path) -> str | None:
    """Say the first of: the extra, a pair of files."""
    if not installed():
        return f"the extra 'onnx' is not installed (onnxruntime not found). Run `{TOOL.command}`."
    return None if present(weights) else absent(weights)


def absent(weights: Path) -> str:
    return (
        f"There is no pair of NAME{_ENCODER} and NAME{_DECODER} in {str(weights / FOLDER)!r}. Put "
        "an export of Segment Anything there, for example of sam_vit_b_01ec64; nothing is fetched."
    )


def chosen(weights: Path, name: str) -> Model:
    """Return the pair of that name or, where none is named, the first.

    Raises
    ------
    CapabilityMissing
        No pair is there.
    BadParameter
        Others are, but not the one that is named.
    """
    ready = present(weights)
    if not ready:
        raise CapabilityMissing(absent(weights))
    for one in ready:
        if name in ("", one.name):
            return one
    names = ", ".join(repr(one.name) for one in ready)
    raise BadParameter(
        f"model {name!r} is not there; nothing was computed. There are: {names}. Choose one."
    )
