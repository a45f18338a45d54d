"""What one running server holds; every route reaches it through the request."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from maquette.api.limits import RateLimits, Waiters
from maquette.api.metrics import Metrics
from maquette.services.feed import Feed
from maquette.services.studio import Studio
from maquette.services.thumbs import Thumbnails
from maquette.services.tokens import Tokens


@dataclass(frozen=True)
class Rules:
    """How this server behaves; made from the settings, by `app` alone."""

    multi_user: bool
    hosts: frozenset[str]
    origins: frozenset[str]
    secure_cookies: bool | None
    session_days: int
    token_minutes: int
    body_bytes: int
    upload_bytes: int
    parallel_uploads: int
    request_timeout_s: float
    archive_bytes: int = 16 * 1024**3
    roots: frozenset[Path] = frozenset()
    """Below which an administrator may put projects' roots, where people sign in."""


@dataclass
class House:
    """An open studio that answers requests."""

    studio: Studio
    rules: Rules
    feed: Feed
    limits: RateLimits
    tokens: Tokens = field(default_factory=Tokens)
    """Signs access tokens; a key of its own where nobody signs in."""
    metrics: Metrics = field(default_factory=Metrics)
    waiters: Waiters = field(default_factory=Waiters)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    uploads: asyncio.Semaphore = field(init=False)
    thumbnails: Thumbnails = field(init=False)

    def __post_init__(self) -> None:
        self.uploads = asyncio.Semaphore(self.rules.parallel_uploads)
        self.thumbnails = Thumbnails(self.studio)

    def stop(self) -> None:
        """Take nothing new; those who follow events are told to come back later."""
        self.stopping.set()
        self.feed.end()


def house_of(connection: HTTPConnection) -> House:
    """Return the house that serves a request or a WebSocket."""
    return cast("House", connection.app.state.house)


TheHouse = Annotated[House, Depends(house_of)]


def _studio(house: TheHouse) -> Studio:
    return house.studio


TheStudio = Annotated[Studio, Depends(_studio)]
