"""What people and programs send to have a mask found, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from maquette.core.errors import BadParameter
from maquette.core.masks import MOST_GROWN_PX, Adjust
from maquette.core.money import Usd
from maquette.core.pointing import MOST_POINTS, Pixel, Pointed, Side
from maquette.core.wanted import Wanted
from maquette.db.idempotency import Claim
from maquette.services.automask import Form
from maquette.services.ordering import Amount, Name
from maquette.services.starting import Spending
from maquette.services.wordmask import Way

Method = Literal["click", "sam", "background", "words"]
Point = tuple[Pixel, Pixel]
Grown = Annotated[int, Field(ge=0, le=MOST_GROWN_PX)]


class MaskWanted(Wanted):
    """A mask that is to be found; members that it does not know are refused."""

    method: Method | None = None
    """How it is found; left out, what else is sent tells."""
    points: tuple[Point, ...] = Field((), max_length=MOST_POINTS)
    """(x, y) on what is wanted, in pixels of the picture."""
    not_points: tuple[Point, ...] = Field((), max_length=MOST_POINTS)
    """(x, y) on what is not wanted."""
    box: tuple[Side, Side, Side, Side] | None = None
    """(left, top, right, bottom) around one thing."""
    backend: Annotated[str, Field(max_length=200)] = ""
    """Of `background`: who removes it; of `sam`: the model's name."""
    words: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    """What is to be marked, for an edit model to show; this may cost money."""
    model: Name | None = None
    """Of `words`: `provider:model`, one that edits pictures."""
    way: Way = "paint"
    """Of `words`: let the model paint the thing white, or erase it."""
    invert: bool = False
    grow_px: Grown = 0
    shrink_px: Grown = 0
    feather_px: Annotated[float, Field(ge=0, le=256, allow_inf_nan=False)] = 0.0
    format: Form = "mask"
    """`transparent`: the data URI is RGBA, clear where it is to be edited, as OpenAI has it."""
    data_uri: bool = False
    """Also give the mask itself; `format` transparent does so in any case."""
    max_spend_usd: Amount | None = None
    """Of `words`: refuse what may cost more."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        pointed = bool(self.points or self.not_points or self.box)
        told = {"click": pointed, "words": self.words is not None}
        said = [name for name, there in told.items() if there]
        if len(said) > 1:
            raise ValueError("send words, or points and a box; not both")
        if self.method is None and not (said or self.backend):
            raise ValueError("say what to mark: points, a box, words, or method background")
        wants = {"sam": "click"}.get(self.chosen, self.chosen)
        if wants in told and not told[wants]:
            raise ValueError(f"the method {self.chosen!r} needs {_NEEDS[wants]}")
        if said and said != [wants]:
            raise ValueError(f"the method {self.chosen!r} takes no {_NEEDS[said[0]]}")
        if self.backend and self.chosen in ("click", "words"):
            raise ValueError(f"the method {self.chosen!r} takes no backend")
        return self

    @property
    def machine(self) -> str:
        """Name what looks for clicks, as `sam:MODEL`."""
        return ":".join(filter(None, (self.chosen, self.backend)))

    @property
    def chosen(self) -> Method:
        if self.method is not None:
            return self.method
        if self.words is not None:
            return "words"
        return "click" if self.points or self.not_points or self.box else "background"

    def pointed(self) -> Pointed:
        return Pointed(points=self.points, not_points=self.not_points, box=self.box)

    def adjust(self) -> Adjust:
        return Adjust(
            invert=self.invert,
            grow_px=self.grow_px,
            shrink_px=self.shrink_px,
            feather_px=self.feather_px,
        )

    def spending(self, user_id: str | None, claim: Claim | None) -> Spending:
        """Return what it may cost: on this surface, calling is the confirmation."""
        limit = None if self.max_spend_usd is None else Usd(self.max_spend_usd)
        return Spending(True, limit, by=user_id, claim=claim)


_NEEDS: dict[Any, str] = {"click": "points or a box", "words": "words"}


def read(said: Mapping[str, Any]) -> MaskWanted:
    """Read what is wanted; raise `BadParameter` that names what is wrong."""
    try:
        return MaskWanted.model_validate(dict(said))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        words = first["msg"].removeprefix("Value error, ")
        raise BadParameter(
            f"{name or 'The request'} cannot be used: {words}.", param=name or None
        ) from None
