"""The embedded prompt writer."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.core.errors import BadParameter
from maquette.core.scene import Scene
from maquette.language import arrangement, vocabulary
from maquette.language.expander import TemplateWriter, expand
from maquette.language.reading import read

IDEAS = [
    "a lighthouse on a cliff",
    "an old sailor mending nets in the harbour",
    "watercolour of a fox in the snow",
    "a cup of coffee on a wooden table",
    "a coral reef underwater",
    "Ein Hund am Strand.",
]
FULL = Scene.model_validate(
    {
        "title": "Attic",
        "subject": {"name": "a brass telescope", "placement": "on the left third", "scale": 0.5},
        "setting": "an attic floor under a skylight",
        "palette": ["#d1a326", "#36231a"],
        "lighting": {"description": "cool moonlight", "direction": "above", "hardness": 0.8},
        "camera": "wide shot",
        "composition": "balanced by a chair",
        "details": ["a star chart", "dust"],
        "mood": "curious",
        "negative": "people",
    }
)


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{3,}", text.lower()))


async def test_without_a_model_prompts_are_written_and_marked_embedded() -> None:
    """ORC-3: an embedded template expander when none is configured."""
    writer = TemplateWriter()
    written = await writer.write("a heron", 3, 0)
    assert len(written.prompts) == 3
    assert (written.source, written.embedded) == ("embedded", True)
    assert (writer.missing(), writer.estimate("a heron", 3), written.spent.cost) == (None, 0, 0)


@pytest.mark.parametrize("idea", IDEAS)
def test_the_persons_words_come_first_and_unchanged(idea: str) -> None:
    assert all(one.prompt.startswith(idea) for one in expand(idea, 8, 3))


@pytest.mark.parametrize("idea", IDEAS)
def test_variations_really_differ(idea: str) -> None:
    """Beyond the idea no two share more than a few of their words, nor their light."""
    prompts = [words(one.prompt.removeprefix(idea)) for one in expand(idea, 3, 11)]
    shared = [len(a & b) / len(a | b) for a, b in combinations(prompts, 2)]
    assert max(shared) < 0.35
    titles = {one.title for one in expand(idea, 3, 11)}
    assert len(titles) == 3


@pytest.mark.parametrize("idea", IDEAS)
@pytest.mark.parametrize("count", [1, 200])
def test_no_two_prompts_are_the_same(idea: str, count: int) -> None:
    assert len({one.prompt for one in expand(idea, count, 5)}) == count


def test_the_same_seed_writes_the_same_and_another_another() -> None:
    idea = "a lighthouse on a cliff"
    assert expand(idea, 4, 9) == expand(idea, 4, 9)
    assert expand(idea, 4, 9) != expand(idea, 4, 10)
    assert expand(idea, 8, 9)[:4] == expand(idea, 4, 9), "more prompts add on"


def test_the_first_prompt_of_a_seed_stays_what_it_is() -> None:
    """A golden sentence: whoever changes the vocabulary sees that old seeds change."""
    (first,) = expand("a lighthouse on a cliff", 1, 7)
    assert first.prompt == (
        "a lighthouse on a cliff, in thick fog, shapes fading step by step into white. Sweeping "
        "28 mm view from a rise, distance fading in steps. Repeated shapes set a rhythm that the "
        "subject breaks. Colours of pearl, ash and faint sepia. The mood is patient, waiting. The "
        "restrained contrast of negative film."
    )


@pytest.mark.parametrize(
    ("idea", "allowed"),
    [
        ("a harbour at night", "night"),
        ("a forest at dawn", "dawn"),
        ("a street in the rain", "rain"),
        ("a church in the fog", "fog"),
        ("a room at night", "night"),
    ],
)
def test_the_light_agrees_with_the_hour_that_was_named(idea: str, allowed: str) -> None:
    phrases = {one.phrase: one.tags for one in vocabulary.LIGHTS}
    for written in expand(idea, 6, 2):
        (tags,) = (tags for phrase, tags in phrases.items() if phrase in written.prompt)
        assert allowed in tags


@pytest.mark.parametrize(
    ("idea", "realm"),
    [
        ("a coral reef underwater", "underwater"),
        ("an astronaut on the moon", "space"),
        ("a cat in the kitchen", "indoors"),
        ("a mountain", "outdoors"),
        ("etwas ganz anderes", "outdoors"),
    ],
)
def test_the_light_agrees_with_the_place(idea: str, realm: str) -> None:
    phrases = {one.phrase: one.realm for one in vocabulary.LIGHTS}
    for written in expand(idea, 8, 2):
        assert {phrases[one] for one in phrases if one in written.prompt} == {realm}


def test_a_painting_has_no_lens_and_a_photograph_no_brush() -> None:
    painted = " ".join(one.prompt for one in expand("oil painting of a mill", 12, 1))
    taken = " ".join(one.prompt for one in expand("photograph of a mill", 12, 1))
    assert not re.search(r"\d+ mm|film|lens", painted)
    assert "mm lens" in taken and "brush" not in taken


def test_what_was_said_is_not_said_again() -> None:
    for one in expand("cosy close-up of a cat, black and white", 6, 1):
        assert "lens" not in one.prompt and "The mood" not in one.prompt
        assert "Colours of black, white and a full range of greys between." in one.prompt


def test_letters_that_were_asked_for_are_not_forbidden() -> None:
    assert "text" in expand("a mill", 1, 0)[0].negative_prompt
    assert "text" not in expand('a poster with the words "High Tide"', 1, 0)[0].negative_prompt


@pytest.mark.parametrize(
    ("idea", "kind"),
    [
        ("an old sailor mending nets in the harbour", "person"),
        ("a brass telescope in an attic", None),
        ("in the kitchen, a baker", "interior"),
        ("two foxes by a river", None),
        ("three cats", "creature"),
    ],
)
def test_the_subject_is_what_stands_before_the_place(idea: str, kind: str | None) -> None:
    assert read(idea).kind == kind


def test_every_word_of_a_scene_is_in_its_prompts() -> None:
    """ORC-3: from a scene JSON."""
    for one in expand(FULL, 5, 4):
        for said in (
            "a brass telescope", "on the left third", "an attic floor", "ool moonlight",
            "light from above", "hard-edged shadows", "a star chart and dust", "gold and dark",
            "curious", "ide shot", "alanced by a chair",
        ):  # fmt: skip
            assert said in one.prompt
        assert one.negative_prompt.startswith("people, ")
        assert one.title.startswith("Attic: ")


def test_a_scene_that_leaves_nothing_open_still_varies_and_says_when_it_cannot() -> None:
    assert len({one.prompt for one in expand(FULL, 200, 4)}) == 200
    drawn = FULL.model_copy(update={"style": "ink drawing"})
    assert len({one.prompt for one in expand(drawn, 60, 4)}) == 60
    with pytest.raises(BadParameter, match="Ask for fewer"):
        expand(drawn, 200, 4)


def test_one_subject_is_enough() -> None:
    scene = Scene.model_validate({"subject": "a heron"})
    assert all(one.prompt.startswith("a heron, ") for one in expand(scene, 3, 0))


@pytest.mark.parametrize(
    ("idea", "count"), [("", 1), (" \n\t", 1), ("x" * 8001, 1), ("a mill", 0), ("a mill", 201)]
)
def test_what_cannot_be_written_is_refused(idea: str, count: int) -> None:
    with pytest.raises(BadParameter):
        expand(idea, count, 0)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=60), st.integers(0, 2**63 - 1))
def test_any_words_make_whole_sentences(idea: str, seed: int) -> None:
    try:
        prompts = expand(idea, 3, seed)
    except BadParameter:
        assert not re.search(r"[^\s\x00-\x1f\x7f]", idea)
        return
    for one in prompts:
        assert one.prompt[-1] in ".!?…"
        assert "  " not in one.prompt.removeprefix(idea)[len(idea) :]
        assert 0 < len(one.title) <= 200
    assert len({one.prompt for one in prompts}) == 3


def test_every_deck_has_a_card_that_fits() -> None:
    """Each scale has compositions, each kind framings of all scales, each place lights."""
    for scale in ("near", "middle", "far"):
        assert any(
            scale in one.split() and "level" not in one for one, _ in arrangement.COMPOSITIONS
        )
        assert scale in {one for one, _ in arrangement.ANY_KIND}
        assert scale in {one for one, _ in arrangement.DRAWN}
        for kind in arrangement.NEGATIVE_KIND:
            framings = [one for one in arrangement.FRAMINGS if kind in one.kinds]
            assert any(one.scale == scale for one in framings), (kind, scale)
    for medium in arrangement.DRAWN_FINISH:
        assert len(arrangement.DRAWN_FINISH[medium]) >= 3


def test_no_words_are_there_twice() -> None:
    for words_ in (
        [one.phrase for one in vocabulary.LIGHTS],
        [one.phrase for one in arrangement.FRAMINGS],
        [one for _, one in arrangement.COMPOSITIONS],
        list(arrangement.ACCENTS),
    ):
        assert len(words_) == len(set(words_))
