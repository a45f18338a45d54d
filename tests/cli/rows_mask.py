"""Rows for `maquette mask`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from tests.cli.rows import Doing, Row, Shows, is_json, refused, works

from maquette.imaging import png

if TYPE_CHECKING:
    from tests.cli.conftest import Said, Workplace

_CLICK = "--click 30,24"
_AUTO = f"mask auto thing.png --project masked --json {_CLICK}"
_WORDS = f"{_AUTO} --words it --model scripted:paid --way erase --confirm-spend".replace(_CLICK, "")
_ADJUST = "mask adjust mask.png --json --output NEW"


def _line(words: str) -> Doing:
    """Run a command line beside a picture of one thing and a mask; NEW is a new file."""
    return lambda place: place.once(words, lambda: _done(words, place))


def _done(words: str, place: Workplace) -> Said:
    place.once("masked", lambda: place("project", "create", "masked", "--default-root"))
    folder = place.folder / "masks"
    if not folder.exists():
        folder.mkdir()
        truth = np.zeros((60, 90), np.uint8)
        cv2.ellipse(truth, (30, 24), (18, 12), 0, 0, 360, 255, -1)
        pixels = np.full((60, 90, 3), (200, 180, 140), np.uint8)
        pixels[truth > 127] = (20, 50, 200)
        (place.folder / "thing.png").write_bytes(png.write(pixels))
        (place.folder / "mask.png").write_bytes(png.write(truth))
    new = str(Path("masks") / f"{len(list(folder.iterdir()))}.png")
    return place(*shlex.split(words.replace("NEW", new)))


def _covers(least: float, most: float) -> Shows:
    """Tell whether so much is marked; the thing itself is an eighth."""
    return lambda said: said.status == 0 and least < said.json["coverage"] < most


def _by(method: str) -> Shows:
    return lambda said: said.status == 0 and said.json["method"] == method


def _wrote_rgba(said: Said) -> bool:
    return said.status == 0 and (said.place / said.json["file"]).read_bytes()[25] == 6


def _rows() -> Iterator[Row]:
    auto, words, file = _line(_AUTO), _line(_WORDS), f"{_AUTO} --output NEW"
    free = _AUTO.replace(_CLICK, "")
    bare = _WORDS.replace("--model scripted:paid", "")
    spends_nothing: Shows = lambda said: said.status == 3  # noqa: E731 - read where it is used
    given: dict[str, tuple[Doing, Doing, Shows]] = {
        "--project": (auto, _line(_AUTO.replace("--project masked", "")), works),
        "--output": (_line(file), auto, lambda said: bool(said.json["file"])),
        "--click": (auto, _line(free), works),
        "--not": (_line(f"{_AUTO} --not 999,1"), auto, refused("bad-parameter", "x=999")),
        "--box": (_line(f"{free} --box 8,8,52,40"), _line(free), works),
        "--background": (_line(f"{free} --background"), auto, _by("background.classical")),
        "--words": (words, auto, _by("scripted:paid")),
        "--model": (_line(_WORDS.replace("paid", "free")), _line(bare), _by("scripted:free")),
        "--way": (_line(_WORDS.replace("erase", "guess")), auto, refused("bad-parameter", "way")),
        "--backend": (
            _line(f"{free} --background --backend nobody"),
            auto,
            refused("unknown-plugin", "'nobody'"),
        ),
        "--format": (_line(f"{file} --format transparent"), _line(file), _wrote_rgba),
        "--confirm-spend": (words, _line(_WORDS.replace("--confirm-spend", "")), works),
        "--no-confirm-spend": (_line(f"{_WORDS} --no-confirm-spend"), words, spends_nothing),
        "--max-spend": (_line(f"{_WORDS} --max-spend 0.001"), words, spends_nothing),
    }
    for flag, (done, without, shows) in given.items():
        yield Row("mask auto", flag, done, without, shows)
    yield from _adjustments("mask auto", _AUTO)
    yield from _adjustments("mask adjust", _ADJUST)
    adjust = _line(_ADJUST)
    unnamed = _line(_ADJUST.replace("--output NEW", ""))
    yield Row("mask adjust", "--output", adjust, unnamed, works)
    opaque = _line(f"{_ADJUST} --marks opaque")
    yield Row("mask adjust", "--marks", opaque, adjust, refused("bad-parameter", "transparency"))


def _adjustments(command: str, words: str) -> Iterator[Row]:
    plain = _line(words)
    found = {
        "--invert": ("--invert", _covers(0.8, 1)),
        "--grow-px": ("--grow-px 3", _covers(0.16, 0.25)),
        "--shrink-px": ("--shrink-px 4", _covers(0.02, 0.1)),
        "--feather-px": ("--feather-px 6", _covers(0.02, 0.11)),
    }
    for flag, (said, shows) in found.items():
        yield Row(command, flag, _line(f"{words} {said}"), plain, shows)
    yield Row(command, "--json", plain, _line(words.replace(" --json", "")), is_json)


ROWS = tuple(_rows())
