"""What is said of a mask that comes from outside, and how it may be adjusted.

Inside there is one kind: 8 bits, one channel, 255 = edit, of exactly the picture's size.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

Polarity = Literal["transparent", "opaque", "white"]
"""What marks the part to edit in a file that somebody sends.

`transparent`: alpha 0, as OpenAI has it; `opaque`: alpha 255, as painted on an empty canvas;
`white`: the light parts of a grey picture.
"""

MOST_GROWN_PX = 256


class Adjust(BaseModel, frozen=True, extra="forbid"):
    """Changes to a mask, done in this order; the neutral values change nothing."""

    invert: bool = False
    """Edit what was kept, and keep what was edited."""
    grow_px: int = Field(default=0, ge=0, le=MOST_GROWN_PX)
    """Mark also what lies so near to a marked pixel."""
    shrink_px: int = Field(default=0, ge=0, le=MOST_GROWN_PX)
    """Unmark what lies so near to an unmarked pixel; the picture's border is none. With `grow_px`
    it closes gaps."""
    feather_px: float = Field(default=0.0, ge=0.0, le=256.0)
    """Width of a soft edge inside the marks."""

    @property
    def neutral(self) -> bool:
        return self == Adjust()
