"""The models of all providers, and what the other sides say of theirs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from pydantic import BaseModel, SecretStr, ValidationError

from maquette.core.errors import MaquetteError, UnknownPlugin
from maquette.core.provider import Listed, Provider
from maquette.core.registry import Registry
from maquette.core.requests import ModelProfile
from maquette.disk import write_durably

FILE = "models.json"
"""In the home: what `maquette models refresh` learnt."""


class Learnt(BaseModel, frozen=True, extra="forbid"):
    """What one provider's other side listed, and when."""

    asked_at: datetime
    models: tuple[Listed, ...]


@dataclass(frozen=True)
class ModelLine:
    """A model as it is listed."""

    provider: str
    model: str
    title: str
    modes: tuple[str, ...]
    state: str
    paid: bool
    most_pictures: int
    most_references: int
    options: tuple[str, ...]


def lines(providers: Registry[Provider], today: date, only: str | None = None) -> list[ModelLine]:
    """List every model of every provider, or of one."""
    if only is not None and only not in providers:
        raise UnknownPlugin(f"No provider is called {only!r}. There are: {', '.join(providers)}.")
    return [
        _line(name, profile, providers[name], today)
        for name in providers
        if name not in providers.broken and only in (None, name)
        for profile in providers[name].models()
    ]


def _line(name: str, profile: ModelProfile, provider: Provider, today: date) -> ModelLine:
    return ModelLine(
        provider=name,
        model=profile.id,
        title=profile.title,
        modes=tuple(sorted(profile.modes)),
        state=_state(profile, provider, today),
        paid=profile.paid,
        most_pictures=profile.max_count,
        most_references=profile.max_references,
        options=tuple(profile.options.model_fields),
    )


def _state(profile: ModelProfile, provider: Provider, today: date) -> str:
    if profile.shutdown is not None and profile.shutdown <= today:
        return f"gone since {profile.shutdown:%Y-%m-%d}, use {profile.successor or 'another'}"
    missing = provider.missing()
    if missing is not None:
        return f"not ready: {missing}"
    if profile.shutdown is not None:
        return f"ends {profile.shutdown:%Y-%m-%d}, then {profile.successor or 'another'}"
    return "ready"


def read(home: Path) -> dict[str, Learnt]:
    """Return what was learnt before; a damaged file is as good as none."""
    try:
        document: dict[str, object] = json.loads((home / FILE).read_text(encoding="utf-8"))
        return {name: Learnt.model_validate(one) for name, one in document.items()}
    except (OSError, ValueError, ValidationError, AttributeError):
        return {}


@dataclass(frozen=True)
class Answered:
    """What asking one provider's other side brought."""

    provider: str
    models: int = 0
    news: tuple[str, ...] = ()
    error: str | None = None


async def refresh(
    providers: Registry[Provider],
    home: Path,
    secret: Callable[[str], SecretStr],
    now: datetime,
    only: str | None = None,
) -> list[Answered]:
    """Ask every provider that is ready, for free; keep what each said."""
    if only is not None and only not in providers:
        raise UnknownPlugin(f"No provider is called {only!r}. There are: {', '.join(providers)}.")
    known = read(home)
    ready = [
        providers[name]
        for name in providers
        if only in (None, name) and providers[name].missing() is None
    ]
    answers = await asyncio.gather(*(_asked(one, secret) for one in ready))
    told: list[Answered] = []
    for provider, answer in zip(ready, answers, strict=True):
        if isinstance(answer, MaquetteError):
            told.append(Answered(provider.id, error=str(answer)))
        elif answer is not None:
            news = _news(known.get(provider.id), answer)
            told.append(Answered(provider.id, len(answer), tuple(news)))
            known[provider.id] = Learnt(asked_at=now, models=tuple(answer))
            provider.learn(answer)
    document = {name: one.model_dump(mode="json") for name, one in known.items()}
    text = json.dumps(document, indent=2) + "\n"
    await asyncio.to_thread(write_durably, home / FILE, text.encode(), scratch=home)
    return told


async def _asked(
    provider: Provider, secret: Callable[[str], SecretStr]
) -> Sequence[Listed] | MaquetteError | None:
    try:
        return await provider.listing(secret)
    except MaquetteError as error:
        return error


def _news(before: Learnt | None, after: Sequence[Listed]) -> list[str]:
    if before is None:
        return []
    old: Mapping[str, Listed] = {one.id: one for one in before.models}
    new = {one.id: one for one in after}
    came = [f"new: {name}" for name in new.keys() - old.keys()]
    went = [f"gone: {name}" for name in old.keys() - new.keys()]
    ends = [
        f"{name} ends {one.shutdown:%Y-%m-%d}"
        for name, one in new.items()
        if one.shutdown is not None and name in old and old[name].shutdown != one.shutdown
    ]
    return sorted(came) + sorted(went) + sorted(ends)
