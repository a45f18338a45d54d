"""The built-in operations, against the contract that plugins inherit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel

from maquette.core.operation import Operation
from maquette.core.raster import Raster
from maquette.core.registry import Registry
from maquette.ops.answered import ANSWER
from maquette.ops.background import CLASSICAL
from maquette.ops.colour import LUT, LutParams
from maquette.ops.guard import OUTPUT
from maquette.ops.pointing import CLICK, ClickParams
from maquette.ops.refine import MERGE
from maquette.ops.upscale import RESAMPLE, ResampleParams
from maquette.testing.contracts import OperationContract

IN_EXTRAS = {"background.rembg", "mask.sam", "upscale.ncnn", "upscale.python"}
"""Under the same contract in `tests/extras`, where what they need is installed."""


class TestBackground(OperationContract):
    """LAB-9: the embedded background removal."""

    @pytest.fixture
    def operation(self) -> Operation[Any]:
        return CLASSICAL

    @pytest.fixture
    def neutral(self) -> BaseModel | None:
        return None


class TestUpscale(OperationContract):
    """LAB-10: the embedded upscaler."""

    @pytest.fixture
    def operation(self) -> Operation[Any]:
        return RESAMPLE

    @pytest.fixture
    def neutral(self) -> BaseModel | None:
        return ResampleParams(scale=1, sharpen=0)


class TestUpscaleByABrokenNumber(TestUpscale):
    """LAB-10: a scale that is no whole number."""

    @pytest.fixture
    def params(self, operation: Operation[Any]) -> BaseModel:
        return ResampleParams(scale=1.7)


class TestColour(OperationContract):
    """LAB-11: 3D LUTs."""

    @pytest.fixture
    def operation(self) -> Operation[Any]:
        return LUT

    @pytest.fixture
    def neutral(self) -> BaseModel | None:
        return LutParams(strength=0)


class TestGuard(OperationContract):
    """LAB-7: it looks and changes nothing."""

    @pytest.fixture
    def operation(self) -> Operation[Any]:
        return OUTPUT

    @pytest.fixture
    def neutral(self) -> BaseModel | None:
        return None


class TestMerge(OperationContract):
    """LAB-9: the refine pass; its picture is a cutout, so it always has alpha."""

    @pytest.fixture
    def operation(self) -> Operation[Any]:
        return MERGE

    @pytest.fixture
    def neutral(self) -> BaseModel | None:
        return None

    def rasters(self, pixels: NDArray[Any]) -> dict[str, Raster]:
        height, width = pixels.shape[:2]
        cutout = pixels if pixels.shape[2] == 4 else np.dstack([pixels, self.ramp(height, width)])
        return {"image": Raster(cutout), "refined": Raster(cutout[::-1, ::-1])}


class TestClick(OperationContract):
    """WEB-11: the embedded segmenter; its picture is a mask, which has no alpha."""

    @pytest.fixture
    def operation(self) -> Operation[Any]:
        return CLICK

    @pytest.fixture
    def params(self, operation: Operation[Any]) -> BaseModel:
        return ClickParams(points=((0, 0),))

    @pytest.fixture
    def neutral(self) -> BaseModel | None:
        return None


class TestAnswer(OperationContract):
    """WEB-11: reading what a model painted."""

    @pytest.fixture
    def operation(self) -> Operation[Any]:
        return ANSWER

    @pytest.fixture
    def neutral(self) -> BaseModel | None:
        return None

    def rasters(self, pixels: NDArray[Any]) -> dict[str, Raster]:
        return {"image": Raster(pixels), "answer": Raster(pixels[::-1].copy())}


BUILT_IN = (CLASSICAL, RESAMPLE, LUT, MERGE, OUTPUT, CLICK, ANSWER)


def test_every_operation_is_under_contract() -> None:
    registry: Registry[Operation[Any]] = Registry("operation")
    registry.discover("maquette.operations")
    here = {one.id for one in BUILT_IN}
    assert {registry[name].id for name in registry} == here | IN_EXTRAS
    assert all(registry[name].id == name for name in registry)
