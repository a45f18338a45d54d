"""The frozen values that everything else is made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from maquette.core.clock import Clock
from maquette.core.errors import BadParameter, UnsupportedImage
from maquette.core.pipeline import BackgroundStep, ColourStep, JobSpec, PostChain, UpscaleStep
from maquette.core.raster import Raster
from maquette.core.requests import (
    ImageRequest,
    Input,
    canonical,
    derived_seed,
    digest_of,
)
from maquette.core.storage import checked_key, object_key, reply_key

REQUEST = ImageRequest(provider="x", model="m", prompt="a lighthouse", seed=3)


def test_the_key_leaves_out_the_count() -> None:
    """The same picture, however many are asked for at once."""
    assert REQUEST.key() == REQUEST.model_copy(update={"count": 4}).key()


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"prompt": "a tower"},
        {"negative_prompt": "rain"},
        {"size": (64, 64)},
        {"seed": 4},
        {"options": {"quality": "high"}},
        {"mode": "edit"},
    ],
)
def test_the_key_holds_everything_that_decides_the_picture(change: dict[str, object]) -> None:
    assert REQUEST.model_copy(update=change).key() != REQUEST.key()


def test_the_key_tells_inputs_apart_by_bytes_and_role() -> None:
    one = Input(
        role="init",
        digest=digest_of(b"a"),
        media_type="image/png",
        width_px=1,
        height_px=1,
        size_bytes=1,
    )
    keys = {
        REQUEST.model_copy(update={"inputs": (given,)}).key()
        for given in (
            one,
            one.model_copy(update={"role": "reference"}),
            one.model_copy(update={"digest": digest_of(b"b")}),
        )
    }
    assert len(keys) == 3


def test_a_request_survives_json() -> None:
    """LAB-12: enough to run it again."""
    assert ImageRequest.model_validate_json(REQUEST.model_dump_json()) == REQUEST


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"seed": -1}, {"seed": 2**63}, {"size": (0, 5)}, {"unknown": 1}]
)
def test_a_request_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ImageRequest.model_validate({"provider": "x", "model": "m", **wrong})


@given(st.integers(0, 2**63 - 1))
def test_every_candidate_has_a_seed_of_its_own(seed: int) -> None:
    """D9: derived from (seed, i), the first keeps the given one, all within range."""
    seeds = [derived_seed(seed, index) for index in range(6)]
    assert seeds[0] == seed
    assert len(set(seeds)) == 6
    assert all(0 <= one < 2**63 for one in seeds)
    assert seeds == [derived_seed(seed, index) for index in range(6)]


def test_canonical_json_has_one_form() -> None:
    assert canonical({"b": 1, "a": "é"}) == canonical({"a": "é", "b": 1}) == '{"a":"é","b":1}'


@pytest.mark.parametrize(
    "key", ["", "/x", "x/", "a//b", ".", "..", "a/../b", "a\\b", "a\0", "ü", "a" * 513]
)
def test_a_key_that_could_leave_the_store_is_refused(key: str) -> None:
    with pytest.raises(BadParameter, match="key"):
        checked_key(key)


def test_keys_are_made_of_digests_and_attempts() -> None:
    digest = digest_of(b"x")
    assert object_key(digest) == f"objects/{digest[:2]}/{digest}"
    assert reply_key("attempt-1") == "replies/attempt-1"
    with pytest.raises(BadParameter):
        reply_key("../../x")


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((4, 4), "uint8"), ((4, 4, 2), "uint8"), ((4, 4, 3), "float64"), ((4, 4, 3), "int32")],
)
def test_what_is_no_raster_is_refused(shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(UnsupportedImage, match="raster"):
        Raster(np.zeros(shape, dtype))


def test_a_raster_is_read_only_and_leaves_its_array_alone() -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    raster = Raster(pixels)
    with pytest.raises(ValueError, match="read-only"):
        raster.pixels[0, 0, 0] = 1
    pixels[0, 0, 0] = 1
    assert (raster.height_px, raster.width_px, raster.channels, raster.has_alpha) == (2, 3, 4, True)


def spec(candidates: int, calls: tuple[int, ...]) -> JobSpec:
    return JobSpec(scene="x", request=REQUEST, candidates=candidates, calls=calls)


def test_a_jobs_calls_add_up_to_its_candidates() -> None:
    """LAB-6."""
    assert spec(3, (2, 1)).candidates == 3
    with pytest.raises(ValidationError, match="add up"):
        spec(3, (2, 2))


def test_the_post_chain_has_one_order() -> None:
    """LAB-8: background removal, upscale, colour, whatever was written first."""
    chain = PostChain(colour=ColourStep(), upscale=UpscaleStep(), background=BackgroundStep())
    assert chain.names() == ("background", "upscale", "colour")
    assert PostChain(colour=ColourStep(), background=BackgroundStep()).names() == (
        "background",
        "colour",
    )
    assert PostChain().names() == ()


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Pacific/Kiritimati", "2026-03-02"),
        ("UTC", "2026-03-01"),
        ("America/New_York", "2026-03-01"),
    ],
)
def test_a_day_is_the_zones(zone: str, day: str) -> None:
    """WEB-9: caps count by the installation's calendar."""
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert Clock(ZoneInfo(zone)).day_of(moment) == day


def test_a_day_follows_the_clock_change() -> None:
    """The spring day of 23 hours ends when the wall clock says so."""
    berlin = Clock(ZoneInfo("Europe/Berlin"))
    midnight = datetime(2026, 3, 29, 22, tzinfo=UTC)
    assert berlin.day_of(midnight - timedelta(seconds=1)) == "2026-03-29"
    assert berlin.day_of(midnight) == "2026-03-30"


def test_now_is_aware_utc() -> None:
    now = Clock().now()
    assert now.tzinfo is UTC
    assert Clock(ZoneInfo("UTC")).today() >= now.date().isoformat()
