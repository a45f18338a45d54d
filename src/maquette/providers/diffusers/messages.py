"""What crosses the pipe between us and the process that holds the model; plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from maquette.providers.diffusers.config import Device, Precision

Task = Literal["generate", "edit", "inpaint"]
Failure = Literal["unfit", "memory", "refused", "failed", "died"]
"""`unfit`: the pictures, the settings or the installation have to change; `refused`: the model's
own safety checker; `failed`: the pipeline raised; `died`: the process is gone."""


@dataclass(frozen=True)
class Order:
    """One picture, with all that decides it."""

    folder: str
    stamp: str
    """Of the folder's files: where they have changed, the model is loaded again."""
    variant: str | None
    half: Literal["float16", "bfloat16"]
    device: Device
    dtype: Precision
    threads: int | None
    task: Task
    prompt: str
    negative_prompt: str
    width_px: int
    height_px: int
    steps: int
    guidance: float
    strength: float
    seed: int
    preview_every_steps: int
    init: bytes | None = None
    mask: bytes | None = None


@dataclass(frozen=True)
class Stop:
    """Give the present order up."""


@dataclass(frozen=True)
class Ready:
    """The process is there and listens."""


@dataclass(frozen=True)
class Begun:
    """The order has been taken."""


@dataclass(frozen=True)
class Progress:
    """How far the order is."""

    fraction: float
    note: str = ""


@dataclass(frozen=True)
class Preview:
    """An unfinished picture, as JPEG."""

    index: int
    data: bytes


@dataclass(frozen=True)
class Made:
    """The picture, as PNG; what was adapted on the way; what made it."""

    data: bytes
    notes: tuple[str, ...]
    details: Mapping[str, str]


@dataclass(frozen=True)
class Failed:
    """There is no picture; the text says why and what to do."""

    kind: Failure
    text: str


@dataclass(frozen=True)
class Stopped:
    """The order was given up; after how many steps, where it had begun."""

    steps: int | None = None


News = Progress | Preview
End = Made | Failed | Stopped
