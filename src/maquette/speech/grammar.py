"""The sentences that are commands: one table, from which hearing and reading are both made.

A pattern is written as in JSGF: `[…]` may be left out, `(… | …)` is a choice. `{slot}` stands for
one of the phrases of that slot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from maquette.core.speech import Command, CommandType

_PATTERNS: tuple[tuple[CommandType, str], ...] = (
    ("pipeline_run", "(run | start) the pipeline [with {candidates} (candidates | candidate)]"),
    ("upscale", "upscale {target} [by {factor}]"),
    ("bgremove", "remove the background [(of | from) {target}]"),
    ("color", "color {target} with [the look] {profile}"),
    ("color", "apply [the look] {profile} [to {target}]"),
    ("qa", "check {target}"),
    ("qa", "(run | start) the quality check"),
    ("layers", "(make | create) the layers"),
    ("layers", "split {target} into layers"),
    ("export", "export the project"),
    ("sync_s3", "(synchronize | sync) the project"),
    ("show_gallery", "(show | open) the gallery"),
    ("confirm", "confirm [the instruction]"),
    ("cancel", "cancel [the [last] instruction]"),
)
_NUMBERS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
)  # fmt: skip
_SLOTS: Mapping[str, Mapping[str, str | int]] = {
    "candidates": {word: number for number, word in enumerate(_NUMBERS, 1)},
    "factor": {"two": 2, "three": 3, "four": 4},
    "target": {
        **{f"the {last}{one}": "last" for one in ("picture", "image") for last in ("last ", "")},
        **{f"{every} {one}": "all" for one in ("pictures", "images") for every in ("all", "the")},
    },
}
_SPELLINGS = {
    "colour": "color",
    "synchronise": "synchronize",
    **{str(number): word for number, word in enumerate(_NUMBERS, 1)},
}
_TOKEN = re.compile(r"\{(\w+)\}|([a-z]+)|([\[\]()|])")


@dataclass(frozen=True)
class Grammar:
    """The commands, with the names of the colour profiles that can be asked for."""

    profiles: tuple[str, ...] = ()

    def read(self, text: str) -> Command | None:
        """Return the command that a sentence is; None: it is not one, word for word."""
        sentence = "".join(f"{word} " for word in _words(text))
        for type_, reading in _readings(self):
            found = reading.fullmatch(sentence)
            if found is not None:
                said = {name: words for name, words in found.groupdict().items() if words}
                slots = _slots(self)
                return Command(type_, {n: slots[n][words.strip()] for n, words in said.items()})
        return None

    def jsgf(self) -> str:
        """Write it for a speech recogniser."""
        slots = _slots(self)
        rules = [f"<{name}> = {' | '.join(phrases)};" for name, phrases in slots.items() if phrases]
        sentences = [re.sub(r"\{(\w+)\}", r"<\1>", pattern) for _, pattern in _patterns(self)]
        command = f"public <command> = {' | '.join(sentences)};"
        return "\n".join(["#JSGF V1.0;", "grammar maquette;", *rules, command])

    def words(self) -> frozenset[str]:
        """Return every word that the grammar knows."""
        said = [re.sub(r"\{\w+\}", " ", pattern) for _, pattern in _patterns(self)]
        said += [phrase for phrases in _slots(self).values() for phrase in phrases]
        return frozenset(re.findall(r"[a-z]+", " ".join(said)))

    def examples(self) -> tuple[str, ...]:
        """Return one sentence a pattern, the shortest, to show what can be said."""
        slots = _slots(self)
        return tuple(_shortest(pattern, slots) for _, pattern in _patterns(self))

    def without(self, profiles: frozenset[str]) -> Grammar:
        return Grammar(tuple(name for name in self.profiles if name not in profiles))


def spoken(profile: str) -> str:
    """Say a profile's name: `teal_orange` is *teal orange*; empty: it cannot be said."""
    words = _words(profile.replace("_", " "))
    return " ".join(words) if all(re.fullmatch("[a-z]+", word) for word in words) else ""


def _words(text: str) -> list[str]:
    found: list[str] = re.findall(r"[^\W_]+", text.lower())
    return [_SPELLINGS.get(word, word) for word in found]


@lru_cache(maxsize=8)
def _slots(grammar: Grammar) -> Mapping[str, Mapping[str, str | int]]:
    said = {spoken(name): name for name in reversed(grammar.profiles)}
    return {**_SLOTS, "profile": {words: name for words, name in said.items() if words}}


@lru_cache(maxsize=8)
def _patterns(grammar: Grammar) -> tuple[tuple[CommandType, str], ...]:
    lacking = [name for name, phrases in _slots(grammar).items() if not phrases]
    return tuple(
        (type_, pattern)
        for type_, pattern in _PATTERNS
        if not any(f"{{{name}}}" in pattern for name in lacking)
    )


@lru_cache(maxsize=8)
def _readings(grammar: Grammar) -> tuple[tuple[CommandType, re.Pattern[str]], ...]:
    """Turn each pattern into one for text, in which every word is followed by a space."""
    slots = _slots(grammar)
    signs = {"[": "(?:", "]": ")?", "(": "(?:", ")": ")", "|": "|"}

    def reading(found: re.Match[str]) -> str:
        slot, word, sign = found.groups()
        if slot:
            phrases = sorted(slots[slot], key=len, reverse=True)
            return f"(?P<{slot}>{'|'.join(f'{phrase} ' for phrase in phrases)})"
        return f"{word} " if word else signs[sign]

    return tuple(
        (type_, re.compile("".join(reading(one) for one in _TOKEN.finditer(pattern))))
        for type_, pattern in _patterns(grammar)
    )


def _shortest(pattern: str, slots: Mapping[str, Mapping[str, str | int]]) -> str:
    while "[" in pattern:
        pattern = re.sub(r"\[[^\[\]]*\]", "", pattern)
    pattern = re.sub(r"\(([^|()]*)\|[^()]*\)", r"\1", pattern)
    pattern = re.sub(r"\{(\w+)\}", lambda found: next(iter(slots[found[1]])), pattern)
    return " ".join(pattern.split())
