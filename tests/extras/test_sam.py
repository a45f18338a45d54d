"""WEB-11: masks by Segment Anything, with tiny networks made here: no weights can be fetched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from maquette.core.errors import BadParameter, OperationFailed
from maquette.core.operation import Operation, Result
from maquette.core.raster import Raster
from maquette.imaging.apply import apply
from maquette.ops.sam import SAM, SamParams, models, session
from maquette.testing.contracts import FixedWork, OperationContract
from maquette.testing.tiny_onnx import sam_decoder, sam_encoder

EXTRA = "onnx"
ABSENT = "" if models.installed() else "onnxruntime"
if ABSENT and EXTRA in os.environ.get("MAQUETTE_EXTRAS_REQUIRED", "").split():
    pytest.fail(f"MAQUETTE_EXTRAS_REQUIRED names {EXTRA!r}, but {ABSENT} is missing", pytrace=False)
if ABSENT:
    pytest.skip(f"extra {EXTRA!r}: {ABSENT} is not installed", allow_module_level=True)

Pixels = NDArray[np.uint8]
MEAN = np.array((123.675, 116.28, 103.53))
DEVIATION = np.array((58.395, 57.12, 57.375))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Put a pair of networks there that keep what is brighter than the middle."""
    session.forget()
    folder = tmp_path / "sam"
    folder.mkdir()
    encoder = sam_encoder(1024, list(DEVIATION / 3 / 255), float(MEAN.mean() / 255) - 0.5)
    (folder / "tiny.encoder.onnx").write_bytes(encoder)
    (folder / "tiny.decoder.onnx").write_bytes(sam_decoder(256))
    return tmp_path


def lamp(height: int = 120, width: int = 200) -> Pixels:
    """Return a bright rectangle up and left on a dark ground."""
    picture = np.full((height, width, 3), 30, np.uint8)
    picture[height // 8 : height // 2, width // 8 : width // 3] = (250, 220, 200)
    return picture


def found(weights: Path, picture: Pixels, **params: Any) -> Result:
    work = FixedWork(weights=weights)
    return apply(SAM, {"image": Raster(picture)}, SamParams(**params), work)


class TestSam(OperationContract):
    """The contract; its picture is a mask, which has no alpha."""

    @pytest.fixture
    def operation(self) -> Operation[Any]:
        return SAM

    @pytest.fixture
    def params(self, operation: Operation[Any]) -> SamParams:
        return SamParams(points=((0, 0),))

    @pytest.fixture
    def weights(self, weights: Path) -> Path:
        return weights

    @pytest.fixture
    def neutral(self) -> None:
        return None


@pytest.mark.parametrize("size", [(120, 200), (200, 120), (64, 640), (1500, 900)])
def test_the_mask_lies_where_the_network_saw_it(weights: Path, size: tuple[int, int]) -> None:
    picture = lamp(*size)
    result = found(weights, picture, points=((size[1] // 5, size[0] // 4),))
    assert result.image is not None and result.image.pixels.shape == (*size, 1)
    marked, truth = result.image.pixels[..., 0] > 127, picture.mean(axis=2) > 127
    assert (marked & truth).sum() / (marked | truth).sum() > 0.97


def test_clicks_and_boxes_reach_the_network_as_it_was_taught(weights: Path) -> None:
    """Coordinates are those of the square; labels are 1, 0, 2 and 3, and -1 where no box is."""
    network = session.network(models.chosen(weights, ""))
    picture = lamp(100, 200)
    inside = (np.s_[20:40], np.s_[30:60])
    for said, reach, overlap in (
        ({"points": ((100, 20),)}, 512.0, 0.0),
        ({"points": ((100, 20), (50, 90))}, 512.0, 1 / 3),
        ({"points": ((100, 20),), "not_points": ((150, 5),)}, 768.0, 0.0),
        ({"points": ((30, 20),), "box": (10, 10, 180, 90)}, 921.6, 1.0),
    ):
        logits, expected = network.find(picture, SamParams.model_validate(said))
        brightness = picture[inside].mean() / 255 - 0.5
        assert logits[inside].mean() == pytest.approx(brightness * reach, rel=1e-3)
        assert expected == pytest.approx(overlap, abs=1e-6)


def test_a_picture_is_looked_at_once(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = session.network(models.chosen(weights, ""))
    first, _ = network.find(lamp(), SamParams(points=((9, 9),)))
    monkeypatch.setattr(network, "encoder", None)
    again, _ = network.find(lamp(), SamParams(points=((9, 9),)))
    assert np.array_equal(first, again)
    with pytest.raises(AttributeError):
        network.find(lamp(90), SamParams(points=((9, 9),)))


def test_a_point_outside_the_picture_is_refused(weights: Path) -> None:
    with pytest.raises(BadParameter, match="x=200, y=3 lies outside"):
        found(weights, lamp(), points=((200, 3),))


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_damaged_file_is_named(weights: Path, part: str) -> None:
    (weights / f"sam/tiny.{part}.onnx").write_bytes(b"no network")
    with pytest.raises(OperationFailed, match=rf"tiny\.{part}\.onnx.*could not be loaded"):
        found(weights, lamp(), points=((9, 9),))


def test_a_network_that_answers_otherwise_is_refused(weights: Path) -> None:
    other = (
        (weights / "sam/tiny.decoder.onnx").read_bytes().replace(b"low_res_masks", b"low_res_thing")
    )
    (weights / "sam/tiny.decoder.onnx").write_bytes(other)
    with pytest.raises(OperationFailed, match="are no masks"):
        found(weights, lamp(), points=((9, 9),))
