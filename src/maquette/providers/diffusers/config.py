"""The section `MAQUETTE_PROVIDERS__DIFFUSERS__…` of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from maquette.core.wire import Limits

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "float16", "bfloat16"]

WEIGHTS_SETTING = "MAQUETTE_PROVIDERS__DIFFUSERS__WEIGHTS"


class DiffusersConfig(BaseModel, frozen=True, extra="forbid"):
    """Where the models lie, and what computes them."""

    weights: Path | None = None
    """A folder whose sub-folders are models, each with a `model_index.json`."""
    device: Device = "auto"
    """`auto`: CUDA where torch sees it, else Apple's MPS, else the processor."""
    dtype: Precision = "auto"
    """`auto`: float32 on the processor, else the half precision of the model's family."""
    threads: int | None = Field(default=None, ge=1)
    """Of the processor; unset: as many as torch takes. Another number, other last bits."""
    limits: Limits = Limits(concurrent=1)
    steps: int = Field(default=30, ge=1, le=150)
    """Where an order names none."""
    preview_every_steps: int = Field(default=5, ge=0)
    """How often an unfinished picture is shown; 0: never."""
    idle_unload_s: float = Field(default=300.0, ge=0)
    """After this long without a call the model leaves memory; 0: it stays."""
