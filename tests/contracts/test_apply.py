"""The framework's side of an operation: what an author need not think of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import BaseModel

from maquette.core.errors import OperationFailed
from maquette.core.operation import Needs, Operation, Result, Work
from maquette.core.raster import Raster
from maquette.imaging.apply import apply
from maquette.testing.contracts import FixedWork, OperationContract

photo = OperationContract.photo
ramp = OperationContract.ramp
Pixels = NDArray[Any]


class NoParams(BaseModel, frozen=True, extra="forbid"):
    """Nothing to set."""


def operation(
    needs: Needs, work: Callable[[Pixels], Pixels] = lambda pixels: pixels, scale: float = 1.0
) -> Operation[Any]:
    def run(rasters: Mapping[str, Raster], _params: NoParams, _work: Work) -> Result:
        return Result(Raster(work(rasters["image"].pixels)))

    return Operation(
        id="colour.test",
        version=1,
        title="Test",
        params=NoParams,
        apply=run,
        sources=("these tests",),
        needs=needs,
        scale=lambda _params: scale,
    )


def applied(what: Operation[Any], pixels: Pixels) -> Pixels:
    image = apply(what, {"image": Raster(pixels)}, NoParams(), FixedWork()).image
    assert image is not None
    return image.pixels


def spied(needs: Needs) -> tuple[Operation[Any], list[Pixels]]:
    seen: list[Pixels] = []

    def look(pixels: Pixels) -> Pixels:
        seen.append(pixels)
        return pixels

    return operation(needs, look), seen


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    multiple=st.sampled_from([1, 2, 8, 16]),
    minimum=st.sampled_from([1, 20, 50]),
)
def test_padding_comes_and_goes_unseen(
    height: int, width: int, multiple: int, minimum: int
) -> None:
    """The operation sees its multiple and minimum; the caller gets the picture's own size."""
    what, seen = spied(Needs(multiple_of=multiple, minimum_px=minimum))
    pixels = photo(height, width)
    np.testing.assert_array_equal(applied(what, pixels), pixels)
    for side in seen[0].shape[:2]:
        assert side % multiple == 0 and side >= minimum


def test_no_padding_where_none_is_needed() -> None:
    what, seen = spied(Needs(multiple_of=8))
    applied(what, photo(32, 24))
    assert seen[0].shape == (32, 24, 3)


def test_padding_mirrors_the_edge() -> None:
    what, seen = spied(Needs(multiple_of=8))
    pixels = photo(6, 8)
    applied(what, pixels)
    np.testing.assert_array_equal(seen[0][6:], pixels[[4, 3]])


def blurred(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (9, 9), 2))


@pytest.mark.parametrize("size", [(16, 16), (33, 70), (64, 31), (17, 100)])
def test_tiles_that_overlap_enough_are_as_good_as_the_whole(size: tuple[int, int]) -> None:
    pixels = photo(*size)
    whole = applied(operation(Needs(), blurred), pixels)
    tiled = applied(operation(Needs(tile_px=32, overlap_px=8), blurred), pixels)
    difference = np.abs(whole.astype(int) - tiled.astype(int))
    assert difference.max() <= 1


def test_tiles_without_overlap_show() -> None:
    """The test above can fail: a seam is a difference."""
    pixels = photo(64, 64)
    whole = applied(operation(Needs(), blurred), pixels)
    tiled = applied(operation(Needs(tile_px=16), blurred), pixels)
    assert np.abs(whole.astype(int) - tiled.astype(int)).max() > 1


def test_no_tile_is_larger_than_asked_for() -> None:
    what, seen = spied(Needs(tile_px=32, overlap_px=8))
    pixels = photo(100, 50)
    np.testing.assert_array_equal(applied(what, pixels), pixels)
    assert len(seen) > 1 and max(max(one.shape[:2]) for one in seen) <= 32


@pytest.mark.parametrize("scale", [1.5, 2.0, 3.0])
def test_tiles_of_an_enlargement_meet(scale: float) -> None:
    def enlarge(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        size = (round(width * scale), round(height * scale))
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR_EXACT))

    pixels = photo(48, 80)
    whole = applied(operation(Needs(), enlarge, scale), pixels)
    tiled = applied(operation(Needs(tile_px=32, overlap_px=8), enlarge, scale), pixels)
    assert tiled.shape == whole.shape == (round(48 * scale), round(80 * scale), 3)
    assert np.abs(whole.astype(int) - tiled.astype(int)).max() <= 1


def test_progress_is_told_while_tiling() -> None:
    work = FixedWork()
    what = operation(Needs(tile_px=32, overlap_px=8))
    apply(what, {"image": Raster(photo(100, 50))}, NoParams(), work)
    assert work.told == sorted(work.told) and work.told[-1] == 1


def test_side_inputs_are_handed_over_whole() -> None:
    seen: list[tuple[int, ...]] = []

    def run(rasters: Mapping[str, Raster], _params: NoParams, _work: Work) -> Result:
        seen.extend(raster.pixels.shape for raster in rasters.values())
        return Result(rasters["image"])

    what = Operation("colour.test", 1, "Test", NoParams, run, ("tests",), Needs(tile_px=16))
    rasters = {"image": Raster(photo(64, 64)), "mask": Raster(photo(64, 64)[..., :1])}
    apply(what, rasters, NoParams(), FixedWork())
    assert sorted(seen) == [(64, 64, 1), (64, 64, 3)]


@pytest.mark.parametrize(("alpha", "channels"), [("apart", 3), ("drop", 3), ("keep", 4)])
def test_the_operation_sees_the_alpha_it_asked_for(alpha: Any, channels: int) -> None:
    what, seen = spied(Needs(alpha=alpha))
    applied(what, np.dstack([photo(), ramp()]))
    assert seen[0].shape[2] == channels


def test_alpha_kept_apart_comes_back_untouched() -> None:
    what = operation(Needs(alpha="apart"), lambda pixels: 255 - pixels)
    made = applied(what, np.dstack([photo(), ramp()]))
    np.testing.assert_array_equal(made[..., 3], ramp())
    np.testing.assert_array_equal(made[..., :3], 255 - photo())


def test_alpha_kept_apart_grows_with_the_picture() -> None:
    def double(pixels: Pixels) -> Pixels:
        return pixels.repeat(2, axis=0).repeat(2, axis=1)

    made = applied(operation(Needs(alpha="apart"), double, 2), np.dstack([photo(), ramp()]))
    assert made.shape == (64, 48, 4)
    assert np.abs(made[::2, ::2, 3].astype(int) - ramp()).max() <= 12


def test_dropped_alpha_is_gone() -> None:
    assert applied(operation(Needs(alpha="drop")), np.dstack([photo(), ramp()])).shape[2] == 3


def test_float_operations_see_floats_and_nothing_is_lost() -> None:
    what, seen = spied(Needs(dtype="float32"))
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    np.testing.assert_array_equal(applied(what, levels), levels)
    assert seen[0].dtype == np.float32 and seen[0].min() == 0 and seen[0].max() == 1


def test_float_results_are_clipped_and_rounded() -> None:
    what = operation(Needs(dtype="float32"), lambda pixels: pixels * np.float32(3) - 1)
    made = applied(what, np.array([[[0, 127, 255]]], np.uint8))
    assert made.dtype == np.uint8 and made.tolist() == [[[0, 126, 255]]]


def test_a_float_picture_meets_an_operation_on_bytes() -> None:
    what, seen = spied(Needs())
    applied(what, np.full((4, 4, 3), 0.5, np.float32))
    assert seen[0].dtype == np.uint8 and seen[0][0, 0, 0] == 128


@pytest.mark.parametrize("needs", [Needs(), Needs(tile_px=16, overlap_px=2)])
def test_a_result_of_another_size_is_refused(needs: Needs) -> None:
    with pytest.raises(OperationFailed, match=r"colour\.test"):
        applied(operation(needs, lambda pixels: pixels[:-1]), photo(64, 64))


def test_the_input_cannot_be_written_to() -> None:
    def spoil(pixels: Pixels) -> Pixels:
        pixels[...] = 0
        return pixels

    with pytest.raises(ValueError, match="read-only"):
        applied(operation(Needs(), spoil), photo())


def test_an_operation_that_only_looks_returns_no_picture() -> None:
    def run(_rasters: Mapping[str, Raster], _params: NoParams, _work: Work) -> Result:
        return Result(None, data={"seen": 1.0})

    what = Operation("guard.test", 1, "Test", NoParams, run, ("tests",))
    result = apply(what, {"image": Raster(photo())}, NoParams(), FixedWork())
    assert result.image is None and result.data == {"seen": 1.0}
