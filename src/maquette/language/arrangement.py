"""Framings, compositions and last words of the embedded prompt writer: plain data."""

from __future__ import annotations

from dataclasses import dataclass

from maquette.language.vocabulary import Kind, Scale


@dataclass(frozen=True)
class Framing:
    """A distance and a lens."""

    phrase: str
    scale: Scale
    kinds: frozenset[Kind]


def _framing(scale: Scale, kinds: str, phrase: str) -> Framing:
    known: dict[str, Kind] = {
        "person": "person",
        "creature": "creature",
        "object": "object",
        "interior": "interior",
        "city": "city",
        "place": "place",
    }
    return Framing(phrase, scale, frozenset(known[one] for one in kinds.split()))


FRAMINGS = (
    _framing("near", "person", "waist-up portrait on an 85 mm lens, eyes sharp, background soft"),
    _framing("near", "person", "close-up on a 100 mm lens, the face filling most of the frame"),
    _framing("near", "person", "profile on a 135 mm lens, its outline clear against calm ground"),
    _framing("middle", "person", "three-quarter figure on a 50 mm lens at eye level"),
    _framing("middle", "person", "candid frame on a 40 mm lens, caught between two movements"),
    _framing("middle", "person", "from slightly below on a 35 mm lens, the figure standing tall"),
    _framing("far", "person", "full figure on a 35 mm lens, the surroundings telling half of it"),
    _framing("far", "person", "small figure in a wide 24 mm view, the scale of the place felt"),
    _framing("near", "creature", "close portrait on a 200 mm lens, the eye perfectly sharp"),
    _framing("near", "creature", "at its own eye level on a 135 mm lens, background melting away"),
    _framing("middle", "creature", "whole animal on an 85 mm lens, caught in mid-movement"),
    _framing("middle", "creature", "from the side on a 70 mm lens, stance and outline clear"),
    _framing(
        "far", "creature", "in its surroundings on a 35 mm lens, noticed only at second glance"
    ),
    _framing("far", "creature", "low and wide on a 24 mm lens, the near ground out of focus"),
    _framing(
        "near", "object", "close view on a 100 mm macro lens, focus on a single telling detail"
    ),
    _framing(
        "near", "object", "three-quarter view on a 90 mm lens, front edge sharp, the rest soft"
    ),
    _framing("middle", "object", "straight on at table height with an 80 mm lens"),
    _framing("middle", "object", "from directly above on a 50 mm lens, laid out like a page"),
    _framing("middle", "object", "at forty-five degrees on a 70 mm lens, as one sees it in use"),
    _framing("far", "object", "small within its room on a 35 mm lens, used and at home there"),
    _framing("near", "interior", "one telling corner on a 50 mm lens, the rest implied"),
    _framing("middle", "interior", "straight-on view on a 35 mm lens, verticals true"),
    _framing("middle", "interior", "seen from the doorway on a 28 mm lens, half inside already"),
    _framing("far", "interior", "whole room on a 20 mm lens from hip height, lines calm and true"),
    _framing(
        "far", "interior", "from a high corner on a 24 mm lens, the plan of the room readable"
    ),
    _framing("near", "city", "a detail on an 85 mm lens, the rest of it only suggested"),
    _framing("middle", "city", "at street level on a 35 mm lens, a step away from the scene"),
    _framing("middle", "city", "compressed by a 135 mm lens, planes stacked one behind another"),
    _framing("middle", "city", "from a first-floor window on a 50 mm lens, looking slightly down"),
    _framing("far", "city", "wide 24 mm view from low down, lines running to one vanishing point"),
    _framing("far", "city", "from high above on a 35 mm lens, the pattern of it clear"),
    _framing(
        "near", "place", "intimate detail on an 85 mm lens, one texture standing for the whole"
    ),
    _framing("middle", "place", "natural view on a 40 mm lens from standing height"),
    _framing("middle", "place", "compressed by a 200 mm lens, distant layers drawn together"),
    _framing("far", "place", "wide 20 mm view from low ground, sharp from the near to the far"),
    _framing("far", "place", "sweeping 28 mm view from a rise, distance fading in steps"),
    _framing("far", "place", "from the air, looking obliquely down, shapes becoming pattern"),
)

ANY_KIND: tuple[tuple[Scale, str], ...] = (
    ("near", "close view on a 90 mm lens, focus on what matters, the rest soft"),
    ("near", "tight three-quarter view on an 85 mm lens"),
    ("middle", "at eye level on a 50 mm lens, close enough to take part"),
    ("middle", "from slightly below on a 35 mm lens, the subject given weight"),
    ("far", "wide view on a 24 mm lens, the subject held within its surroundings"),
    ("far", "from above on a 35 mm lens, the arrangement clear at a glance"),
)
"""Framings for what was not recognised."""

DRAWN: tuple[tuple[Scale, str], ...] = (
    ("near", "seen close, the subject filling most of the sheet"),
    ("near", "close view, edges lost where they do not matter"),
    ("middle", "from a few steps away, at eye level"),
    ("middle", "from slightly below, the subject given weight"),
    ("middle", "from above, at a quiet angle"),
    ("far", "broad view, the subject held within its surroundings"),
    ("far", "distant view, large simple shapes first"),
)
"""Framings without lenses."""

COMPOSITIONS: tuple[tuple[str, str], ...] = (
    ("near middle far", "the main subject on the left third, with open space beside it"),
    ("near middle far", "the main subject on the right third, balanced by something smaller"),
    ("near middle far", "centred and nearly symmetrical, with generous margins"),
    ("middle far", "framed by a dark, out-of-focus shape in the foreground"),
    ("middle far", "a strong diagonal leads from the lower corner to the subject"),
    ("middle far level", "placed low in the frame under a wide and empty upper half"),
    ("middle far level", "foreground, middle and distance clearly separated"),
    ("near", "a tight crop that lets two edges cut into the subject"),
    ("near", "against a quiet part of the background, the outline doing the work"),
    ("near middle", "one curve carries the eye once round and back again"),
    ("far", "very small in the frame, surrounded by negative space"),
    ("far", "repeated shapes set a rhythm that the subject breaks"),
)
"""For which scales, and `level` where it makes no sense seen from above."""

PHOTO_FINISH = (
    "natural texture, fine detail and a gentle film grain",
    "crisp where it is in focus, with a slow and creamy fall-off",
    "true-to-life materials, highlights held and shadows open",
    "the restrained contrast of negative film",
    "high micro-contrast, no visible retouching",
    "rich blacks, clean highlights, a print one could hang",
    "soft contrast and slightly faded tones, like a well-kept print",
    "documentary honesty, nothing staged",
)

DRAWN_FINISH: dict[str, tuple[str, ...]] = {
    "oil": (
        "visible brushwork, thick paint in the lights and thin glazes in the shadows",
        "broken colour laid wet into wet, edges now lost and now found",
        "a warm ground showing through, few and decided strokes",
    ),
    "water": (
        "transparent washes, soft edges and bare paper for the lights",
        "wet-into-wet blooms held by a few crisp dark strokes",
        "a limited set of pigments, granulating gently in the shadows",
    ),
    "line": (
        "confident lines of varying weight, a few areas of solid black",
        "patient hatching that follows the form, paper left white in the light",
        "an economical line, with detail only where the eye should rest",
    ),
    "render": (
        "physically plausible materials, soft global illumination, fine surface detail",
        "clean bevels catching the light, subtle wear on every edge",
        "studio-quality shading, gentle depth of field",
    ),
    "graphic": (
        "clear shapes, considered edges and a limited palette",
        "flat areas of colour with a few well-placed textures",
        "a strong silhouette that reads even when it is small",
    ),
}

ACCENTS = (
    "the background is kept simple",
    "one small imperfection makes it believable",
    "textures look close enough to touch",
    "nothing in it is there by chance",
    "the eye is led in slowly",
    "there is air around everything",
    "the nearest detail is the sharpest",
    "depth is shown by overlapping shapes",
    "the quiet parts stay quiet",
    "one accent is brighter than all the rest",
    "edges soften towards the corners",
    "it feels observed rather than arranged",
    "scale is made clear by something familiar",
    "every shadow keeps a trace of colour",
    "a single gesture holds it together",
    "it rewards a second look",
    "the silhouette alone would tell the story",
    "surfaces show their age",
    "movement is suggested, not shown",
    "the light touches the subject first",
    "warm and cool meet along one line",
    "the horizon, if there is one, is level",
    "foreground detail gives way to calm",
    "the largest shape is also the simplest",
    "contrast is highest where it matters",
    "the colours are few and deliberate",
)
"""Last words for scenes that leave nothing else open."""

NEGATIVE = "watermark, signature, border, low resolution, compression artefacts"
NEGATIVE_LETTERS = "text, lettering"
"""Left out where the idea asks for words."""
NEGATIVE_KIND: dict[str, str] = {
    "person": "distorted hands, extra fingers, waxy skin",
    "creature": "extra limbs, distorted anatomy, matted blur",
    "object": "warped geometry, floating parts, melted edges",
    "interior": "tilted verticals, impossible furniture, warped perspective",
    "city": "warped perspective, melted architecture, illegible signs",
    "place": "oversaturated colours, halos along the horizon, repeated textures",
}
NEGATIVE_PHOTO = "illustration, 3D render, plastic look, heavy HDR"
NEGATIVE_DRAWN = "photograph, muddy colours, stray lines"
