"""LAB-28: which sentences are commands, and which are not."""

from __future__ import annotations

from typing import get_args

import pytest

from maquette.core.speech import Command, CommandType
from maquette.pixels.looks import LOOKS
from maquette.speech.grammar import Grammar, spoken

GRAMMAR = Grammar(tuple(LOOKS))


@pytest.mark.parametrize(
    ("sentence", "command"),
    [
        ("run the pipeline", Command("pipeline_run")),
        ("Start the pipeline with twelve candidates.", Command("pipeline_run", {"candidates": 12})),
        ("run the pipeline with 1 candidate", Command("pipeline_run", {"candidates": 1})),
        ("upscale the last picture", Command("upscale", {"target": "last"})),
        ("Upscale all images by 4!", Command("upscale", {"target": "all", "factor": 4})),
        ("remove the background", Command("bgremove")),
        ("remove the background from the images", Command("bgremove", {"target": "all"})),
        (
            "colour the image with golden hour",
            Command("color", {"target": "last", "profile": "golden_hour"}),
        ),
        ("apply the look teal-orange", Command("color", {"profile": "teal_orange"})),
        ("check the picture", Command("qa", {"target": "last"})),
        ("run the quality check", Command("qa")),
        ("make the layers", Command("layers")),
        ("export the project", Command("export")),
        ("synchronise the project", Command("sync_s3")),
        ("show the gallery", Command("show_gallery")),
        ("confirm", Command("confirm")),
        ("  CANCEL the last instruction … ", Command("cancel")),
    ],
)
def test_a_sentence_of_the_grammar_is_its_command(sentence: str, command: Command) -> None:
    assert GRAMMAR.read(sentence) == command


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "the",
        "run",
        "please run the pipeline",
        "run the pipeline with",
        "run the pipeline with thirteen candidates",
        "run the pipeline with 0 candidates",
        "do not confirm",
        "confirm confirm",
        "cancel the",
        "apply the look nowhere",
        "upscale the last picture by nine",
        "remove the chair",
        "confirm" * 10_000,
        "\x00confirm\x00 the",
    ],
)
def test_anything_else_is_no_command(sentence: str) -> None:
    assert GRAMMAR.read(sentence) is None


def test_every_type_of_command_can_be_said() -> None:
    found = {command.type for one in GRAMMAR.examples() if (command := GRAMMAR.read(one))}
    assert found == set(get_args(CommandType))


def test_every_example_is_a_command() -> None:
    assert all(GRAMMAR.read(one) for one in GRAMMAR.examples())


@pytest.mark.parametrize("look", list(LOOKS))
def test_every_look_can_be_asked_for_by_its_name(look: str) -> None:
    assert GRAMMAR.read(f"apply {spoken(look)}") == Command("color", {"profile": look})


def test_without_profiles_nothing_can_be_coloured_and_all_else_works() -> None:
    bare = Grammar()
    assert bare.read("apply noir") is None
    assert bare.read("run the pipeline") == Command("pipeline_run")
    assert "profile" not in bare.jsgf()


@pytest.mark.parametrize("name", ["<x> = y;", "été", "lut_33", "", "日本"])
def test_a_profile_that_cannot_be_said_breaks_nothing(name: str) -> None:
    """A file's name goes into a grammar: none of it may become grammar."""
    odd = Grammar((name, "noir"))
    assert odd.read("apply noir") == Command("color", {"profile": "noir"})
    rule = next(line for line in odd.jsgf().splitlines() if line.startswith("<profile>"))
    assert set(rule) <= set("<profile> = |;abcdefghijklmnopqrstuvwxyz")


def test_of_profiles_that_sound_the_same_the_first_is_meant() -> None:
    same = Grammar(("teal_orange", "teal orange"))
    assert same.read("apply teal orange") == Command("color", {"profile": "teal_orange"})


def test_the_grammar_for_the_recogniser_has_every_word() -> None:
    rules = GRAMMAR.jsgf()
    assert rules.startswith("#JSGF V1.0;")
    assert all(word in rules for word in GRAMMAR.words())
    assert {"pipeline", "sepia", "twelve"} <= GRAMMAR.words()
