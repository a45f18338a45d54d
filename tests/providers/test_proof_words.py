from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.pixels.looks import LOOKS
from maquette.pixels.painterly import STYLES
from maquette.providers.proof import words
from maquette.providers.proof.words import COLOURS, Intent, read


@pytest.mark.parametrize(
    ("prompt", "style"),
    [
        ("an Oil Painting of a cup", "oil"),
        ("watercolour", "watercolor"),
        ("in aquarelle", "watercolor"),
        ("impressionist garden", "impressionist"),
        ("gouache", "gouache"),
        ("pointillist dots", "pointillism"),
        ("pen-and-ink", "ink"),
        ("a pencil sketch", "pencil"),
        ("a photograph of a cup", None),
    ],
)
def test_style_is_the_medium_named(prompt: str, style: str | None) -> None:
    assert read(prompt).style == style


@pytest.mark.parametrize(
    ("prompt", "look"),
    [
        ("golden hour", "golden_hour"),
        ("at night", "moonlight"),
        ("black-and-white", "noir"),
        ("black and white", "noir"),
        ("GRAYSCALE", "noir"),
        ("sepia", "sepia"),
        ("vintage", "vintage_fade"),
        ("vivid", "vivid"),
        ("cold", "cinematic_cool"),
        ("teal and orange", "teal_orange"),
    ],
)
def test_common_words_name_looks(prompt: str, look: str) -> None:
    assert dict(read(prompt).looks) == {look: 1.0}


def test_every_word_leads_to_something_that_exists() -> None:
    for phrase in words.EFFECTS:
        intent = read(phrase)
        assert intent.understood == (phrase,)
        assert intent.ignored == ()
        assert intent.style is None or intent.style in STYLES
        assert {name for name, _ in intent.looks} <= set(LOOKS)
        assert {name for name, _ in intent.tints} <= set(COLOURS)
        assert intent != Intent(understood=(phrase,)), f"{phrase!r} does nothing"


def test_longer_phrases_come_first() -> None:
    intent = read("low key")
    assert intent.understood == ("low key",)
    assert intent.brightness < 0


def test_modifiers_change_the_amount_of_what_follows() -> None:
    very_light, light, plain, strong = (
        read(f"{modifier} watercolour").style_amount
        for modifier in ("very light", "light", "", "strong")
    )
    assert 0 < very_light < light < plain == 1 < strong


def test_modifiers_do_not_reach_over_a_comma() -> None:
    intent = read("teal light, oil painting")
    assert intent.style_amount == 1
    assert intent.ignored == ("light",)


@pytest.mark.parametrize(
    "prompt", ["no grain", "without any grain", "don't add grain", "not grainy"]
)
def test_negated_words_have_no_effect(prompt: str) -> None:
    assert read(prompt).grain == 0


def test_negated_words_are_reported_as_understood() -> None:
    assert read("noir, no vignette").understood == ("noir", "no vignette")


def test_adjustments_have_direction_and_a_limit() -> None:
    assert read("darker").brightness < 0 < read("brighter").brightness
    assert read("softer").detail < 0 < read("sharper").detail
    assert read("low contrast").contrast < 0 < read("more contrast").contrast
    assert read("very bright, brighter, lighter, airy").brightness == 2


def test_unknown_words_are_listed_and_fillers_are_not() -> None:
    intent = read("make it a beautiful picture of the beautiful cat, warm")
    assert intent.understood == ("warm",)
    assert intent.ignored == ("beautiful", "cat")


def test_words_inside_words_do_not_count() -> None:
    assert read("warmth goldenrod inkling") == Intent(ignored=("warmth", "goldenrod", "inkling"))


@given(st.text(max_size=200))
def test_any_text_can_be_read(prompt: str) -> None:
    intent = read(prompt)
    assert intent == read(prompt)
    assert not set(intent.understood) & set(intent.ignored)


@given(st.lists(st.sampled_from(sorted(words.EFFECTS)), min_size=1, max_size=6))
def test_letter_case_does_not_matter(phrases: list[str]) -> None:
    prompt = ", ".join(phrases)
    assert read(prompt.upper()) == read(prompt)
