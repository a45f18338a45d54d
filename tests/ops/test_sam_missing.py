"""WEB-11, LAB-15: what Segment Anything says of itself where it, or its files, are not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maquette.core.errors import BadParameter, CapabilityMissing
from maquette.core.raster import Raster
from maquette.ops.sam import SAM, SamParams, models, resolve
from maquette.testing.contracts import FixedWork

COMMAND = "maquette tools setup sam"


def put(weights: Path, *names: str) -> Path:
    for name in names:
        (weights / "sam").mkdir(exist_ok=True)
        (weights / "sam" / name).write_bytes(b"?")
    return weights


@pytest.mark.skipif(models.installed(), reason="the extra 'onnx' is installed")
def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path) -> None:
    put(tmp_path, "b.encoder.onnx", "b.decoder.onnx")
    said = SAM.missing(tmp_path)
    assert said is not None and "'onnx'" in said and COMMAND in said
    picture = Raster(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(CapabilityMissing, match=COMMAND):
        SAM.apply({"image": picture}, SamParams(points=((1, 1),)), FixedWork(weights=tmp_path))


def test_files_that_are_no_pair_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "installed", lambda: True)
    put(tmp_path, "b.encoder.onnx", "l.decoder.onnx", "other.onnx")
    said = SAM.missing(tmp_path)
    assert said is not None and str(tmp_path / "sam") in said and "nothing is fetched" in said
    put(tmp_path, "b.decoder.onnx")
    assert SAM.missing(tmp_path) is None


def test_the_first_by_name_is_taken_and_another_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(CapabilityMissing, match="no pair"):
        resolve(SamParams(), tmp_path)
    put(tmp_path, *(f"{one}.{part}.onnx" for one in "hb" for part in ("encoder", "decoder")))
    resolved = resolve(SamParams(), tmp_path)
    assert resolved.model == "b" and resolve(resolved, tmp_path) == resolved
    with pytest.raises(BadParameter, match="There are: 'b', 'h'"):
        resolve(SamParams(model="../b"), tmp_path)
