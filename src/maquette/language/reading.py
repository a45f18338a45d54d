"""What an idea already says, by a small English vocabulary; what that lacks is left open."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from maquette.language.vocabulary import Kind, Realm, Scale

V = TypeVar("V")

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_LONGEST_PHRASE = 3
_PREPOSITIONS = frozenset(
    {"in", "on", "at", "under", "by", "with", "near", "over", "beside", "behind", "inside", "upon",
     "through", "against", "between", "above", "below", "from", "into", "among", "before", "along",
     "across", "around", "beneath"}
)  # fmt: skip
_LETTERS = frozenset(
    {"poster", "logo", "sign", "signs", "lettering", "text", "title", "words", "typography",
     "label", "sticker", "billboard", "banner", "letters", "caption", "slogan", "cover"}
)  # fmt: skip


def _table(rows: Mapping[V, str]) -> Mapping[str, V]:
    return MappingProxyType(
        {phrase: value for value, text in rows.items() for phrase in text.split(", ")}
    )


KINDS: Mapping[str, Kind] = _table(
    {
        "person": "woman, women, man, men, girl, boy, child, children, person, people, portrait, "
        "face, dancer, sailor, astronaut, king, queen, knight, warrior, chef, cook, farmer, "
        "musician, singer, violinist, nurse, doctor, soldier, wizard, witch, monk, samurai, bride, "
        "couple, grandmother, grandfather, mother, father, baby, fisherman, painter, potter, "
        "carpenter, blacksmith, student, teacher, nun, pilot, cyclist, swimmer, boxer, ballerina, "
        "character, hero, heroine, family, crowd, traveller, traveler, detective, gardener, tailor",
        "creature": "cat, kitten, dog, puppy, fox, bird, horse, wolf, owl, lion, tiger, bear, "
        "deer, "
        "rabbit, hare, fish, whale, dolphin, shark, dragon, elephant, butterfly, bee, insect, "
        "beetle, frog, snake, turtle, raven, crow, eagle, falcon, heron, swan, duck, hen, rooster, "
        "cow, bull, sheep, goat, pig, mouse, squirrel, hedgehog, monkey, octopus, jellyfish, "
        "parrot, "
        "penguin, seal, otter, badger, lynx, leopard, unicorn, griffin, creature, animal, spider",
        "object": "cup, mug, coffee, tea, bottle, glass, book, chair, lamp, watch, clock, shoe, "
        "shoes, sneaker, bag, fruit, apple, pear, lemon, bread, cake, pie, flower, rose, tulip, "
        "bouquet, vase, guitar, violin, piano, camera, product, still life, teapot, bowl, plate, "
        "dish, soup, burger, pizza, pasta, cheese, wine, perfume, ring, necklace, jewel, sword, "
        "helmet, mask, toy, robot, radio, typewriter, candle, key, coin, shell, knife, headphones, "
        "phone, laptop, food, meal, breakfast, dessert, plant, cactus, mushroom, logo",
        "interior": "room, kitchen, bedroom, library, studio, office, workshop, hall, interior, "
        "bathroom, attic, cellar, cafe, café, restaurant, bar, bakery, shop, bookshop, theatre, "
        "theater, classroom, laboratory, greenhouse, corridor, staircase, lobby, museum, "
        "living room",
        "city": "city, street, alley, market, building, skyscraper, tower, house, bridge, station, "
        "harbour, harbor, port, village, town, temple, church, cathedral, castle, skyline, square, "
        "car, bus, tram, train, bicycle, bike, motorcycle, ship, boat, airport, factory, ruins, "
        "palace, windmill, mill, barn, cottage, hut, cabin, pier, dock, rooftop, courtyard, taxi, "
        "rocket, plane, aeroplane, airplane, truck",
        "place": "mountain, mountains, lake, sea, ocean, beach, coast, cliff, cliffs, forest, "
        "wood, "
        "woods, river, valley, desert, field, meadow, island, waterfall, garden, canyon, dune, "
        "dunes, lighthouse, landscape, hill, hills, glacier, volcano, swamp, jungle, cave, park, "
        "orchard, vineyard, road, path, sky, clouds, tree, oak, planet, galaxy, moor, fjord, reef",
    }
)

REALMS: Mapping[str, Realm] = _table(
    {
        "underwater": "underwater, under water, coral, reef, seabed, deep sea, submarine, undersea",
        "space": "in space, outer space, spaceship, spacecraft, space station, nebula, galaxy, "
        "asteroid, orbit, cosmos, on the moon, on mars",
        "indoors": "indoors, inside, room, kitchen, bedroom, library, studio, office, workshop, "
        "hall, interior, bathroom, attic, cellar, cafe, café, restaurant, bar, bakery, shop, "
        "bookshop, theatre, theater, classroom, laboratory, corridor, staircase, lobby, museum, "
        "table, desk, sofa, bed, window sill, windowsill, shelf, living room, fireplace",
        "outdoors": "outdoors, outside, street, alley, market, harbour, harbor, beach, coast, "
        "cliff, "
        "forest, woods, river, valley, desert, field, meadow, garden, park, mountain, mountains, "
        "lake, sea, ocean, snow, rain, sky, city, village, road, bridge, island, hill, rooftop, "
        "jungle, canyon, dunes, square, pier, sunset, sunrise, moonlight, storm, grass",
    }
)

TIMES: Mapping[str, str] = _table(
    {
        "dawn": "dawn, sunrise, daybreak, early morning, morning, first light",
        "day": "day, daylight, noon, midday, afternoon, overcast, cloudy",
        "sun": "sunny, sunlit, sunlight, sunshine, sun",
        "dusk": "dusk, sunset, golden hour, evening, twilight, blue hour, afterglow",
        "night": "night, midnight, moonlight, moonlit, nocturnal, nighttime, moon, starry, stars",
        "fog": "fog, foggy, mist, misty, haze, hazy",
        "rain": "rain, rainy, raining, wet, puddle, puddles, drizzle",
        "storm": "storm, stormy, thunder, thunderstorm, lightning",
        "fire": "candle, candles, candlelight, candlelit, firelight, fireplace, bonfire, lantern, "
        "lanterns, torch, torchlight, campfire",
        "neon": "neon, cyberpunk, nightclub",
        "studio": "studio light, studio lighting, softbox, product shot, packshot",
    }
)

MEDIA: Mapping[str, str] = _table(
    {
        "oil": "oil, oil painting, oils, painting, painted, acrylic, impasto, impressionist, "
        "impressionism, gouache, fresco, baroque, expressionist, mural",
        "water": "watercolour, watercolor, aquarelle, ink wash, sumi-e",
        "line": "ink, ink drawing, pen and ink, pencil, sketch, drawing, charcoal, etching, "
        "engraving, woodcut, linocut, line art, comic, manga, graphite",
        "render": "3d, 3d render, render, cgi, octane, blender, clay render, isometric, voxel",
        "graphic": "illustration, vector, poster, anime, cartoon, pixel art, flat design, collage, "
        "papercut, paper cut, paper art, stained glass, mosaic, sticker, icon, storybook, "
        "concept art, digital art, art deco, art nouveau",
        "photo": "photo, photograph, photography, photorealistic, photographic, polaroid, "
        "film still, "
        "35mm, analog, analogue",
    }
)

SHOTS: Mapping[str, Scale] = _table(
    {
        "near": "close-up, closeup, close up, macro, headshot, tight shot, detail shot",
        "middle": "medium shot, half-length, waist-up, eye level, mid shot",
        "far": "wide shot, wide angle, wide-angle, panorama, panoramic, aerial, bird's-eye, "
        "bird's eye, drone, establishing shot, long shot, full body, full-length, fisheye",
    }
)

MOODS: Mapping[str, bool] = _table(
    {
        True: "moody, cosy, cozy, dreamy, eerie, serene, peaceful, calm, melancholic, melancholy, "
        "gloomy, joyful, happy, cheerful, sad, dramatic, mysterious, romantic, nostalgic, spooky, "
        "creepy, whimsical, epic, tranquil, lonely, tense, playful, surreal, ominous, festive"
    }
)

COLOURS: Mapping[str, str] = _table(
    {
        "mono": "black and white, black-and-white, monochrome, monochromatic, grayscale, "
        "greyscale, "
        "noir, film noir",
        "sepia": "sepia, daguerreotype, tintype",
        "named": "pastel, pastels, palette, colour scheme, color scheme, teal and orange, duotone, "
        "muted colours, muted colors, earth tones, primary colours, primary colors, neon colours",
    }
)


@dataclass(frozen=True)
class Said:
    """What an idea leaves no choice about; None and empty: it is open."""

    kind: Kind | None
    """Of the subject."""
    realm: Realm | None
    times: frozenset[str]
    medium: str | None
    shot: Scale | None
    mood: bool
    colours: str | None
    letters: bool
    """It asks for something to be read."""


def read(text: str, subject: str = "") -> Said:
    """Read an idea; where `subject` is given, it alone decides what the picture is about."""
    words = _words(text)
    times = frozenset(_found(words, TIMES))
    if "neon" in times:
        times |= {"night"}
    return Said(
        kind=_first(_words(subject) if subject else _head(words), KINDS),
        realm=_first(words, REALMS),
        times=times,
        medium=_first(words, MEDIA),
        shot=_first(words, SHOTS),
        mood=bool(_found(words, MOODS)),
        colours=_first(words, COLOURS),
        letters='"' in text or not _LETTERS.isdisjoint(words),
    )


def _words(text: str) -> list[str]:
    return [word.replace("\u2019", "'") for word in _WORD.findall(text.casefold())]


def _head(words: list[str]) -> list[str]:
    """Return the words before the first preposition: a telescope in an attic is no attic."""
    ends = (at for at, word in enumerate(words) if word in _PREPOSITIONS)
    return words[: next(ends, len(words)) or len(words)]


def _first(words: list[str], table: Mapping[str, V]) -> V | None:
    found = _found(words, table)
    return found[0] if found else None


def _found(words: list[str], table: Mapping[str, V]) -> list[V]:
    """Return the values of the phrases found, the longest at each place, in order."""
    found: list[V] = []
    at = 0
    while at < len(words):
        for length in range(min(_LONGEST_PHRASE, len(words) - at), 0, -1):
            phrase = " ".join(words[at : at + length])
            value = table.get(phrase, table.get(phrase.removesuffix("s")))
            if value is not None:
                found.append(value)
                at += length - 1
                break
        at += 1
    return found
