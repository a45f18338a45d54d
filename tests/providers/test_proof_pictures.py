from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from maquette.core.errors import BadParameter, ImageTooLarge, UnsupportedImage
from maquette.imaging.codec import decode, encode
from maquette.providers.proof import backdrop, card, edit, lettering
from maquette.providers.proof.ground import CONTRAST, shaded
from maquette.providers.proof.palettes import MOOD_WORDS, MOODS, to_oklab, to_srgb
from maquette.providers.proof.proofs import Proof, variation

EXAMPLES = Path(__file__).parents[2] / "examples"
Pixels = NDArray[np.uint8]


def pixels_of(proof: Proof) -> Pixels:
    return decode(proof.data).pixels


def origin_of(proof: Proof) -> dict[str, object]:
    with Image.open(io.BytesIO(proof.data)) as image:
        return json.loads(image.info["maquette"])


def difference(first: Proof, second: Proof) -> float:
    return float(np.abs(pixels_of(first).astype(int) - pixels_of(second)).mean())


def small(path: str) -> bytes:
    with Image.open(EXAMPLES / path) as image:
        return encode(np.array(image.convert("RGB").resize((96, 64))))


@pytest.fixture(scope="module")
def cup() -> bytes:
    return small("scenes/coffee.png")


@pytest.fixture(scope="module")
def launch_pad() -> bytes:
    return small("styles/rocket.jpg")


def edited(
    source: bytes, prompt: str, *, seed: int = 1, references: tuple[bytes, ...] = ()
) -> Proof:
    return edit.edit(source, references, prompt=prompt, seed=seed, size=None)


def carded(
    prompt: str, *, size: tuple[int, int] = (96, 96), seed: int = 1, negative: str = ""
) -> Proof:
    return card.generate(
        prompt=prompt, negative_prompt=negative, width_px=size[0], height_px=size[1], seed=seed
    )


@pytest.mark.parametrize("prompt", ["warm oil painting", "noir", "make it beautiful", ""])
def test_the_same_edit_gives_the_same_bytes(cup: bytes, launch_pad: bytes, prompt: str) -> None:
    first, again = (edited(cup, prompt, references=(launch_pad,)) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("prompt", ["cinematic night, subtle oil painting", "noir", "beautiful"])
def test_seeds_differ_visibly_but_stay_near(cup: bytes, launch_pad: bytes, prompt: str) -> None:
    first, second = (edited(cup, prompt, seed=seed, references=(launch_pad,)) for seed in (1, 2))
    assert 2 < difference(first, second) < 30


@pytest.mark.parametrize("prompt", ["beautiful", "brighter", "vignette", "grain", "softer", "teal"])
def test_every_edit_can_be_seen(cup: bytes, prompt: str) -> None:
    assert np.abs(pixels_of(edited(cup, prompt)).astype(int) - decode(cup).pixels).mean() > 2


def test_references_pull_the_palette_towards_theirs(cup: bytes, launch_pad: bytes) -> None:
    alone, pulled = (
        pixels_of(edited(cup, "clean", references=references)).mean(axis=(0, 1))
        for references in ((), (launch_pad,))
    )
    assert pulled[2] - pulled[0] > alone[2] - alone[0] + 5


def test_noir_has_no_colour_left(cup: bytes, launch_pad: bytes) -> None:
    pixels = pixels_of(edited(cup, "noir", references=(launch_pad,))).astype(int)
    assert np.ptp(pixels, axis=-1).max() <= 1


def test_words_change_the_light(cup: bytes) -> None:
    darker, brighter = (pixels_of(edited(cup, word)).mean() for word in ("darker", "brighter"))
    assert brighter > darker + 30


def test_alpha_of_the_source_is_kept() -> None:
    rng = np.random.default_rng(0)
    source = rng.integers(0, 256, (32, 40, 4), dtype=np.uint8)
    result = pixels_of(edited(encode(source), "warm oil painting"))
    np.testing.assert_array_equal(result[..., 3], source[..., 3])


@pytest.mark.parametrize("size", [(48, 48), (120, 30), (1, 1)])
def test_an_edit_has_the_size_asked_for(cup: bytes, size: tuple[int, int]) -> None:
    proof = edit.edit(cup, (), prompt="warm", seed=0, size=size)
    assert (proof.width_px, proof.height_px) == size == pixels_of(proof).shape[1::-1]


def test_a_new_shape_crops_the_middle_without_distortion() -> None:
    source = np.zeros((60, 120, 3), np.uint8)
    source[:, 30:90] = 200
    proof = edit.edit(encode(source), (), prompt="clean", seed=0, size=(60, 60))
    assert pixels_of(proof).min() > 120


def test_an_edit_without_a_size_has_the_size_of_its_source(cup: bytes) -> None:
    proof = edited(cup, "warm")
    assert (proof.width_px, proof.height_px) == (96, 64)


def test_bad_edits_are_refused(cup: bytes) -> None:
    with pytest.raises(BadParameter, match="size"):
        edit.edit(cup, (), prompt="", seed=0, size=(0, 9))
    with pytest.raises(BadParameter, match="seed"):
        edited(cup, "", seed=-1)
    with pytest.raises(UnsupportedImage):
        edited(b"no picture", "")


def test_an_edit_says_that_it_is_a_proof_and_what_it_understood(cup: bytes) -> None:
    proof = edited(cup, "warm 日本 \U0001f680 cup", seed=7)
    assert origin_of(proof) == {
        "provider": "proof",
        "proof": True,
        "seed": 7,
        "prompt": "warm 日本 \U0001f680 cup",
        "understood": ["warm"],
    }
    assert proof.notes["ignored"] == "日本, cup"


@settings(deadline=None, max_examples=12)
@given(seed=st.integers(0, 2**63), top=st.integers(0, 20), left=st.integers(0, 20))
def test_inpainting_leaves_everything_outside_alone(seed: int, top: int, left: int) -> None:
    source = np.random.default_rng(3).integers(0, 256, (32, 36, 4), dtype=np.uint8)
    mask = np.zeros((32, 36), np.uint8)
    mask[top : top + 8, left : left + 8] = 255
    result = pixels_of(edit.inpaint(encode(source), encode(mask), prompt="x", seed=seed))
    np.testing.assert_array_equal(result[mask == 0], source[mask == 0])
    np.testing.assert_array_equal(result[..., 3], source[..., 3])


def test_inpainting_removes_what_the_mask_covers() -> None:
    source = np.full((48, 48, 3), (40, 120, 80), np.uint8)
    source[20:28, 20:28] = 255
    mask = np.zeros((48, 48), np.uint8)
    mask[18:30, 18:30] = 255
    result = pixels_of(edit.inpaint(encode(source), encode(mask), prompt="", seed=0))
    assert np.abs(result.astype(int) - (40, 120, 80)).max() <= 1


def test_a_mask_of_another_size_is_refused_with_both_sizes(cup: bytes) -> None:
    mask = encode(np.zeros((10, 20), np.uint8))
    with pytest.raises(BadParameter, match=r"20 x 10.*96 x 64"):
        edit.inpaint(cup, mask, prompt="", seed=0)


def test_inpainting_notes_that_it_reads_no_words(cup: bytes) -> None:
    mask = np.zeros((64, 96), np.uint8)
    mask[10:20, 10:20] = 255
    proof = edit.inpaint(cup, encode(mask), prompt="a golden spoon", seed=0)
    assert proof.notes["ignored"] == "golden, spoon"
    assert origin_of(proof)["understood"] == []


def test_the_same_card_gives_the_same_bytes_and_another_seed_another_card() -> None:
    assert carded("sea at dusk") == carded("sea at dusk")
    assert difference(carded("sea at dusk"), carded("sea at dusk", seed=2)) > 3


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (97, 96), (300, 20), (128, 400), (333, 200)])
def test_cards_have_the_size_asked_for(size: tuple[int, int]) -> None:
    proof = carded("a long road, " + "and longer still " * 40, size=size)
    assert (proof.width_px, proof.height_px) == size == pixels_of(proof).shape[1::-1]


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "  \n\t ",
        "日本の山",
        "\U0001f680\U0001f680",
        "x" * 500,
        "a, ",
        ", b",
        "\0 \x1b",
        "ñ ß \xd7",
    ],
)
def test_any_prompt_makes_a_card(prompt: str) -> None:
    proof = carded(prompt, size=(160, 120))
    assert origin_of(proof)["prompt"] == prompt
    assert origin_of(proof)["proof"] is True


@pytest.mark.parametrize("motif", sorted(backdrop.MOTIFS))
def test_every_motif_has_words_that_lead_to_it(motif: str) -> None:
    phrases = [phrase for phrase, name in backdrop.MOTIF_WORDS.items() if name == motif]
    prompt = phrases[0] if phrases else "a chair"
    assert carded(prompt, size=(32, 24)).notes["motif"] == motif


def test_every_mood_word_has_a_palette() -> None:
    assert set(MOOD_WORDS.values()) == set(MOODS)


def test_colour_words_colour_the_card() -> None:
    red, blue = (pixels_of(carded(f"{word} hills")).mean(axis=(0, 1)) for word in ("red", "blue"))
    assert red[0] - red[2] > blue[0] - blue[2] + 30


def test_what_the_negative_prompt_names_is_not_used() -> None:
    proof = carded("sea at night, watercolour", negative="sea, watercolour")
    assert proof.notes["motif"] == "forms"
    assert not proof.notes["painted"].startswith("watercolor")
    assert proof.notes["mood"] == "night"


def test_bad_cards_are_refused() -> None:
    with pytest.raises(BadParameter, match="pixels"):
        carded("", size=(0, 5))
    with pytest.raises(BadParameter, match="seed"):
        carded("", seed=-1)
    with pytest.raises(ImageTooLarge):
        carded("", size=(4097, 4096))


def test_a_title_is_written_where_there_is_room_and_not_on_thumbnails() -> None:
    ground = np.full((400, 400, 3), 60, np.uint8)
    caption = lettering.Caption("A title", ("SEED 1", "400 x 400"))
    assert lettering.letter(ground, caption).max() > 240
    thumbnail = ground[:64, :64]
    np.testing.assert_array_equal(lettering.letter(thumbnail, caption), thumbnail)


@pytest.mark.parametrize("shape", [(300, 300), (200, 500), (500, 200), (120, 120)])
def test_words_stay_inside_the_margins(shape: tuple[int, int]) -> None:
    ground = np.zeros((*shape, 3), np.uint8)
    caption = lettering.Caption("Long words everywhere, " * 30, (f"SEED {2**63}", "1 x 1"))
    written = lettering.letter(ground, caption).max(axis=-1) > 128
    margin_px = round(0.04 * min(shape))
    assert written.any()
    assert not written[:, :margin_px].any() and not written[:, -margin_px:].any()
    assert not written[: shape[0] // 3].any()


def test_long_titles_end_in_an_ellipsis() -> None:
    _, lines = lettering.fitted("word " * 300, 200, 60, 30, 12)
    assert lines[-1].endswith("…")
    assert all(lettering.font_of(12).getlength(line) <= 200 for line in lines)


def test_letters_that_the_font_lacks_become_plain_ones() -> None:
    assert lettering.printable("Größe, ñandú 日本") == "Grosse, nandu"


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_ink_can_be_read_on_any_ground(red: int, green: int, blue: int) -> None:
    ground, ink = shaded(np.full((20, 30, 3), (red, green, blue), np.uint8), 5)
    light, dark = sorted(
        (_luminance(np.array(colour) / 255) for colour in (ground[-1, 0], ink)), reverse=True
    )
    assert (light + 0.05) / (dark + 0.05) >= CONTRAST - 0.1


def _luminance(rgb: NDArray[np.float64]) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def test_oklab_has_the_published_values() -> None:
    red = to_oklab(np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(red, (0.627955, 0.224863, 0.125846), atol=1e-4)
    np.testing.assert_allclose(
        to_srgb(to_oklab(np.array([0.2, 0.5, 0.9]))), (0.2, 0.5, 0.9), atol=1e-6
    )


@given(st.integers(0, 2**63), st.integers(0, 3))
def test_consecutive_seeds_are_far_apart(seed: int, dial: int) -> None:
    gap = abs(variation(seed, dial) - variation(seed + 1, dial))
    assert min(gap, 1 - gap) > 0.15


def test_functions_and_results_cross_a_process_border(cup: bytes) -> None:
    for function in (edit.edit, edit.inpaint, card.generate):
        assert pickle.loads(pickle.dumps(function)) is function  # noqa: S301 - our own bytes
    proof = edited(cup, "warm")
    assert pickle.loads(pickle.dumps(proof)) == proof  # noqa: S301 - our own bytes
