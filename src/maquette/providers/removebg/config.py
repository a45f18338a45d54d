"""The section `MAQUETTE_PROVIDERS__REMOVEBG__…` of the settings."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator

from maquette.core.wire import Limits

KEY_NAME = "REMOVE_BG_API_KEY"
PRICE_SETTING = "MAQUETTE_PROVIDERS__REMOVEBG__USD_PER_CREDIT"


class RemoveBgConfig(BaseModel, frozen=True, extra="forbid"):
    """The service remove.bg."""

    base_url: str = "https://api.remove.bg"
    key_name: str = Field(default=KEY_NAME, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The name under which the key is kept; never the key."""
    has_key: bool = False
    """Whether the installation has a key of that name; filled in by whoever reads the keys."""
    usd_per_credit: Decimal | None = Field(default=None, gt=0, le=1000)
    """What one credit costs. Plans differ severalfold, so there is no default: unset, every call
    is refused."""
    limits: Limits = Limits()
    wait_s: float = Field(default=120.0, ge=60.0)
    """For an answer. A call given up too early is paid all the same."""

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        parts = urlsplit(value)
        odd = parts.query or parts.fragment
        if parts.scheme not in ("http", "https") or not parts.hostname or odd:
            raise ValueError("write an address such as https://host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("put the key under key_name, not into the address")
        return value.rstrip("/")
