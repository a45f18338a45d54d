"""One frozen settings tree: defaults, `config.json`, `settings.toml`, `.env`, the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from platformdirs import user_data_path
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    JsonConfigSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from maquette.core import notice
from maquette.core.credits import CreditRules
from maquette.core.errors import BadParameter
from maquette.core.roles import RoleRules

PREFIX = "MAQUETTE_"


class WorkerSettings(BaseModel, frozen=True, extra="forbid"):
    """The processes that compute pixels."""

    count: int = Field(default=2, ge=1, le=64)
    timeout_s: float = Field(default=300, gt=0)
    memory_mb: int = Field(default=6144, ge=512)


class RetrySettings(BaseModel, frozen=True, extra="forbid"):
    """Calls that were not charged are made again, with patience."""

    tries: int = Field(default=5, ge=1, le=20)
    first_wait_s: float = Field(default=1.0, ge=0)
    longest_wait_s: float = Field(default=60.0, ge=0)


class NetSettings(BaseModel, frozen=True, extra="forbid"):
    """Outbound calls."""

    paid_calls: bool = True
    """Off: nothing but this machine is ever called."""
    private_hosts: frozenset[str] = frozenset()
    """Hosts in private address ranges that may be called."""
    connect_timeout_s: float = Field(default=10.0, gt=0)
    longest_wait_s: float = Field(default=600.0, ge=360)
    most_mb: int = Field(default=256, ge=1)


class ServerSettings(BaseModel, frozen=True, extra="forbid"):
    """`maquette serve`."""

    auth: Literal["single", "multi"] = "single"
    """`single`: no login, on loopback only. `multi`: people sign in."""
    hosts: frozenset[str] = frozenset()
    """Host names besides the loopback's that requests may be addressed to."""
    origins: frozenset[str] = frozenset()
    """Origins of other sites whose pages may call the API, as `https://studio.example`."""
    roots: frozenset[Path] = frozenset()
    """In multi-user mode: folders below which an administrator may put a project's root."""
    secure_cookies: bool | None = None
    """Unset: wherever the request came over HTTPS."""
    session_days: int = Field(default=30, ge=1, le=365)
    token_minutes: int = Field(default=15, ge=1, le=24 * 60)
    per_minute: int = Field(default=600, ge=1)
    """Requests of one caller; `/health` and `/metrics` do not count."""
    logins_per_minute: int = Field(default=10, ge=1)
    """Tries to sign in, by address."""
    body_kb: int = Field(default=1024, ge=16)
    """The largest JSON body."""
    upload_mb: int = Field(default=50, ge=1)
    archive_mb: int = Field(default=16 * 1024, ge=1)
    """The largest archive of a project that may be sent for importing."""
    parallel_uploads: int = Field(default=8, ge=1)
    request_timeout_s: float = Field(default=120, gt=0)
    trash_days: int = Field(default=30, ge=1)
    grace_s: float = Field(default=30, ge=0)
    """How long a stopping server waits for answers on their way."""


class Settings(BaseSettings):
    """What can be set for an installation."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        extra="ignore",
        frozen=True,
    )

    home: Path = Field(default_factory=lambda: user_data_path("maquette"))
    """Holds the database, the key file and `settings.toml`."""
    database_url: SecretStr | None = None
    """Postgres for many machines; unset: SQLite in the home."""
    weights: Path | None = None
    """Where models lie that a person put there or asked for; unset: `weights` in the home."""
    storage: str = "local"
    s3: dict[str, Any] = {}
    """The bucket of the store `s3`; it checks its own section."""
    show_files: Literal["auto", "link", "copy"] = "auto"
    timezone: str | None = None
    """Whose calendar day the daily cap counts by; unset: this machine's."""
    parallel_jobs: int = Field(default=4, ge=1, le=256)
    plugins: str | None = None
    """Only these plugins are loaded, comma separated; unset: all."""
    workers: WorkerSettings = WorkerSettings()
    net: NetSettings = NetSettings()
    providers: dict[str, dict[str, Any]] = {}
    """Sections by provider id; each provider checks its own."""
    language: dict[str, Any] = {}
    """The language model; it checks its own section, as providers do."""
    speech: dict[str, Any] = {}
    """Listening and speaking by a service; so does this."""
    retries: RetrySettings = RetrySettings()
    server: ServerSettings = ServerSettings()
    credits: CreditRules = CreditRules()
    """Whether people pay for what they spend; the keys for that are no settings."""
    roles: RoleRules = RoleRules()
    """What people of a role may ask for at most."""
    alert_url: SecretStr | None = None
    """Told when a cap fills up; its path is often a secret."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto`: for people where standard error is a terminal, else JSON lines."""
    agent_url: str | None = None
    """Where dispatched instructions are sent; `MAQUETTE_AGENT_URL`, or the seed's names."""
    agent_token: SecretStr | None = None

    @field_validator("alert_url")
    @classmethod
    def _can_be_told(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            if value is not None:
                notice.checked(value.get_secret_value())
        except BadParameter as error:
            raise ValueError(str(error).rstrip(".")) from None
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                ZoneInfo(value)
        except (KeyError, ValueError):
            raise ValueError(
                f"no timezone is called {value!r}; write one like Europe/Madrid"
            ) from None
        return value

    @property
    def zone(self) -> ZoneInfo | None:
        return None if self.timezone is None else ZoneInfo(self.timezone)

    @property
    def weights_folder(self) -> Path:
        return self.weights or self.home / "weights"

    @property
    def url(self) -> str:
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home / 'app.db'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = Path(str(_home(init_settings, env_settings, dotenv_settings)))
        toml = TomlConfigSettingsSource(settings_cls, toml_file=home / "settings.toml")
        json = JsonConfigSettingsSource(settings_cls, json_file=home / "config.json")
        return (init_settings, env_settings, dotenv_settings, toml, json)


def _home(*sources: PydanticBaseSettingsSource) -> object:
    for source in sources:
        given: dict[str, Any] = source()
        if "home" in given:
            return given["home"]
    return user_data_path("maquette")


def load(**overrides: Any) -> Settings:
    """Read the settings; name a wrong one by the variable that sets it."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + "__".join(str(part) for part in first["loc"]).upper()
        raise BadParameter(f"The setting {name} is wrong: {first['msg']}.") from None


def secret(name: str) -> SecretStr | None:
    """Return a key from the environment, else from `.env`; never logged, never shown."""
    value = os.environ.get(name) or dotenv_values(".env").get(name)
    return SecretStr(value) if value else None


def origins(settings: Settings) -> dict[str, str]:
    """Say for each top-level setting whether a person set it."""
    return {
        name: "set" if name in settings.model_fields_set else "default"
        for name in type(settings).model_fields
    }
