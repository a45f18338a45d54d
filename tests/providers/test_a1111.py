"""WEB-3: what goes over the wire to a server of the A1111 dialect, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.providers.a1111_calls import (
    MARKS,
    MASK,
    RNG,
    SCENE,
    SCENE_PIXELS,
    edit,
    given_as,
    inpaint,
    provider,
    sent,
    words,
)

from maquette.core.errors import (
    CapabilityMissing,
)
from maquette.imaging import codec, png
from maquette.providers.a1111.sizes import LEAST_PX, MOST_PX, allowed, nearest
from maquette.testing.standin_a1111 import A1111StandIn


@pytest.fixture
def server() -> Iterator[A1111StandIn]:
    with A1111StandIn() as running:
        yield running


class TestTheWire:
    """What is sent, field by field."""

    async def test_generating_sends_these_fields_and_no_others(self, server: A1111StandIn) -> None:
        """Nothing for a model that nobody chose: the server's own checkpoint stays."""
        seen, generated, _ = await sent(server, words(seed=5, negative_prompt="people", count=2))
        assert seen.path == "/sdapi/v1/txt2img"
        assert seen.fields == {
            "prompt": "a lighthouse",
            "negative_prompt": "people",
            "width": 64,
            "height": 80,
            "batch_size": 2,
            "n_iter": 1,
            "seed": 5,
            "send_images": True,
            "save_images": False,
            "do_not_save_grid": True,
            "steps": 20,
        }
        assert generated.effective.size == (64, 80)
        assert generated.effective.options == {"steps": 20}
        assert generated.cost == 0

    async def test_editing_adds_the_source_and_how_much_of_it_is_forgotten(
        self, server: A1111StandIn
    ) -> None:
        seen, generated, _ = await sent(server, edit(options={"cfg_scale": 1.5}))
        assert seen.path == "/sdapi/v1/img2img"
        assert (seen.fields["width"], seen.fields["height"]) == (96, 64)
        assert seen.fields["denoising_strength"] == 0.75
        assert "mask" not in seen.fields
        assert generated.effective.size == (96, 64)
        assert not generated.clamped
        np.testing.assert_array_equal(
            codec.decode(seen.picture("init_images")).pixels, SCENE_PIXELS
        )
        assert generated.effective.options == {
            "steps": 20,
            "cfg_scale": 1.5,
            "denoising_strength": 0.75,
        }

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("steps", 150),
            ("cfg_scale", 0.0),
            ("sampler_name", "Euler a"),
            ("scheduler", "karras"),
            ("denoising_strength", 0.0),
            ("mask_blur", 0),
            ("inpainting_fill", 3),
            ("inpaint_full_res", True),
        ],
    )
    async def test_an_option_arrives_as_it_is(
        self, server: A1111StandIn, name: str, value: Any
    ) -> None:
        seen, generated, _ = await sent(server, inpaint(options={name: value}))
        assert seen.fields[name] == value
        assert generated.effective.options[name] == value

    async def test_a_mask_goes_with_defaults_that_no_server_may_choose_otherwise(
        self, server: A1111StandIn
    ) -> None:
        seen, _, _ = await sent(server, inpaint())
        told = {name: seen.fields[name] for name in seen.fields if name.startswith("inpaint")}
        assert told == {
            "inpainting_fill": 1,
            "inpaint_full_res": False,
            "inpainting_mask_invert": 0,
        }
        seen, _, _ = await sent(server, inpaint(options={"inpaint_full_res": True}))
        assert seen.fields["inpaint_full_res_padding"] == 32

    @pytest.mark.parametrize(
        "options",
        [
            {"steps": 0},
            {"steps": 151},
            {"denoising_strength": 1.1},
            {"cfg_scale": float("nan")},
            {"sampler_name": ""},
            {"denoising": 0.5},
            {"mask_blur": 4},
            {"inpaint_full_res_padding": 4},
        ],
    )
    def test_an_option_that_does_not_fit_is_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(CapabilityMissing, match="nothing was sent"):
            provider("http://127.0.0.1:9").check(edit(options=options))

    @pytest.mark.parametrize(
        ("fields", "why"),
        [
            ({"options": {"denoising_strength": 0.5}}, "editing only"),
            ({"model": "gone"}, "no checkpoint 'gone'"),
            ({"mode": "upscale"}, "does not support"),
            ({"count": 9}, "at most 8"),
            ({"size": "source"}, "no source picture"),
            ({"size": (100, 64)}, "nearest it makes is 104x64"),
            ({"size": (64, 4096)}, "nearest it makes is 64x2048"),
            ({"inputs": (given_as(SCENE, "init"),)}, "from words alone"),
            ({"mode": "edit"}, "needs one picture"),
            ({"mode": "inpaint", "inputs": (given_as(SCENE, "init"),)}, "needs a mask"),
            (
                {
                    "mode": "edit",
                    "inputs": (given_as(SCENE, "init"), given_as(SCENE, "reference")),
                },
                "no reference pictures",
            ),
            (
                {
                    "mode": "inpaint",
                    "inputs": (given_as(SCENE, "init"), given_as(MASK, "mask")) * 2,
                },
                "needs one picture",
            ),
            (
                {
                    "mode": "inpaint",
                    "inputs": (
                        given_as(SCENE, "init"),
                        given_as(png.write(MARKS.T.copy()), "mask"),
                    ),
                },
                "96x64, not 64x96",
            ),
        ],
    )
    def test_what_no_server_can_do_is_refused_before_sending(
        self, fields: dict[str, Any], why: str
    ) -> None:
        with pytest.raises(CapabilityMissing, match=why):
            provider("http://127.0.0.1:9").check(words(**fields))

    async def test_a_picture_that_servers_read_differently_goes_as_a_plain_png(
        self, server: A1111StandIn
    ) -> None:
        """Some know no WebP; transparent parts lie on white."""
        pixels = np.dstack([SCENE_PIXELS, np.full((64, 96), 255, np.uint8)])
        pixels[:8, :8, 3] = 0
        webp = codec.encode(pixels, format="webp")
        seen, _, _ = await sent(server, edit(source=webp), webp)
        arrived = seen.picture("init_images")
        header = codec.sniff(arrived)
        assert (header.media_type, header.has_alpha) == ("image/png", False)
        expected = codec.decode(webp).pixels[..., :3].copy()
        expected[:8, :8] = 255
        np.testing.assert_array_equal(codec.decode(arrived).pixels, expected)

    async def test_another_size_than_the_source_is_told_and_the_source_goes_in_it(
        self, server: A1111StandIn
    ) -> None:
        """With a mask, the real server returns the size of the source, not the one asked for."""
        odd = png.write(RNG.integers(0, 256, (45, 33, 3), np.uint8))
        marks = png.write(np.pad(np.full((20, 33), 255, np.uint8), ((0, 25), (0, 0))))
        request = edit(given_as(marks, "mask"), source=odd)
        seen, generated, _ = await sent(server, request, odd, marks)
        assert generated.effective.size == (64, 88)
        assert generated.clamped == ["size: 33x45 → 64x88, the nearest it makes"]
        for name in ("init_images", "mask"):
            header = codec.sniff(seen.picture(name))
            assert (header.width_px, header.height_px) == (64, 88)
        assert codec.sniff(generated.images[0].data).width_px == 64


@given(st.tuples(*[st.integers(1, 65535)] * 2))
def test_the_nearest_size_is_allowed_and_close(size: tuple[int, int]) -> None:
    near = nearest(size)
    assert allowed(near)
    assert near == size or not allowed(size)
    if all(LEAST_PX <= side <= MOST_PX for side in size):
        assert all(abs(a - b) <= 4 for a, b in zip(size, near, strict=True))
