"""Pictures described: by measuring, and by a model that sees."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from maquette.core import money
from maquette.core.errors import BadProviderReply, ImageTooLarge, UnsupportedImage
from maquette.core.requests import Encoded
from maquette.core.scene import Scene
from maquette.imaging import codec, png
from maquette.language import exif
from maquette.language.analyser import EmbeddedDescriber, analysed
from maquette.language.chat import CompatibleChat
from maquette.language.describer import ModelPictureDescriber
from maquette.language.expander import expand
from maquette.testing.standin_chat import Act, ChatStandIn

EXAMPLES = Path(__file__).parents[2] / "examples"
SCENE: dict[str, Any] = {"subjects": [{"name": "a cup of espresso"}], "mood": "warm"}


def example(name: str) -> bytes:
    return (EXAMPLES / name).read_bytes()


def plain(red: int, green: int, blue: int) -> bytes:
    return png.write(np.full((48, 64, 3), (red, green, blue), np.uint8))


def disc(channels: int = 3) -> NDArray[np.uint8]:
    """A red disc on blue, right of the middle; with four channels the blue is transparent."""
    down, right = np.mgrid[0:90, 0:120]
    inside = (down - 45) ** 2 + (right - 80) ** 2 < 22**2
    colours = np.where(inside[..., None], (220, 40, 30), (30, 60, 150)).astype(np.uint8)
    if channels == 3:
        return colours
    return np.dstack([colours, np.where(inside, 255, 0).astype(np.uint8)])


async def test_without_a_vision_model_a_picture_is_measured_and_marked_so() -> None:
    """ORC-4: an embedded analyser, marked as such."""
    describer = EmbeddedDescriber()
    picture = Encoded(example("scenes/coffee.png"), "image/png")
    described = await describer.describe(picture)
    assert (described.source, described.embedded) == ("embedded", True)
    assert described.confidence is not None and described.confidence <= 0.5
    assert (describer.missing(), describer.estimate(picture)) == (None, 0)
    assert described.spent.cost == 0


@pytest.mark.parametrize(
    ("name", "key", "temperature"),
    [
        ("scenes/coffee.png", "middle", "warm"),
        ("scenes/chelsea.png", "middle", "warm"),
        ("scenes/astronaut.png", "middle", "neutral"),
        ("styles/rocket.jpg", "low", "cool"),
    ],
)
def test_photographs_are_described_as_a_person_would(name: str, key: str, temperature: str) -> None:
    measured = analysed(example(name)).measured
    assert (measured.light.key, measured.light.temperature) == (key, temperature)
    assert not measured.monochrome
    assert sum(one.share for one in measured.palette) == pytest.approx(1)


def test_an_evening_sky_is_told_in_words() -> None:
    scene = analysed(example("styles/rocket.jpg")).scene
    assert scene.title.startswith("Dark picture in midnight blue")
    assert "navy blue" in scene.setting
    assert scene.lighting.description == "low key, soft contrast, cool light"
    assert scene.composition.startswith("3:2 landscape")
    assert any("upper centre" in one for one in scene.details)


def test_a_subject_is_told_by_place_and_colour_never_by_name() -> None:
    described = analysed(png.write(disc()))
    (subject,) = described.scene.subjects
    assert (subject.name, subject.placement) == ("the main subject", "right")
    assert "red" in subject.description or "vermilion" in subject.description
    assert subject.scale == pytest.approx(0.5, abs=0.1)
    assert "blue" in described.scene.setting


def test_transparency_is_the_subject_and_hidden_colours_do_not_count() -> None:
    described = analysed(png.write(disc(4)))
    (swatch,) = described.measured.palette
    assert swatch.colour == "#dc281e"
    region = described.measured.regions[0]
    assert (region.kind, region.measure) == ("subject", 1.0)
    assert region.box.left == pytest.approx(58 / 120, abs=0.02)
    assert described.scene.setting == "cut out, without a background"


@pytest.mark.parametrize("alpha", [0, 255])
def test_a_picture_that_is_all_or_not_at_all_there_is_described(alpha: int) -> None:
    pixels = np.dstack([disc(), np.full((90, 120), alpha, np.uint8)])
    assert analysed(png.write(pixels)).scene.subjects


def test_a_picture_of_nothing_has_no_subject_to_tell() -> None:
    described = analysed(plain(200, 200, 200))
    assert described.scene.subjects[0].name == "the picture as a whole"
    assert described.confidence == pytest.approx(0.2)
    assert described.measured.monochrome


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 3), (17, 300)])
def test_the_smallest_pictures_are_described(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    scene = analysed(png.write(pixels)).scene
    assert Scene.model_validate_json(scene.model_dump_json()) == scene


def test_the_same_bytes_are_described_the_same() -> None:
    data = example("scenes/chelsea.png")
    assert analysed(data) == analysed(data)


def test_what_was_measured_can_be_expanded_to_prompts() -> None:
    """ORC-4 and ORC-3 together, with no model at all."""
    scene = analysed(example("scenes/coffee.png")).scene
    (written,) = expand(scene, 1, 0)
    assert "rust" in written.prompt and "warm light" in written.prompt


def bomb() -> bytes:
    """A PNG that declares two thousand million pixels a side."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    checked = header + struct.pack(">I", zlib.crc32(header))
    pixels = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + checked + pixels


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", UnsupportedImage),
        (b"no picture", UnsupportedImage),
        (example("scenes/coffee.png")[:5000], UnsupportedImage),
        (bomb(), ImageTooLarge),
    ],
    ids=["empty", "text", "cut", "bomb"],
)
async def test_what_is_no_picture_is_refused(
    model: CompatibleChat, server: ChatStandIn, data: bytes, error: type[Exception]
) -> None:
    picture = Encoded(data, "image/png")
    with pytest.raises(error):
        await EmbeddedDescriber().describe(picture)
    with pytest.raises(error):
        await ModelPictureDescriber(model).describe(picture)
    assert server.seen == [], "before anything is paid"


def tagged(kind: str = "JPEG") -> bytes:
    tags = Image.Exif()
    tags[0x010F], tags[0x0110] = "Maker\x00", "Model 5"
    tags[0x013B] = "A. Photographer"
    details = tags.get_ifd(0x8769)
    details[0x829D], details[0x829A], details[0x920A] = 2.8, 0.004, 50.0
    details[0x8827], details[0xA405], details[0x9003] = 400, 75, "2026:05:01 12:00:00"
    details[0xA434] = "A lens"
    details[0xA431] = "serial-77"
    tags.get_ifd(0x8825)[2] = (52.0, 30.0, 0.0)
    file = io.BytesIO()
    Image.new("RGB", (32, 24), "teal").save(file, kind, exif=tags)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_camera_is_read_and_the_place_never(kind: str) -> None:
    """ORC-4: EXIF."""
    described = analysed(tagged(kind))
    assert described.measured.exif == {
        "make": "Maker",
        "model": "Model 5",
        "lens": "A lens",
        "taken": "2026:05:01 12:00:00",
        "aperture": "f/2.8",
        "exposure": "1/250 s",
        "focal_length": "50 mm",
        "focal_length_35mm": "75 mm",
        "iso": "400",
    }
    assert (described.scene.camera.lens, described.scene.camera.focus) == ("75 mm", "f/2.8")
    assert "52" not in described.model_dump_json().replace("2026", "")
    assert "Photographer" not in described.model_dump_json()


def test_damaged_exif_does_not_cost_the_picture() -> None:
    data = tagged()
    at = data.index(b"Exif\0\0") + 6
    broken = data[:at] + b"\xff" * 60 + data[at + 60 :]
    assert codec.decode(broken).pixels.shape == (24, 32, 3)
    assert analysed(broken).measured.exif == {}


def test_impossible_numbers_of_a_camera_are_left_out() -> None:
    tags = Image.Exif()
    details = tags.get_ifd(0x8769)
    details[0x829D], details[0x829A], details[0x8827] = 0.0, 1e30, 65535
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", exif=tags)
    assert set(exif.read(file.getvalue())) <= {"iso"}


async def test_a_vision_model_names_things_and_the_colours_are_measured(
    model: CompatibleChat, server: ChatStandIn
) -> None:
    """ORC-4: image → scene JSON."""
    server.script(Act(text=json.dumps(SCENE)))
    describer = ModelPictureDescriber(model)
    picture = Encoded(example("scenes/coffee.png"), "image/png")
    described = await describer.describe(picture)
    assert described.scene.subjects[0].name == "a cup of espresso"
    assert (described.source, described.embedded) == ("stand-in-vision", False)
    assert described.confidence is None
    assert described.measured.palette[0].name == "rust"
    assert "#a13313 (rust" in server.seen[0].texts[1]
    assert len(server.seen[0].pictures) == 1
    assert described.spent.cost is not None
    assert money.to_nano(described.spent.cost) == server.charged_nano
    assert money.to_nano(describer.estimate(picture)) >= server.charged_nano


async def test_a_scene_that_does_not_fit_is_asked_for_once_more(
    model: CompatibleChat, server: ChatStandIn
) -> None:
    """ORC-4: schema-checked."""
    server.script(Act(text='{"subjects": []}'), Act(text='{"subjects": []}'))
    describer = ModelPictureDescriber(model)
    picture = Encoded(plain(10, 20, 30), "image/png")
    with pytest.raises(BadProviderReply, match="subjects"):
        await describer.describe(picture)
    assert [len(one.pictures) for one in server.seen] == [1, 1]
    assert money.to_nano(describer.estimate(picture)) >= server.charged_nano


def test_a_model_that_sees_nothing_says_what_is_missing(model: CompatibleChat) -> None:
    model.sees = False
    assert "MAQUETTE_LANGUAGE__VISION" in (ModelPictureDescriber(model).missing() or "")
