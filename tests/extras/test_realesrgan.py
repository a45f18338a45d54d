"""LAB-10: Real-ESRGAN by ncnn, with the published weights."""

from __future__ import annotations

import hashlib
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel

from maquette.core.errors import OperationFailed
from maquette.core.operation import Operation
from maquette.core.raster import Raster
from maquette.imaging.apply import apply
from maquette.ops.realesrgan import models
from maquette.ops.realesrgan.models import MODELS, Model
from maquette.ops.realesrgan.ncnn_cpu import NCNN, TILING, NcnnParams, loaded
from maquette.ops.realesrgan.tiles import Tiling, enlarge
from maquette.testing.contracts import FixedWork, OperationContract

SCENES = Path(__file__).parents[2] / "examples" / "scenes"
EXTRA = "realesrgan"
WEIGHTS = Path(os.environ.get("MAQUETTE_TEST_WEIGHTS", "no-weights"))

ABSENT = next(
    (
        what
        for what, there in (
            ("the package 'ncnn' is not installed", find_spec("ncnn") is not None),
            ("MAQUETTE_TEST_WEIGHTS has no realesrgan models", len(models.present(WEIGHTS)) == 5),
        )
        if not there
    ),
    None,
)
if ABSENT and EXTRA in os.environ.get("MAQUETTE_EXTRAS_REQUIRED", "").split():
    pytest.fail(f"MAQUETTE_EXTRAS_REQUIRED names {EXTRA!r}, but {ABSENT}", pytrace=False)
if ABSENT:
    pytest.skip(f"extra {EXTRA!r}: {ABSENT}", allow_module_level=True)

EACH = pytest.mark.parametrize("model", MODELS, ids=lambda one: one.name)
QUICK = "realesr-animevideov3-x4"


class TestNcnn(OperationContract):
    """The network's factor is the scale."""

    @pytest.fixture
    def operation(self) -> Operation[Any]:
        return NCNN

    @pytest.fixture
    def weights(self) -> Path:
        return WEIGHTS

    @pytest.fixture
    def params(self, operation: Operation[Any]) -> BaseModel:
        return NcnnParams(scale=4, model=QUICK)

    @pytest.fixture
    def neutral(self) -> BaseModel | None:
        return NcnnParams(scale=1)


class TestNcnnByABrokenNumber(TestNcnn):
    """Down from the network's factor."""

    @pytest.fixture
    def params(self, operation: Operation[Any]) -> BaseModel:
        return NcnnParams(scale=1.7, model=QUICK)


class TestNcnnBeyondItsFactor(TestNcnn):
    """Up from the network's factor."""

    @pytest.fixture
    def params(self, operation: Operation[Any]) -> BaseModel:
        return NcnnParams(scale=5.5, model=QUICK)


def photograph(height_px: int, width_px: int) -> NDArray[np.uint8]:
    bgr = cv2.imread(str(SCENES / "astronaut.png"))
    assert bgr is not None
    crop = bgr[60 : 60 + height_px, 100 : 100 + width_px, ::-1]
    return np.ascontiguousarray(crop).astype(np.uint8)


def made(pixels: NDArray[np.uint8], params: NcnnParams) -> NDArray[np.uint8]:
    image = apply(NCNN, {"image": Raster(pixels)}, params, FixedWork(weights=WEIGHTS)).image
    assert image is not None
    return image.pixels


@EACH
def test_the_tool_data_is_that_of_the_published_files(model: Model) -> None:
    for file in model.files:
        content = (WEIGHTS / file.path).read_bytes()
        assert len(content) == file.size_bytes
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == file.checksum


@EACH
def test_each_model_enlarges_what_is_there(model: Model) -> None:
    """Made small again it is the same picture; the factor is what the table says."""
    pixels = photograph(48, 56)
    result = made(pixels, NcnnParams(scale=model.factor, model=model.name))
    assert result.shape == (48 * model.factor, 56 * model.factor, 3)
    back = cv2.resize(result, (56, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(back.astype(int) - pixels).mean() < 6


def test_the_best_model_finds_sharper_edges_than_resampling() -> None:
    pixels = photograph(64, 64)
    result = made(pixels, NcnnParams(scale=2))
    plain = cv2.resize(pixels, (128, 128), interpolation=cv2.INTER_LANCZOS4)
    sharpness = [cv2.Laplacian(one, cv2.CV_64F).var() for one in (result, plain)]
    assert sharpness[0] > 1.5 * sharpness[1]


def test_the_report_names_the_model() -> None:
    rasters = {"image": Raster(photograph(16, 16))}
    result = NCNN.apply(rasters, NcnnParams(model=QUICK), FixedWork(weights=WEIGHTS))
    assert result.data == {"model": QUICK}


def test_no_seams() -> None:
    """The network sees further than the overlap, but hardly: few levels, and rarely."""
    model = models.chosen(WEIGHTS, QUICK, 4)
    network, pixels = loaded(model, WEIGHTS), photograph(200, 300)
    whole = enlarge(pixels, network, 4, Tiling(400, 12))
    tiled = enlarge(pixels, network, 4, TILING)
    difference = np.abs(whole.astype(int) - tiled)
    assert difference.max() <= 16 and difference.mean() < 0.1


def test_progress_is_told_by_tiles() -> None:
    work = FixedWork(weights=WEIGHTS)
    NCNN.apply({"image": Raster(photograph(150, 120))}, NcnnParams(model=QUICK), work)
    assert len(work.told) == 4 and work.told[-1] == 1


def test_a_cut_out_has_no_dark_fringe() -> None:
    """Hidden black is not seen by the network, whichever colour stands there."""
    rows, columns = np.mgrid[0:60, 0:60]
    alpha = np.clip((20 - np.hypot(rows - 30, columns - 30)) * 60, 0, 255).astype(np.uint8)
    results: list[NDArray[np.uint8]] = []
    for hidden in (0, 90):
        colours = np.where(alpha > 0, 235, hidden).astype(np.uint8)
        results.append(made(np.dstack([colours] * 3 + [alpha]), NcnnParams(scale=3, model=QUICK)))
    np.testing.assert_array_equal(results[0], results[1])
    assert results[0][results[0][..., 3] > 0][:, :3].min() >= 225
    assert results[0][90, 90, 3] == 255 and results[0][0, 0, 3] == 0


def test_ready_where_the_weights_are(tmp_path: Path) -> None:
    assert NCNN.missing(WEIGHTS) is None
    said = NCNN.missing(tmp_path)
    assert said is not None and "maquette tools setup realesrgan" in said


def test_damaged_weights_are_an_error_not_a_crash(tmp_path: Path) -> None:
    """They are as long as they should be, so that only ncnn can tell."""
    shutil.copytree(WEIGHTS / models.FOLDER, tmp_path / models.FOLDER)
    model = models.chosen(tmp_path, QUICK, 4)
    (tmp_path / model.files[1].path).write_bytes(bytes(model.files[1].size_bytes))
    rasters = {"image": Raster(photograph(16, 16))}
    with pytest.raises(OperationFailed, match="maquette tools setup realesrgan"):
        NCNN.apply(rasters, NcnnParams(model=QUICK), FixedWork(weights=tmp_path))
