"""The lights of the embedded prompt writer: plain data.

A light brings its own colours and moods, so that what belongs together stays together, and says
where and when it may be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Realm = Literal["outdoors", "indoors", "underwater", "space"]
Scale = Literal["near", "middle", "far"]
Kind = Literal["person", "creature", "object", "interior", "city", "place"]


@dataclass(frozen=True)
class LightWords:
    """A light, with colours and moods that go with it."""

    name: str
    phrase: str
    """Continues a noun: `a mill, <phrase>`."""
    palettes: tuple[str, ...]
    moods: tuple[str, ...]
    tags: frozenset[str]
    """Times and weathers that it agrees with; see `reading.TIMES`."""
    realm: Realm = "outdoors"


def _light(
    name: str, phrase: str, palettes: str, moods: str, tags: str, realm: Realm = "outdoors"
) -> LightWords:
    return LightWords(
        name,
        phrase,
        tuple(palettes.split(" / ")),
        tuple(moods.split(" / ")),
        frozenset(tags.split()),
        realm,
    )


LIGHTS: tuple[LightWords, ...] = (
    _light(
        "first light",
        "in the first light of morning, shadows long and soft, a little mist lying low",
        "pale gold, dove grey and dew green / cream, straw and cool shadow blue",
        "quiet, as if nobody else were awake / hopeful and unhurried",
        "dawn sun fog",
    ),
    _light(
        "golden hour",
        "in low golden-hour sun that rakes across every texture",
        "honey, amber and deep teal shadow / ochre, rust and dusty blue",
        "warm and a little nostalgic / generous and calm",
        "dusk dawn sun",
    ),
    _light(
        "afterglow",
        "in the afterglow, a band of rose and orange fading low in the sky",
        "rose, burnt orange and indigo / peach, mauve and slate",
        "tender, at the end of something / wide open and wistful",
        "dusk",
    ),
    _light(
        "blue hour",
        "at blue hour, the sky still cool and bright and the first warm lights coming on",
        "slate blue, ink and a touch of amber / cobalt, pewter and candle yellow",
        "hushed and expectant / lonely, but not sad",
        "dusk night neon",
    ),
    _light(
        "soft overcast",
        "under a bright overcast sky, the light even and gentle on everything",
        "muted green, stone grey and off-white / oatmeal, sage and faded denim",
        "plain-spoken and honest / gentle and still",
        "day rain",
    ),
    _light(
        "breaking storm",
        "under a breaking storm, one shaft of sun cutting through dark cloud",
        "gunmetal, moss and a strip of pale yellow / lead grey, umber and cold white",
        "charged, a moment before it happens / grand and defiant",
        "day storm rain",
    ),
    _light(
        "backlight",
        "backlit by a low sun, a bright rim along every edge",
        "straw, olive and glowing white / copper, smoke and warm black",
        "radiant and alive / dreamlike and light",
        "dusk dawn sun",
    ),
    _light(
        "fog",
        "in thick fog, shapes fading step by step into white",
        "pearl, ash and faint sepia / bone white, lichen and cold grey",
        "muffled and mysterious / patient, waiting",
        "fog dawn day",
    ),
    _light(
        "midday sun",
        "in hard midday sun with short, graphic shadows",
        "bleached white, cobalt and terracotta / sand, turquoise and deep black",
        "bold and dry / playful and direct",
        "day sun",
    ),
    _light(
        "after rain",
        "just after rain, every surface dark, wet and gleaming",
        "wet slate, deep green and silver / charcoal, rust and washed-out blue",
        "fresh, as if rinsed clean / pensive and close",
        "day rain dusk",
    ),
    _light(
        "night lamps",
        "at night under scattered lamps, pools of light with dark between them",
        "sodium orange, bottle green and black / tungsten yellow, navy and plum",
        "secretive and awake / restless and cinematic",
        "night rain neon",
    ),
    _light(
        "neon glow",
        "under neon signs, their colours bleeding into the damp night air",
        "magenta, cyan and asphalt black / acid green, violet and deep blue",
        "electric and restless / anonymous, and wide awake",
        "night rain neon",
    ),
    _light(
        "moonlight",
        "by moonlight, cold highlights over deep but readable shadow",
        "silver, midnight blue and black / pale steel, violet grey and ink",
        "serene and a little uncanny / silent and vast",
        "night",
    ),
    _light(
        "window light",
        "lit by one tall window, soft on the near side and falling away into shadow",
        "linen, walnut and muted blue / ivory, olive and brown shadow",
        "intimate and composed / thoughtful and slow",
        "day",
        "indoors",
    ),
    _light(
        "morning beam",
        "in a slanting beam of morning sun, dust drifting through it",
        "butter yellow, oak and warm grey / cream, honey and soft green",
        "fresh and domestic / hopeful and unhurried",
        "dawn sun day",
        "indoors",
    ),
    _light(
        "candlelight",
        "by candlelight, a small warm pool of light in a dark room",
        "amber, burgundy and near-black / old gold, umber and wine",
        "secretive and warm / devout, almost holding its breath",
        "night fire",
        "indoors",
    ),
    _light(
        "softbox",
        "under a single large softbox, gradients smooth and the shadow clean",
        "off-white, graphite and one strong accent / warm white, clay and charcoal",
        "calm and assured / precise and modern",
        "studio day",
        "indoors",
    ),
    _light(
        "hard spot",
        "picked out of darkness by a single hard beam from the side",
        "black, ivory and one deep red / charcoal, brass and bone",
        "theatrical and grave / tense and focused",
        "night studio fire",
        "indoors",
    ),
    _light(
        "high key",
        "in bright high-key light against near-white, almost without shadow",
        "chalk white, cream and one clear colour / powder blue, blush and ivory",
        "light-hearted and clean / weightless and optimistic",
        "studio day",
        "indoors",
    ),
    _light(
        "desk lamp",
        "under one low lamp, the rest of the room in brown shadow",
        "tobacco, green glass and warm yellow / cognac, petrol blue and black",
        "studious and private / late, and wide awake",
        "night fire",
        "indoors",
    ),
    _light(
        "blinds",
        "striped by late sun through slatted blinds",
        "burnt orange, teak and smoke / apricot, navy and dust",
        "languid and cinematic / suspended, waiting for a call",
        "dusk sun",
        "indoors",
    ),
    _light(
        "two colours",
        "between two coloured lamps, magenta from one side and cyan from the other",
        "magenta, cyan and black / ultraviolet, hot pink and deep teal",
        "electric and nocturnal / strange and seductive",
        "night neon",
        "indoors",
    ),
    _light(
        "bounced light",
        "in soft light bounced off a pale wall, shadows barely there",
        "putty, eucalyptus and white / biscuit, faded rose and grey",
        "easy and natural / kind and unguarded",
        "day studio",
        "indoors",
    ),
    _light(
        "sun from above",
        "in shafts of sunlight slanting down from the surface",
        "aquamarine, deep blue and pale sand / jade, cobalt and silver",
        "weightless and serene / wondrous and wide",
        "day sun dawn",
        "underwater",
    ),
    _light(
        "open blue",
        "in even blue half-light, colour fading with distance",
        "ultramarine, slate and faint green / ink blue, pewter and milk white",
        "hushed and immense / lonely and slow",
        "day fog dusk",
        "underwater",
    ),
    _light(
        "dive lamp",
        "in the beam of a single lamp, particles glittering in black water",
        "black, emerald and warm white / deep navy, coral and silver",
        "tense and close / secret, never seen before",
        "night fire neon",
        "underwater",
    ),
    _light(
        "raw sunlight",
        "in raw, unfiltered sunlight, one side blazing and the other lost in black",
        "bone white, black and thin gold / chrome, copper and deep black",
        "stark and silent / precise and monumental",
        "day sun studio",
        "space",
    ),
    _light(
        "planet glow",
        "in blue light thrown back from a planet below",
        "cyan, graphite and cloud white / cold blue, titanium and black",
        "awed and far from home / quiet and weightless",
        "dawn dusk day",
        "space",
    ),
    _light(
        "nebula light",
        "against the faint coloured glow of a nebula, stars sharp beyond it",
        "violet, ember red and black / teal, rose and deep indigo",
        "vast and dreamlike / lonely and magnificent",
        "night fog neon",
        "space",
    ),
)
