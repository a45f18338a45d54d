"""The section `MAQUETTE_PROVIDERS__OPENAI__…` of the settings."""

from __future__ import annotations

import ipaddress
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator, model_validator

from maquette.core.wire import Limits
from maquette.providers.openai.profiles import ModelEntry

OPENAI_URL = "https://api.openai.com/v1"


class OpenAIConfig(BaseModel, frozen=True, extra="forbid"):
    """OpenAI itself, or any server that speaks its Images API."""

    base_url: str = OPENAI_URL
    key_name: str = Field(default="OPENAI_API_KEY", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The name under which the key is kept; never the key."""
    has_key: bool = False
    """Whether the installation has a key of that name; filled in by whoever reads the keys."""
    keyless: bool = False
    """A server on this machine that wants no key."""
    models: tuple[ModelEntry, ...] = ()
    """More models, or other words about shipped ones."""
    shipped_models: bool | None = None
    """Offer the shipped table too; unset: only with OpenAI's own address."""
    organization: str | None = None
    project: str | None = None
    limits: Limits = Limits()
    wait_s: float = Field(default=600.0, ge=360.0)
    """For an answer. A call given up too early is paid all the same."""

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write an address such as https://host/v1")
        if parts.username is not None or parts.password is not None:
            raise ValueError("put the key under key_name, not into the address")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _something_to_offer(self) -> Self:
        if not self.offers_shipped and not self.models:
            raise ValueError("base_url is not OpenAI's own, so say in `models` what it offers")
        return self

    @property
    def offers_shipped(self) -> bool:
        if self.shipped_models is None:
            return self.base_url == OPENAI_URL
        return self.shipped_models

    @property
    def is_loopback(self) -> bool:
        host = urlsplit(self.base_url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"
