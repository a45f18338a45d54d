"""The section `MAQUETTE_PROVIDERS__PHOTOROOM__…` of the settings."""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator

from maquette.core.wire import Limits

KEY_NAME = "PHOTOROOM_API_KEY"
PRICE_READ = MappingProxyType(
    {"as_of": "2026-11-20", "source": "Photoroom's public price of the Basic plan"}
)
"""When and where the default price was read."""


class PhotoroomConfig(BaseModel, frozen=True, extra="forbid"):
    """Photoroom's service that removes backgrounds."""

    base_url: str = "https://sdk.photoroom.com"
    key_name: str = Field(default=KEY_NAME, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The name under which the key is kept; never the key."""
    has_key: bool = False
    """Whether the installation has a key of that name; filled in by whoever reads the keys."""
    price_usd: Decimal = Field(default=Decimal("0.02"), gt=0, le=1000)
    """Of one picture. The default is the price of the public Basic plan, about $0.02 on
    2026-11-20; no answer says what was charged, so write here what your plan costs."""
    doubtful_above: float = Field(default=0.5, ge=0, le=1)
    """The uncertainty above which a cutout counts as doubtful. The limit is ours: the service's
    pages call 0 to 0.3 low and 0.6 to 1 high, and warn that scores may change with time."""
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
