"""What a person may ask for: the limits of their role, and how strictly a model may moderate.

Every surface asks here before it prices a wish, and every run once more before it is written, so
that no way to a model goes around it. The command line has nobody and may everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import BadParameter, ModerationNotAllowed, RoleLimited, UnknownPlugin
from maquette.core.language import EMBEDDED
from maquette.core.people import Role
from maquette.core.pipeline import JobSpec
from maquette.core.requests import ImageRequest, Input, Size
from maquette.core.roles import RoleLimits
from maquette.db import purchases
from maquette.db.tables import User
from maquette.jobs import backends
from maquette.jobs.backends import Called
from maquette.services.studio import Studio

_WAY_OUT = "An administrator can give you another role, or raise what yours allows"


@dataclass(frozen=True)
class _Question:
    """What the limits are asked about one request."""

    provider: str
    model: str
    pictures: int
    pixels: int
    """At most: what the model may make where the size is left to it."""
    moderation: object = None


async def check(studio: Studio, user_id: str | None, specs: Sequence[JobSpec]) -> None:
    """Refuse work that its person's role does not allow; nothing of it is written."""
    await _ask(studio, user_id, [one for spec in specs for one in _questions(studio, spec)])


async def check_words(studio: Studio, user_id: str | None, provider: str, model: str) -> None:
    """Refuse a call of a language or speech model; what is built in is for everybody."""
    if model != EMBEDDED:
        await _ask(studio, user_id, [_Question(provider, model, 1, 0)])


def _questions(studio: Studio, spec: JobSpec) -> list[_Question]:
    """Ask about the model, and about the providers that go on with its picture."""
    found: list[_Question] = []
    pixels = 0 if spec.source is None else _pixels("source", _size_of(spec.source), 0)
    if spec.request is not None:
        found.append(_of_request(studio, spec.request, spec.candidates))
        pixels = found[0].pixels
    background = spec.post.background
    if background is None:
        return found
    for one in background.backends:
        with suppress(UnknownPlugin, BadParameter):  # nothing has that name, so nothing is asked
            backend = backends.background(studio.shop, one)
            if isinstance(backend, Called):
                found.append(_Question(backend.provider, backend.model, 1, pixels))
    if background.refine.wanted and background.refine.model:
        provider, _, model = background.refine.model.partition(":")
        moderation = background.refine.options.get("moderation")
        found.append(_Question(provider, model, 1, pixels, moderation))
    return found


def _of_request(studio: Studio, request: ImageRequest, candidates: int) -> _Question:
    first = next((one for one in request.inputs if one.role == "init"), None)
    source = None if first is None else _size_of(first)
    provider = studio.shop.providers.get(request.provider)
    profiles = () if provider is None else provider.models()
    most = next((one.max_pixels for one in profiles if one.id == request.model), 0)
    return _Question(
        request.provider,
        request.model,
        candidates,
        _pixels(request.size, source, most),
        request.options.get("moderation"),
    )


def _size_of(picture: Input) -> tuple[int, int]:
    return (picture.width_px or 0, picture.height_px or 0)


def _pixels(size: Size, source: tuple[int, int] | None, most: int) -> int:
    if size == "source" and source is not None:
        return source[0] * source[1]
    return most if isinstance(size, str) else size[0] * size[1]


async def _ask(studio: Studio, user_id: str | None, questions: Sequence[_Question]) -> None:
    if user_id is None or not questions:
        return
    async with studio.shop.db.read() as session:
        person = await session.get(User, user_id)
        if person is None:
            return
        limits = studio.roles.of(Role(person.role))
        for question in questions:
            _check_limits(person.role, limits, question)
        if any(one.moderation == "low" for one in questions):
            await _check_moderation(session, person)


def _check_limits(role: str, limits: RoleLimits, asked: _Question) -> None:
    setting = f"MAQUETTE_ROLES__{role.upper()}__"
    if not limits.allows(asked.provider, asked.model):
        raise RoleLimited(
            f"The role {role!r} may not use the model {asked.model!r}; nothing was sent. "
            f"{_WAY_OUT} ({setting}MODELS).",
            limit="models",
        )
    if limits.pictures is not None and asked.pictures > limits.pictures:
        raise RoleLimited(
            f"The role {role!r} may ask for {limits.pictures} pictures at once, not "
            f"{asked.pictures}; nothing was sent. {_WAY_OUT} ({setting}PICTURES).",
            limit="pictures",
        )
    if limits.pixels is not None and asked.pixels > limits.pixels:
        raise RoleLimited(
            f"The role {role!r} may ask for pictures of {limits.pixels:,} pixels, and this one may "
            f"have {asked.pixels:,}; nothing was sent. Name a smaller size. {_WAY_OUT} "
            f"({setting}PIXELS).",
            limit="pixels",
        )


async def _check_moderation(session: AsyncSession, person: User) -> None:
    if person.role == Role.ADMIN or person.verified or await purchases.has_paid(session, person.id):
        return
    raise ModerationNotAllowed(
        "moderation 'low' is for people who are verified or have bought credits; nothing was "
        "sent. Leave it at 'auto'. An administrator can verify your account."
    )
