"""The section `MAQUETTE_SPEECH__…` of the settings."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator, model_validator

OPENAI_URL = "https://api.openai.com/v1"

_Rate = Field(default=None, ge=0, allow_inf_nan=False)


class SpeechPrice(BaseModel, frozen=True, extra="forbid"):
    """Dollars for a model, with the day and the page they were taken from."""

    per_minute: Decimal | None = _Rate
    """Of audio that is written down."""
    per_million_characters: Decimal | None = _Rate
    """Of text that is spoken."""
    date: date
    source: str = Field(min_length=1)


class SpeechConfig(BaseModel, frozen=True, extra="forbid"):
    """A server that speaks OpenAI's audio API: OpenAI itself, or one on a machine of one's own."""

    base_url: str = OPENAI_URL
    key_name: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The name under which the key is kept; never the key. OpenAI's own address has a default."""
    has_key: bool = False
    """Whether a key of that name is set; filled in by whoever reads the keys."""
    keyless: bool | None = None
    """No key is sent. Unset: so it is on this machine, where no `key_name` is given."""
    listen_model: str = ""
    """What writes speech down; OpenAI's own address has a default."""
    speak_model: str = ""
    """What speaks; OpenAI's own address has a default."""
    voice: str = Field(default="alloy", min_length=1)
    speak_format: Literal["mp3", "wav", "flac", "opus"] = "mp3"
    free: bool = False
    """Calls cost nothing, as on a machine of one's own."""
    prices: Mapping[str, SpeechPrice] = {}
    """By model. Without one, and where the server is not free, every call is refused."""
    wait_s: float = Field(default=180.0, ge=30.0)
    """For an answer. A call given up too early is paid all the same."""

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write an address such as https://host/v1")
        if parts.username is not None or parts.password is not None:
            raise ValueError("put the key under key_name, not into the address")
        if parts.query or parts.fragment:
            raise ValueError("write the address without a query")
        return value.rstrip("/")

    @model_validator(mode="before")
    @classmethod
    def _openai(cls, data: Any) -> Any:
        """Name OpenAI's key and models for OpenAI's address alone: no other is shown the key."""
        if not isinstance(data, Mapping):
            return data
        given = cast("Mapping[str, Any]", data)
        if str(given.get("base_url", OPENAI_URL)).rstrip("/") != OPENAI_URL:
            return given
        own = {"listen_model": "gpt-transcribe", "speak_model": "tts-1"}
        return {"key_name": "OPENAI_API_KEY", **own, **given}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.free and self.is_openai:
            raise ValueError("OpenAI's own address is not free")
        if self.free and self.prices:
            raise ValueError("the server is free or its models have prices, not both")
        if self.sends_key and self.key_name is None:
            raise ValueError("say in key_name under which name its key is kept, or set keyless")
        return self

    @property
    def is_openai(self) -> bool:
        return self.base_url == OPENAI_URL

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
