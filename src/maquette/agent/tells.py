"""What the tools tell: their answers, as data."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class ModelTold(BaseModel):
    """A model."""

    model: str
    title: str
    makes: list[str]
    state: str
    paid: bool
    price_usd: str | None
    """The most that one picture of its own size costs; None: it is priced by its request."""
    most_pictures_a_call: int
    most_references: int
    most_pixels: int
    takes_seed: bool
    takes_negative_prompt: bool
    options: list[str]
    shutdown: str | None
    successor: str | None


class ModelsTold(BaseModel):
    """The models."""

    models: list[ModelTold]


class PictureTold(BaseModel):
    """A picture that was made, or is there."""

    asset: str
    uri: str
    name: str
    kind: str
    media_type: str
    width_px: int
    height_px: int
    size_bytes: int
    selected: bool = False
    state: str | None = None


class PlanTold(BaseModel):
    """What would be sent, and the most that it costs."""

    tool: str
    project: str
    price_usd: str
    """The worst case; nothing is paid above it."""
    provider: str | None = None
    model: str | None = None
    mode: str | None = None
    size: str | None = None
    count: int = 1
    calls: int = 0
    notes: list[str] = []


class JobTold(BaseModel):
    """What was begun and how it stands, or what waits for a word."""

    state: str
    """`awaiting_confirmation`: nothing was sent; `declined`: a person said no; else the job's."""
    words: str
    project: str
    job: str | None = None
    run: str | None = None
    price_usd: str
    cost_usd: str | None = None
    confirmation: str | None = None
    expires_at: datetime | None = None
    plan: PlanTold | None = None
    pictures: list[PictureTold] = []
    usage: dict[str, int] = {}
    error_code: str | None = None
    error_message: str | None = None


class ParentTold(BaseModel):
    """A step up or down a picture's family."""

    asset: str
    kind: str
    name: str
    role: str


class FoundTold(PictureTold):
    """A picture of the library."""

    prompt: str
    model: str
    job: str | None
    tags: list[str]
    created_at: datetime
    cost_usd: str


class LibraryTold(BaseModel):
    """What was found; with one asset also what it was made from, and what was made of it."""

    project: str
    found: list[FoundTold]
    next: str | None = None
    made_from: list[ParentTold] = []
    made_into: list[ParentTold] = []
    files: list[str] = []


class UploadedTold(BaseModel):
    """A picture that is an asset now."""

    project: str
    picture: PictureTold
    duplicate_of: str | None


class ProjectTold(BaseModel):
    """A project."""

    slug: str
    name: str
    runs: int
    assets: int
    yours: bool
    """Used where a call names none."""


class ProjectsTold(BaseModel):
    """The projects that one is a member of."""

    projects: list[ProjectTold]


class CapTold(BaseModel):
    """A ceiling, and how full it is."""

    scope: Literal["installation", "day", "project", "you"]
    name: str
    limit_usd: str | None
    spent_usd: str
    held_usd: str
    left_usd: str | None
    """None: there is no ceiling."""


class SpendingTold(BaseModel):
    """What may still be spent."""

    stopped: bool
    why: str | None
    may_spend: bool
    """Whether this credential may."""
    caps: list[CapTold]
