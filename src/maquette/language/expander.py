"""The embedded prompt writer: templates and a vocabulary, no model.

The person's words come first and are never changed. What they leave open (light, lens, colours,
mood, arrangement) is filled from `vocabulary`, another card of each deck for every variation.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final, TypeVar

from maquette.core.errors import BadParameter
from maquette.core.language import EMBEDDED, MOST_PROMPTS, PromptWriter, Written, WrittenPrompt
from maquette.core.scene import Scene, clean
from maquette.language import arrangement, vocabulary
from maquette.language.reading import Said, read
from maquette.language.vocabulary import Kind, LightWords, Realm, Scale
from maquette.pixels.colour_names import name_of, parsed

V = TypeVar("V")

LONGEST_IDEA: Final = 8000
_TITLE_WORDS: Final = 8
_ENOUGH_LIGHTS: Final = 3
_OF_COLOUR: Final = re.compile("colour|warm|rose|blue|brown|neon|magenta")
_LITTLE_OPEN: Final = 3
"""With fewer open places than this, last words are added so that variations still differ."""
_USUAL: Final[dict[Kind, frozenset[Realm]]] = {
    "person": frozenset({"outdoors", "indoors"}),
    "creature": frozenset({"outdoors"}),
    "object": frozenset({"indoors"}),
    "interior": frozenset({"indoors"}),
    "city": frozenset({"outdoors"}),
    "place": frozenset({"outdoors"}),
}
_UNKNOWN: Final[frozenset[Realm]] = frozenset({"outdoors"})
_COLOURLESS: Final = {
    "mono": "black, white and a full range of greys between",
    "sepia": "sepia browns from cream to near-black",
}


class TemplateWriter(PromptWriter):
    """Expands an idea or a scene; the same seed gives the same prompts, and more of them add on."""

    embedded = True

    async def write(self, idea: str | Scene, count: int, seed: int) -> Written:
        return Written(expand(idea, count, seed), source=EMBEDDED, embedded=True)


def expand(idea: str | Scene, count: int, seed: int) -> tuple[WrittenPrompt, ...]:
    """Return `count` prompts that all differ; raise `BadParameter` where that cannot be."""
    if not 1 <= count <= MOST_PROMPTS:
        raise BadParameter(f"count is {count!r}: ask for 1 to {MOST_PROMPTS} prompts.")
    given = _given(idea)
    decks = _Decks(f"{seed}/{given.lead}")
    written: dict[str, WrittenPrompt] = {}
    while len(written) < count:
        choice = _choose(given, decks)
        prompt = _prompt(given, choice)
        if prompt in written:
            fresh = _unused(given, choice, written)
            if fresh is None:
                raise BadParameter(
                    f"The scene says so much that only {len(written)} different prompts can be "
                    f"made of it, not {count!r}. Ask for fewer, or leave something open."
                )
            choice, prompt = fresh
        written[prompt] = WrittenPrompt(
            prompt=prompt, negative_prompt=_negative(given), title=_title(given, choice)
        )
    return tuple(written.values())


@dataclass(frozen=True)
class _Given:
    """The person's words, place by place; an empty place is open."""

    lead: str
    said: Said
    title: str = ""
    light: str = ""
    camera: str = ""
    composition: str = ""
    palette: str = ""
    mood: str = ""
    details: str = ""
    negative: str = ""
    placed: bool = False
    """It says where the subjects stand: no card may contradict that."""

    @property
    def open_places(self) -> int:
        said = self.said
        closed = (
            self.light,
            self.camera or said.shot,
            self.composition or self.placed,
            self.palette or said.colours,
            self.mood or said.mood,
        )
        return sum(not one for one in closed)


@dataclass(frozen=True)
class _Choice:
    """One card of each deck."""

    light: LightWords
    framing: str
    composition: str
    palette: str
    mood: str
    finish: str
    accent: str


def _given(idea: str | Scene) -> _Given:
    if isinstance(idea, Scene):
        return _from_scene(idea)
    lead = clean(idea)
    if not lead or len(lead) > LONGEST_IDEA:
        raise BadParameter(
            f"The idea has {len(lead)} characters: write at least one and at most {LONGEST_IDEA}."
        )
    said = read(lead)
    return _Given(lead, said, palette=_COLOURLESS.get(said.colours or "", ""))


def _from_scene(scene: Scene) -> _Given:
    subjects = [
        ", ".join(part for part in (one.name, one.description, one.placement) if part)
        for one in scene.subjects
    ]
    lead = ", ".join(part for part in (_listed(subjects), scene.setting, scene.style) if part)
    light, camera = scene.lighting, scene.camera
    beams = [light.description]
    if light.direction:
        beams.append(f"light from {light.direction}")
    if light.hardness is not None:
        beams.append("hard-edged shadows" if light.hardness > 0.5 else "soft shadows")
    if light.colour is not None:
        beams.append(f"tinted {name_of(parsed(light.colour))}")
    everything = f"{lead} . {light.description} . {scene.mood}"
    return _Given(
        lead=lead,
        said=read(everything, subject=scene.subjects[0].name),
        title=scene.title,
        light=", ".join(part for part in beams if part),
        camera=", ".join(
            part for part in (camera.shot, camera.angle, camera.lens, camera.focus) if part
        ),
        composition=scene.composition,
        placed=any(one.placement for one in scene.subjects),
        palette=_listed(list(dict.fromkeys(name_of(parsed(one)) for one in scene.palette))),
        mood=scene.mood,
        details=_listed(list(scene.details)),
        negative=scene.negative,
    )


class _Decks:
    """Shuffled cards by slot; a card comes again only when no other one fits."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._left: dict[str, list[int]] = {}
        self._rounds: dict[str, int] = {}

    def draw(
        self, slot: str, cards: Sequence[V], fits: Callable[[V], bool] = lambda _card: True
    ) -> V:
        """Return the next card that fits; one that fits has to be among them."""
        for _ in range(2):
            left = self._left.setdefault(slot, [])
            for index in left:
                if fits(cards[index]):
                    left.remove(index)
                    return cards[index]
            self._left[slot] = self._shuffled(slot, len(cards))
        raise ValueError(f"no card of {slot!r} fits")

    def _shuffled(self, slot: str, count: int) -> list[int]:
        """Order by digests, which are the same with every version of Python."""
        turn = self._rounds[slot] = self._rounds.get(slot, -1) + 1
        return sorted(
            range(count),
            key=lambda one: hashlib.sha256(f"{self._seed}/{slot}/{turn}/{one}".encode()).digest(),
        )


def _choose(given: _Given, decks: _Decks) -> _Choice:
    said = given.said
    lights = _lights(said)
    light = decks.draw("light", lights)
    framings = _framings(said)
    scale, framing = decks.draw(
        "framing", framings, lambda one: said.shot is None or one[0] == said.shot
    )
    _, composition = decks.draw(
        "composition", arrangement.COMPOSITIONS, lambda one: _agrees(one[0], scale, framing)
    )
    finishes = arrangement.DRAWN_FINISH.get(said.medium or "", arrangement.PHOTO_FINISH)
    return _Choice(
        light=light,
        framing=framing,
        composition=composition,
        palette=decks.draw(f"palette of {light.name}", light.palettes),
        mood=decks.draw(f"mood of {light.name}", light.moods),
        finish=decks.draw("finish", finishes),
        accent=decks.draw("accent", _accents(said)),
    )


def _agrees(fits: str, scale: Scale, framing: str) -> bool:
    from_above = "above" in framing or "from the air" in framing
    return scale in fits.split() and not (from_above and "level" in fits)


def _accents(said: Said) -> list[str]:
    """Leave out what speaks of colours where there are none."""
    colourless = said.colours in _COLOURLESS
    return [one for one in arrangement.ACCENTS if not (colourless and _OF_COLOUR.search(one))]


def _lights(said: Said) -> list[LightWords]:
    """Return the lights of the place that agree best with the time of day and the weather."""
    usual = _USUAL.get(said.kind, _UNKNOWN) if said.kind else _UNKNOWN
    realms = usual if said.realm is None else frozenset({said.realm})
    here = [one for one in vocabulary.LIGHTS if one.realm in realms]
    if said.colours in _COLOURLESS:
        here = [one for one in here if not _OF_COLOUR.search(one.phrase)]
    kept: list[LightWords] = []
    # Those that agree with all that is said; where that leaves no choice, the next best too.
    for least in sorted({len(said.times & one.tags) for one in here}, reverse=True):
        kept = [one for one in here if len(said.times & one.tags) >= least]
        if len(kept) >= _ENOUGH_LIGHTS or least == 1:  # never one that agrees with nothing
            break
    return kept


def _framings(said: Said) -> list[tuple[Scale, str]]:
    if said.medium not in (None, "photo"):
        return list(arrangement.DRAWN)
    if said.kind is None or said.realm in ("underwater", "space"):
        return list(arrangement.ANY_KIND)
    return [(one.scale, one.phrase) for one in arrangement.FRAMINGS if said.kind in one.kinds]


def _prompt(given: _Given, choice: _Choice) -> str:
    """Write the sentences: the person's words, then what was open."""
    said = given.said
    ended = given.lead[-1] in ".!?…"
    first = given.lead if ended or given.light else f"{given.lead}, {choice.light.phrase}"
    sentences = [given.light or (choice.light.phrase if ended else "")]
    sentences.append(given.details and f"With {given.details}")
    sentences.append(given.camera or ("" if said.shot else choice.framing))
    sentences.append(given.composition or ("" if given.placed else choice.composition))
    if given.palette or said.colours is None:
        sentences.append(f"Colours of {given.palette or choice.palette}")
    if given.mood:
        sentences.append(f"Mood: {given.mood}")
    elif not said.mood:
        sentences.append(f"The mood is {choice.mood}")
    sentences.append(choice.finish)
    if given.open_places < _LITTLE_OPEN:
        sentences.append(choice.accent)
    return " ".join([_ended(first), *(_sentence(one) for one in sentences if one)])


def _unused(
    given: _Given, choice: _Choice, written: dict[str, WrittenPrompt]
) -> tuple[_Choice, str] | None:
    """Try every other ending of a prompt that stands already."""
    finishes = arrangement.DRAWN_FINISH.get(given.said.medium or "", arrangement.PHOTO_FINISH)
    for finish, accent in product(finishes, _accents(given.said)):
        other = replace(choice, finish=finish, accent=accent)
        prompt = _prompt(given, other)
        if prompt not in written:
            return other, prompt
    return None


def _negative(given: _Given) -> str:
    said = given.said
    drawn = said.medium not in (None, "photo")
    parts = [
        given.negative,
        "" if said.letters else arrangement.NEGATIVE_LETTERS,
        arrangement.NEGATIVE,
        arrangement.NEGATIVE_KIND.get(said.kind or "", ""),
        arrangement.NEGATIVE_DRAWN if drawn else arrangement.NEGATIVE_PHOTO,
    ]
    return ", ".join(part for part in parts if part)


def _title(given: _Given, choice: _Choice) -> str:
    words = (given.title or given.lead).split()
    short = " ".join(words[:_TITLE_WORDS]).rstrip(".,;:!?…")
    short = short[:1].upper() + short[1:] + (" …" if len(words) > _TITLE_WORDS else "")
    which = "" if given.light else choice.light.name
    if not which:
        which = choice.accent if given.open_places < _LITTLE_OPEN else choice.composition
    return f"{short}: {which}"[:200]


def _listed(parts: list[str]) -> str:
    """Join with commas and a last `and`."""
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def _sentence(text: str) -> str:
    return _ended(text[:1].upper() + text[1:])


def _ended(text: str) -> str:
    return text if text[-1:] in ".!?…" else f"{text}."
