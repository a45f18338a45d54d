"""The published networks that rembg runs on this machine: what there is, what is there, which one.

Names, addresses and checksums are those of rembg 2.0.86. Left out are its sessions that send the
picture away, that want clicks on it, that make several masks, and that run any file: a name must
say what made a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maquette.core.errors import BadParameter, CapabilityMissing
from maquette.core.tools import Tool, WeightFile

FOLDER: Final = "rembg"
"""Below the installation's weights folder."""

REMOTE: Final = ("atlascloud", "withoutbg")
"""Sessions of rembg that are services of others; they are never used."""

_RELEASE = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/"
_APACHE = "Apache-2.0"
# As large as birefnet-general, which is the same network: not confirmed, so not claimed.
_UNKNOWN = 0


@dataclass(frozen=True)
class Model:
    """One network, as rembg names it."""

    name: str
    side_px: int
    """The picture is squeezed into a square of this side; the mask comes back as large."""
    file: WeightFile
    logits: bool = False
    """Its numbers become shares of 0..1 only by a sigmoid."""
    unasked: bool = True
    """It may be taken where nobody named a model."""

    def path(self, weights: Path) -> Path:
        return weights / self.file.path

    def complete(self, weights: Path) -> bool:
        """Say whether its file is there, and as long as it should be where that is known."""
        path = self.path(weights)
        return path.is_file() and self.file.size_bytes in (_UNKNOWN, path.stat().st_size)


def _model(
    name: str,
    side_px: int,
    size_bytes: int,
    checksum: str,
    licence: str = _APACHE,
    *,
    asset: str = "",
    unasked: bool = True,
) -> Model:
    file = WeightFile(
        path=f"{FOLDER}/{name}.onnx",
        address=f"{_RELEASE}{asset or name}.onnx",
        size_bytes=size_bytes,
        checksum=checksum,
        licence=licence,
    )
    return Model(name, side_px, file, name.startswith("birefnet"), unasked)


def _birefnet(kind: str, asset: str, size_bytes: int, md5: str) -> Model:
    return _model(
        f"birefnet-{kind}", 1024, size_bytes, f"md5:{md5}", "MIT", asset=f"BiRefNet-{asset}"
    )


# Sizes: as several public projects record them for these very checksums.
_ALL = (
    _model("isnet-general-use", 1024, 178648008, "md5:fc16ebd8b0c10d971d3513d564d01e29"),
    _model("u2net", 320, 175997641, "md5:60024c5c889badc19c04ad937298a77b"),
    # A smaller U²-Net; that its terms are the same is inferred from where it came from.
    _model("silueta", 320, 44173029, "md5:55e59e0d8062d2f5d013f4725ee84782"),
    _model("u2netp", 320, 4574861, "md5:8e83ca70e441ab06c318d82300c84806"),
    _birefnet(
        "general-lite",
        "general-bb_swin_v1_tiny-epoch_232",
        224005088,
        "4fab47adc4ff364be1713e97b7e66334",
    ),
    _birefnet("general", "general-epoch_244", 972666916, "7a35a0141cbbc80de11d9c9a28f52697"),
    _birefnet(
        "massive",
        "massive-TR_DIS5K_TR_TEs-epoch_420",
        _UNKNOWN,
        "33e726a2136a3d59eb0fdf613e31e3e9",
    ),
    _birefnet("hrsod", "HRSOD_DHU-epoch_115", _UNKNOWN, "c017ade5de8a50ff0fd74d790d268dda"),
    _birefnet("dis", "DIS-epoch_590", _UNKNOWN, "2d4d44102b446f33a4ebb2e56c051f2b"),
    _birefnet("portrait", "portrait-epoch_150", _UNKNOWN, "c3a64a6abf20250d090cd055f12a3b67"),
    _model("u2net_human_seg", 320, 175997641, "md5:c09ddc2e0104f800e3e1bb4652583d1f"),
    _model("isnet-anime", 1024, 176069933, "md5:6f184e756bb3bd901c8849220a83e38e"),
    _birefnet("cod", "COD-epoch_125", _UNKNOWN, "f6d0d21ca89d287f17e7afe9f5fd3b45"),
    _model(
        "bria-rmbg",
        1024,
        _UNKNOWN,
        "sha256:5b486f08200f513f460da46dd701db5fbb47d79b4be4b708a19444bcd4e79958",
        "CC-BY-NC-4.0: not for commercial use without a contract with BRIA",
        asset="bria-rmbg-2.0",
        unasked=False,
    ),
)

MODELS: Final[dict[str, Model]] = {one.name: one for one in _ALL}
"""In the order in which one is taken where none is named: those for any subject that fit the
workers' usual memory, then the large ones, then those for one kind of subject; never one whose
terms forbid commercial use."""

_FETCHED = (MODELS["isnet-general-use"].file, MODELS["u2net"].file)

TOOL: Final = Tool(
    name="rembg",
    purpose="removes backgrounds with a neural network on this machine",
    licence="MIT (rembg, onnxruntime, pymatting), Apache-2.0 (the weights of IS-Net and U²-Net)",
    size=f"{sum(one.size_bytes for one in _FETCHED) / 1e6:.0f} MB of weights, and about 280 MB "
    "of packages",
    source="https://github.com/danielgatis/rembg; the weights: https://github.com/xuebinqin/DIS "
    "and https://github.com/xuebinqin/U-2-Net",
    extra="rembg",
    files=_FETCHED,
)


def present(weights: Path) -> list[str]:
    """Return the models whose file is there, in order of preference."""
    return [name for name, model in MODELS.items() if model.complete(weights)]


def chosen(weights: Path, name: str) -> Model:
    """Return the model of that name or, where none is named, the first that may be taken.

    Raises
    ------
    BadParameter
        rembg has no such model that runs here.
    CapabilityMissing
        Its file is not there, or none is there that may be taken unasked.
    """
    ready = present(weights)
    if not name:
        for one in ready:
            if MODELS[one].unasked:
                return MODELS[one]
        raise CapabilityMissing(
            f"No rembg model may be taken unasked; nothing was computed. {_there(weights)} "
            f"Name it, as `rembg:{ready[0]}`, or run `{TOOL.command}`."
            if ready
            else absent(weights)
        )
    if name in REMOTE:
        raise BadParameter(
            f"model {name!r} sends the picture to a service, which this backend never does; "
            f"nothing was sent. {_there(weights)} Choose one of: {', '.join(MODELS)}."
        )
    if name not in MODELS:
        raise BadParameter(
            f"model {name!r} is none that rembg runs here; nothing was computed. "
            f"{_there(weights)} Choose one of: {', '.join(MODELS)}."
        )
    if name not in ready:
        raise CapabilityMissing(_how_to_get(weights, MODELS[name]))
    return MODELS[name]


def absent(weights: Path) -> str:
    """Say that there is no model at all, and how to get one."""
    return f"There is no whole rembg model in {str(weights / FOLDER)!r}. Run `{TOOL.command}`."


def _there(weights: Path) -> str:
    ready = present(weights)
    return f"There are: {', '.join(map(repr, ready))}." if ready else "None is there."


def _how_to_get(weights: Path, model: Model) -> str:
    path, file = model.path(weights), model.file
    state = "has another length than its authors' file" if path.is_file() else "is not there"
    way = (
        f"Run `{TOOL.command}`."
        if file in TOOL.files
        else f"Put {file.address} there ({file.licence}); `{TOOL.command}` fetches others."
    )
    return (
        f"model {model.name!r}: {str(path)!r} {state}; nothing was downloaded. {_there(weights)} "
        f"{way}"
    )
