"""The section `MAQUETTE_PROVIDERS__A1111__…` of the settings."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator

from maquette.core.wire import Limits
from maquette.providers.a1111.sizes import LEAST_PX, MOST_PX, STEP_PX

SECTION = "MAQUETTE_PROVIDERS__A1111__"
CURRENT = "current"
"""The model that is whatever checkpoint the server has loaded."""
MOST_PICTURES = 8

_Side = Annotated[int, Field(ge=LEAST_PX, le=MOST_PX, multiple_of=STEP_PX)]


class A1111Config(BaseModel, frozen=True, extra="forbid"):
    """One server that speaks the API of the Stable Diffusion web UI."""

    base_url: str | None = None
    """Such as `http://127.0.0.1:7860`; unset: there is no server."""
    user: str | None = Field(default=None, min_length=1)
    """For a server that was started with `--api-auth`; the password is kept under `key_name`."""
    key_name: str = Field(default="A1111_PASSWORD", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The name under which the password is kept; never the password."""
    has_key: bool = False
    """Whether the installation has a key of that name; filled in by whoever reads the keys."""
    models: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Checkpoints to offer besides those that the server lists."""
    default_size: tuple[_Side, _Side] = (1024, 1024)
    """What `auto` means where there is no source picture: the dialect has no size of its own."""
    max_count: int = Field(default=MOST_PICTURES, ge=1, le=MOST_PICTURES)
    """Pictures of one call; 1 for a server that knows no batches."""
    limits: Limits = Limits(concurrent=1)
    wait_s: float = Field(default=600.0, ge=360.0)
    """For an answer, which comes when the last picture is done."""

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write an address such as http://127.0.0.1:7860")
        if parts.username is not None or parts.password is not None:
            raise ValueError("put user and key_name into their settings, not into the address")
        if parts.query or parts.fragment:
            raise ValueError("write an address without a query")
        return value.rstrip("/").removesuffix("/sdapi/v1")

    @field_validator("user")
    @classmethod
    def _one_name(cls, value: str | None) -> str | None:
        if value is not None and (":" in value or not value.isprintable()):
            raise ValueError("write the user alone; the password goes under key_name")
        return value

    @field_validator("models")
    @classmethod
    def _not_the_current(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if CURRENT in value:
            raise ValueError(f"{CURRENT!r} is always offered; it cannot name a checkpoint")
        return value
