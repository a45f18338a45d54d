"""What every operation promises; plugin authors import it from `maquette.testing.contracts`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from maquette.core.operation import Kind, Operation, Result
from maquette.core.raster import Raster
from maquette.imaging.apply import apply


class FixedWork:
    """A `Work` with a known seed."""

    def __init__(self, seed: int = 7, weights: Path = Path("no-weights")) -> None:
        self.seed = seed
        self.weights = weights
        self.told: list[float] = []

    def progress(self, fraction: float) -> None:
        self.told.append(fraction)


class OperationContract:
    """What every `Operation` promises, by itself and run by `maquette.imaging.apply`.

    Fixtures: `operation`; `neutral`, parameters that change nothing, or None where there are
    none. Override `params` where the defaults are not enough to run it.
    """

    @pytest.fixture
    def params(self, operation: Operation[Any]) -> BaseModel:
        """Return the parameters that the tests run with."""
        made: BaseModel = operation.params()
        return made

    @pytest.fixture
    def weights(self) -> Path:
        """Return the weights folder; override where the operation needs one."""
        return Path("no-weights")

    @pytest.fixture(autouse=True)
    def _use_weights(self, weights: Path) -> None:
        self._weights = weights

    def test_says_what_it_is(self, operation: Operation[Any]) -> None:
        assert operation.kind in get_args(Kind)
        assert operation.backend
        assert operation.version >= 1
        assert operation.title.strip()

    def test_names_its_sources(self, operation: Operation[Any]) -> None:
        assert operation.sources
        assert all(source.strip() for source in operation.sources)

    def test_parameters_survive_the_run_log(
        self, operation: Operation[Any], params: BaseModel
    ) -> None:
        assert operation.params.model_validate(params.model_dump(mode="json")) == params

    def test_refuses_parameters_it_does_not_know(self, operation: Operation[Any]) -> None:
        with pytest.raises(ValidationError):
            operation.params.model_validate({"no_such_parameter": 1})

    def test_accepts_its_own_parameters(
        self, operation: Operation[Any], params: BaseModel, weights: Path
    ) -> None:
        if operation.resolve is not None:
            resolved = operation.resolve(params, weights)
            assert operation.resolve(resolved, weights) == resolved

    def test_leaves_its_input_alone(self, operation: Operation[Any], params: BaseModel) -> None:
        pixels = self.picture(operation)
        before = pixels.copy()
        rasters = self.rasters(pixels)
        operation.apply(rasters, params, FixedWork(weights=self._weights))
        np.testing.assert_array_equal(pixels, before)

    def test_neutral_parameters_change_nothing(
        self, operation: Operation[Any], neutral: BaseModel | None
    ) -> None:
        if neutral is None:
            pytest.skip(f"{operation.id} has no neutral parameters")
        pixels = self.photo()
        np.testing.assert_array_equal(self.made(operation, pixels, neutral), pixels)

    def test_the_same_seed_gives_the_same_bytes(
        self, operation: Operation[Any], params: BaseModel
    ) -> None:
        if not operation.deterministic:
            pytest.skip(f"{operation.id} does not promise it")
        first, second = (self.run(operation, self.photo(), params) for _ in range(2))
        assert (first.findings, first.data) == (second.findings, second.data)
        if first.image is not None and second.image is not None:
            np.testing.assert_array_equal(first.image.pixels, second.image.pixels)

    @pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 13), (32, 24), (65, 33)])
    def test_the_result_is_as_large_as_it_says(
        self, operation: Operation[Any], params: BaseModel, size: tuple[int, int]
    ) -> None:
        result = self.run(operation, self.photo(*size), params)
        if result.image is not None:
            scale = operation.scale(params)
            assert result.image.pixels.shape[:2] == (round(size[0] * scale), round(size[1] * scale))

    def test_alpha_is_as_declared(self, operation: Operation[Any], params: BaseModel) -> None:
        pixels = np.dstack([self.photo(), self.ramp()])
        result = self.run(operation, pixels, params)
        if result.image is None:
            return
        lost = operation.needs.alpha == "drop" and not operation.gives_alpha
        assert result.image.has_alpha is not lost
        if operation.needs.alpha == "apart" and operation.scale(params) == 1:
            np.testing.assert_array_equal(result.image.pixels[..., 3], self.ramp())

    def test_alpha_comes_from_nowhere_else(
        self, operation: Operation[Any], params: BaseModel
    ) -> None:
        result = self.run(operation, self.photo(), params)
        if result.image is not None:
            assert result.image.has_alpha is operation.gives_alpha

    def test_what_it_reports_fits_the_run_log(
        self, operation: Operation[Any], params: BaseModel
    ) -> None:
        result = self.run(operation, self.photo(), params)
        assert all(isinstance(one, float | str | None) for one in result.data.values())

    def run(
        self, operation: Operation[Any], pixels: NDArray[np.uint8], params: BaseModel
    ) -> Result:
        return apply(operation, self.rasters(pixels), params, FixedWork(weights=self._weights))

    def made(
        self, operation: Operation[Any], pixels: NDArray[np.uint8], params: BaseModel
    ) -> NDArray[Any]:
        image = self.run(operation, pixels, params).image
        assert image is not None
        return image.pixels

    def picture(self, operation: Operation[Any]) -> NDArray[Any]:
        """Return a picture as `operation.needs` asks for it."""
        needs = operation.needs
        side = -(-max(needs.minimum_px, 32) // needs.multiple_of) * needs.multiple_of
        pixels = self.photo(side, side)
        return pixels / np.float32(255) if needs.dtype == "float32" else pixels

    def rasters(self, pixels: NDArray[Any]) -> dict[str, Raster]:
        """Return what the operation takes; override where it takes more than a picture."""
        return {"image": Raster(pixels)}

    @staticmethod
    def photo(height: int = 32, width: int = 24) -> NDArray[np.uint8]:
        """Return a bright disc on a dark, noisy ground."""
        rows, columns = np.mgrid[0:height, 0:width]
        inside = np.hypot(rows - height / 2, columns - width / 2) < min(height, width) / 3
        noise = np.random.default_rng(0).integers(0, 40, (height, width, 3))
        return (noise + np.where(inside[..., None], [200, 120, 60], [20, 40, 80])).astype(np.uint8)

    @staticmethod
    def ramp(height: int = 32, width: int = 24) -> NDArray[np.uint8]:
        line = np.linspace(0, 255, width).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(line, (height, width)))
