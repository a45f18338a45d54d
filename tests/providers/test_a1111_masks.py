"""Masks: one channel, white = edit, whichever server of the dialect reads them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tests.providers.a1111_calls import (
    MARKS,
    MASK,
    SCENE_PIXELS,
    edit,
    given_as,
    inpaint,
    sent,
)

from maquette.core.errors import (
    CapabilityMissing,
)
from maquette.imaging import codec, png
from maquette.providers.a1111 import pictures
from maquette.testing.standin_a1111 import A1111StandIn, Dialect, edited


@pytest.fixture
def server() -> Iterator[A1111StandIn]:
    with A1111StandIn() as running:
        yield running


class TestMasks:
    """One channel, white = edit, in every dialect."""

    @pytest.mark.parametrize("dialect", ["webui", "sdcpp", "drawthings"])
    async def test_only_what_we_marked_changes(self, dialect: Dialect) -> None:
        """Conflict 3: the other side reads alpha the other way round than others do."""
        with A1111StandIn(dialect) as server:
            seen, generated, _ = await sent(server, inpaint(seed=3, options={"mask_blur": 0}))
        header = codec.sniff(seen.picture("mask"))
        assert (header.media_type, header.mode, header.has_alpha) == ("image/png", "L", False)
        np.testing.assert_array_equal(edited(seen.picture("mask")), MARKS >= 128)
        changed = (codec.decode(generated.images[0].data).pixels != SCENE_PIXELS).any(axis=2)
        assert not changed[MARKS < 128].any()
        assert changed[MARKS == 255].mean() > 0.99

    async def test_the_marks_arrive_with_their_soft_edge(self, server: A1111StandIn) -> None:
        seen, _, _ = await sent(server, inpaint())
        np.testing.assert_array_equal(codec.decode(seen.picture("mask")).pixels[..., 0], MARKS)

    def test_the_stand_in_would_show_a_mask_with_alpha(self) -> None:
        """The tests above can fail: our mask as OpenAI wants it edits everything else here."""
        inside_out = np.zeros((64, 96, 4), np.uint8)
        inside_out[..., 3] = 255 - MARKS
        np.testing.assert_array_equal(edited(png.write(inside_out)), MARKS < 128)

    def test_a_mask_whose_file_has_another_size_is_refused_before_sending(self) -> None:
        with pytest.raises(CapabilityMissing, match="96x64 px and the picture 64x96"):
            pictures.mask(MASK, (64, 96), (64, 96))

    @pytest.mark.parametrize("value", [0, 127])
    async def test_a_mask_that_marks_nothing_is_refused_before_sending(
        self, server: A1111StandIn, value: int
    ) -> None:
        blank = png.write(np.full((64, 96), value, np.uint8))
        with pytest.raises(CapabilityMissing, match="marks nothing"):
            await sent(server, edit(given_as(blank, "mask")), blank)
        assert not server.seen
