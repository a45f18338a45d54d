"""LAB-10: tiles, opacity and sizes around any network, and what a network is known by."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maquette.core.errors import BadParameter, ImageTooLarge, OperationFailed
from maquette.ops.realesrgan import networks
from maquette.ops.realesrgan.picture import filled, refuse_too_many, upscaled
from maquette.ops.realesrgan.tiles import Network, Tiling, edges, enlarge
from maquette.testing.contracts import OperationContract

photo = OperationContract.photo
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
SMALL = Tiling(largest_px=40, overlap_px=8)
WHOLE = Tiling(largest_px=4000, overlap_px=8)


def repeated(factor: int) -> Network:
    return lambda tile: tile.repeat(factor, axis=0).repeat(factor, axis=1)


def smoothed(tile: Floats) -> Floats:
    """Double, and see four pixels around."""
    double = cv2.resize(tile, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.GaussianBlur(double, (9, 9), 2), np.float32)


def folded(tile: Floats) -> Floats:
    """Take the mean of 2x2 pixels, as a network that begins by folding them."""
    height, width = tile.shape[:2]
    even = np.pad(tile, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    blocks = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, 3).mean((1, 3))
    return blocks.repeat(2, axis=0).repeat(2, axis=1)[:height, :width].astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 130), width=st.integers(1, 130), factor=st.integers(1, 4))
def test_every_pixel_is_drawn_where_it_belongs(height: int, width: int, factor: int) -> None:
    pixels = photo(height, width)
    made = enlarge(pixels, repeated(factor), factor, SMALL)
    np.testing.assert_array_equal(made, pixels.repeat(factor, axis=0).repeat(factor, axis=1))


@pytest.mark.parametrize("network", [smoothed, folded])
@pytest.mark.parametrize("size", [(200, 90), (33, 131), (25, 24)])
def test_no_seam_where_the_network_sees_no_further_than_the_overlap(
    network: Network, size: tuple[int, int]
) -> None:
    factor = 1 if network is folded else 2
    whole = enlarge(photo(*size), network, factor, WHOLE)
    tiled = enlarge(photo(*size), network, factor, SMALL)
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_tiles_that_disagree_fade_into_each_other() -> None:
    """Where hard edges would show a step of 40 levels, each pixel is near the next."""
    calls: list[int] = []

    def moody(tile: Floats) -> Floats:
        calls.append(1)
        return np.full_like(tile, 0.4 if len(calls) % 2 else 0.56)

    made = enlarge(np.zeros((20, 60, 3), np.uint8), moody, 1, SMALL)
    assert len(calls) == 3
    assert np.ptp(made) > 35
    assert np.abs(np.diff(made.astype(int), axis=1)).max() <= 6


@given(side=st.integers(1, 5000))
def test_no_tile_is_too_large_and_all_begin_evenly(side: int) -> None:
    tiling = Tiling(128, 12)
    found = edges(side, tiling)
    parts = np.diff(found)
    assert found[0] == 0 and found[-1] == side
    assert parts.min() > 0 and parts.max() + 24 <= 128
    assert not any(edge % 2 for edge in found[:-1])


def test_the_network_never_sees_more_than_a_tile() -> None:
    seen: list[tuple[int, ...]] = []

    def look(tile: Floats) -> Floats:
        seen.append(tile.shape)
        return tile

    told: list[float] = []
    enlarge(photo(100, 300), look, 1, SMALL, progress=told.append)
    assert max(max(shape) for shape in seen) <= 40
    assert told == sorted(told) and told[-1] == 1 and len(told) == len(seen)


def test_what_is_transparent_costs_nothing() -> None:
    calls: list[int] = []

    def count(tile: Floats) -> Floats:
        calls.append(1)
        return tile

    pixels = np.dstack([photo(100, 100), np.zeros((100, 100), np.uint8)])
    made = upscaled(pixels, 1.5, count, 1, SMALL, lambda _fraction: None)
    assert calls == [] and made.shape == (150, 150, 4) and not made.any()
    pixels[10, 10, 3] = 255
    upscaled(pixels, 1.5, count, 1, SMALL, lambda _fraction: None)
    assert len(calls) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(OperationFailed, match="no numbers"):
        enlarge(photo(), lambda tile: np.full_like(tile, value), 1, SMALL)


def test_a_network_of_another_factor_is_refused() -> None:
    with pytest.raises(OperationFailed, match="was due"):
        enlarge(photo(), repeated(2), 4, SMALL)


@pytest.mark.parametrize("scale", [1.3, 2, 2.5, 3, 4, 7.9])
@pytest.mark.parametrize("channels", [3, 4])
def test_the_result_has_the_size_asked_for(scale: float, channels: int) -> None:
    pixels = np.dstack([photo(37, 51), OperationContract.ramp(37, 51)])[..., :channels]
    made = upscaled(pixels, scale, repeated(4), 4, SMALL, lambda _fraction: None)
    assert made.shape == (round(37 * scale), round(51 * scale), channels)


def test_an_opaque_picture_with_alpha_has_the_same_colours_as_one_without() -> None:
    opaque = np.dstack([photo(), np.full((32, 24), 255, np.uint8)])
    made = upscaled(opaque, 3, smoothed, 2, SMALL, lambda _fraction: None)
    assert made[..., 3].min() == 255
    plain = upscaled(photo(), 3, smoothed, 2, SMALL, lambda _fraction: None)
    np.testing.assert_array_equal(made[..., :3], plain)


def disc(hidden: tuple[int, int, int]) -> Pixels:
    """Return a light disc with a soft edge, and some colour where nothing is seen."""
    rows, columns = np.mgrid[0:60, 0:60]
    alpha = np.clip((22 - np.hypot(rows - 30, columns - 30)) * 60, 0, 255).astype(np.uint8)
    colours = np.where(alpha[..., None] > 0, [240, 230, 220], hidden)
    return np.dstack([colours, alpha]).astype(np.uint8)


@pytest.mark.parametrize("hidden", [(0, 0, 0), (255, 0, 255)])
def test_hidden_colours_leave_no_fringe(hidden: tuple[int, int, int]) -> None:
    made = upscaled(disc(hidden), 2, smoothed, 2, SMALL, lambda _fraction: None)
    seen = made[made[..., 3] > 0].astype(int)
    assert np.abs(seen[:, :3] - [240, 230, 220]).max() <= 1
    assert not made[made[..., 3] == 0].any()


def test_hidden_colours_change_nothing() -> None:
    first, second = (
        upscaled(disc(hidden), 2, smoothed, 2, SMALL, lambda _fraction: None)
        for hidden in ((0, 0, 0), (13, 200, 77))
    )
    np.testing.assert_array_equal(first, second)


def test_alpha_is_enlarged_without_ringing() -> None:
    alpha = upscaled(disc((0, 0, 0)), 4, repeated(4), 4, SMALL, lambda _fraction: None)[..., 3]
    assert alpha[0, 0] == 0 and alpha[120, 120] == 255
    assert np.all(np.diff(alpha[120, :120].astype(int)) >= 0)


def test_visible_colours_are_not_filled_over() -> None:
    pixels = np.dstack([photo(), OperationContract.ramp()])
    before = pixels.copy()
    made = filled(pixels)
    np.testing.assert_array_equal(pixels, before)
    shown = pixels[..., 3] > 0
    np.testing.assert_array_equal(made[shown], pixels[shown][:, :3])


def test_a_picture_that_would_not_fit_is_refused_before_any_work() -> None:
    with pytest.raises(ImageTooLarge, match="enlarged 4 times"):
        refuse_too_many(5000, 5000, 2, 4)
    refuse_too_many(4000, 4000, 2, 4)


def rrdb_shapes(blocks: int, width: int = 64, growth: int = 32, first: int = 3) -> dict[str, Any]:
    """Name the weights as the published files do, written down from them by hand."""
    layers = {"conv_first": (width, first), "conv_body": (width, width), "conv_last": (3, width)}
    layers |= dict.fromkeys(("conv_up1", "conv_up2", "conv_hr"), (width, width))
    for block in range(blocks):
        for dense in (1, 2, 3):
            into = [growth] * 4 + [width]
            for layer in range(5):
                name = f"body.{block}.rdb{dense}.conv{layer + 1}"
                layers[name] = (into[layer], width + layer * growth)
    shapes: dict[str, Any] = {f"{name}.weight": (*sides, 3, 3) for name, sides in layers.items()}
    return shapes | {f"{name}.bias": sides[:1] for name, sides in layers.items()}


def compact_shapes(layers: int, factor: int, width: int = 64) -> dict[str, Any]:
    shapes: dict[str, Any] = {}
    for index in range(layers):
        into = 3 * factor**2 if index == layers - 1 else width
        shapes[f"body.{2 * index}.weight"] = (into, 3 if index == 0 else width, 3, 3)
        shapes[f"body.{2 * index}.bias"] = (into,)
        if index < layers - 1:
            shapes[f"body.{2 * index + 1}.weight"] = (width,)
    return shapes


@pytest.mark.parametrize(
    ("shapes", "words", "factor"),
    [
        (rrdb_shapes(23), "RRDBNet of 23 blocks", 4),
        (rrdb_shapes(23, first=12), "RRDBNet of 23 blocks", 2),
        (rrdb_shapes(6), "RRDBNet of 6 blocks", 4),
        (compact_shapes(18, 4), "SRVGGNetCompact of 18 layers", 4),
        (compact_shapes(34, 4), "SRVGGNetCompact of 34 layers", 4),
        (compact_shapes(18, 2), "SRVGGNetCompact of 18 layers", 2),
    ],
    ids=["x4plus", "x2plus", "x4plus_anime_6B", "animevideov3", "general-x4v3", "compact-x2"],
)
def test_published_networks_are_known_by_their_shapes(
    shapes: dict[str, Any], words: str, factor: int
) -> None:
    found = networks.recognised(shapes)
    assert (found.words, found.factor) == (words, factor)


@pytest.mark.parametrize("shapes", [rrdb_shapes(2), compact_shapes(3, 4)], ids=["rrdb", "compact"])
def test_a_weight_too_many_too_few_or_of_another_size_is_refused(shapes: dict[str, Any]) -> None:
    for name in shapes:
        fewer = {other: shape for other, shape in shapes.items() if other != name}
        for wrong in (fewer, {**shapes, name: (7, 7)}):
            with pytest.raises(BadParameter, match=f"{len(wrong)} tensors"):
                networks.recognised(wrong)
    with pytest.raises(BadParameter, match="no Real-ESRGAN"):
        networks.recognised({**shapes, "extra.weight": (1,)})


def test_what_is_refused_is_quoted() -> None:
    with pytest.raises(BadParameter, match=r"'model\.0\.weight' \[64, 3, 3, 3\]"):
        networks.recognised({"model.0.weight": (64, 3, 3, 3)})
    with pytest.raises(BadParameter, match="0 tensors, such as none"):
        networks.recognised({})
