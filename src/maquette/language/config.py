"""The section `MAQUETTE_LANGUAGE__…` of the settings."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator, model_validator

OPENAI_URL = "https://api.openai.com/v1"
LM_STUDIO_URL = "http://localhost:1234/v1"

Rate = Decimal
_RATE = Field(ge=0, allow_inf_nan=False)


class TokenPrice(BaseModel, frozen=True, extra="forbid"):
    """Dollars per million tokens, with the day and the page they were taken from."""

    input: Rate = _RATE
    output: Rate = _RATE
    input_cached: Rate | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Unset: as dear as the rest of the input."""
    date: date
    source: str = Field(min_length=1)


class LanguageConfig(BaseModel, frozen=True, extra="forbid"):
    """A server that speaks OpenAI's chat completions: LM Studio, Ollama, OpenAI and many more."""

    base_url: str = LM_STUDIO_URL
    model: str = ""
    """Empty: no language model is configured, and the embedded writer and analyser do the work."""
    key_name: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The name under which the key is kept; never the key. OpenAI's own address has a default."""
    has_key: bool = False
    """Whether a key of that name is set; filled in by whoever reads the keys."""
    keyless: bool | None = None
    """No key is sent. Unset: so it is on this machine, where no `key_name` is given."""
    vision: bool = False
    """The model takes pictures."""
    free: bool = False
    """Calls cost nothing, as on a machine of one's own."""
    price: TokenPrice | None = None
    """Without it, and where the model is not free, every call is refused."""
    input_image_tokens: int = Field(default=50_000, ge=1)
    """The most tokens that one picture counts for. The default is above every published rule for
    2048 px (not confirmed by a call); less reserves less: take it from the model's page."""
    max_output_tokens: int = Field(default=4096, ge=16, le=1_000_000)
    output_limit_name: Literal["max_tokens", "max_completion_tokens"] | None = None
    """How the server calls that limit; unset: the newer word at OpenAI's own address only, whose
    newer models refuse the older one (by issue threads), while local servers document that."""
    wait_s: float = Field(default=360.0, ge=120.0)
    """For an answer. A model that must be loaded first takes minutes."""

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write an address such as http://localhost:1234/v1")
        if parts.username is not None or parts.password is not None:
            raise ValueError("put the key under key_name, not into the address")
        if parts.query or parts.fragment:
            raise ValueError("write the address without a query")
        return value.rstrip("/")

    @model_validator(mode="before")
    @classmethod
    def _known_key(cls, data: Any) -> Any:
        """Name OpenAI's key for OpenAI's address alone: no other server may be shown it unasked."""
        if not isinstance(data, Mapping):
            return data
        given = cast("Mapping[str, Any]", data)
        if str(given.get("base_url", "")).rstrip("/") != OPENAI_URL:
            return given
        return {"key_name": "OPENAI_API_KEY", **given}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.free and self.price is not None:
            raise ValueError("a model is free or has a price, not both")
        if self.sends_key and self.key_name is None:
            raise ValueError("say in key_name under which name its key is kept, or set keyless")
        return self

    @property
    def sends_key(self) -> bool:
        if self.keyless is not None:
            return not self.keyless
        return self.key_name is not None or not self.is_loopback

    @property
    def is_loopback(self) -> bool:
        host = urlsplit(self.base_url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def limit_name(self) -> str:
        own = "max_completion_tokens" if self.base_url == OPENAI_URL else "max_tokens"
        return self.output_limit_name or own
