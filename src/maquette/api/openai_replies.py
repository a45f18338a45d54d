"""Pictures as OpenAI's clients expect them: whole replies, and the events of a stream."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Literal

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel

from maquette.api import problems
from maquette.api.house import House
from maquette.api.openai_body import NewImages
from maquette.core.errors import MaquetteError, ObjectNotFound
from maquette.core.requests import Encoded
from maquette.db.tables import Event
from maquette.services import delivering, outcome, partials, results
from maquette.services.outcome import Again
from maquette.services.rejoining import Standing
from maquette.services.results import Picture, Result

Action = Literal["image_generation", "image_edit"]


class TokensByKind(BaseModel):
    """Tokens of one side, by what they stand for."""

    text_tokens: int
    image_tokens: int


class TokensUsed(BaseModel):
    """What the calls of a request used, as their provider counted it."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: TokensByKind | None = None
    output_tokens_details: TokensByKind | None = None


class ImageMade(BaseModel):
    """One picture, as `response_format` says."""

    b64_json: str | None = None
    url: str | None = None
    """An address on this server; where people sign in, it wants the same key."""


class ImagesMade(BaseModel):
    """The pictures of a request; what a provider does not tell is left out."""

    created: int
    data: list[ImageMade]
    background: str | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    quality: str | None = None
    size: str | None = None
    usage: TokensUsed | None = None
    safety_identifier: str | None = None


async def whole(house: House, result: Result, body: NewImages, address: str) -> bytes:
    """Write the reply to a request; `address` is where its project's assets are."""
    by_url = body.response_format == "url"
    made: list[ImageMade] = []
    kinds: list[str] = []
    for one in result.final:
        if by_url:
            made.append(ImageMade(url=f"{address}/{one.asset.id}/file"))
            kinds.append(one.blob.media_type)
        else:
            encoded = await delivering.picture(house.studio, result, one)
            made.append(ImageMade(b64_json=_base64(encoded)))
            kinds.append(encoded.media_type)
    first = result.final[0]
    document = ImagesMade.model_validate(
        {
            "created": _created(first),
            "data": made,
            "background": _said(first, "background"),
            "output_format": _format(kinds[0]),
            "quality": _said(first, "quality"),
            "size": _size_of(first),
            "usage": used(result),
            "safety_identifier": body.who,
        }
    )
    return document.model_dump_json(exclude_none=True).encode()


def used(result: Result) -> TokensUsed | None:
    """Sum up what the calls of a job used; None where their provider does not say."""
    count = result.usage
    if "input_tokens" not in count or "output_tokens" not in count:
        return None
    return TokensUsed(
        input_tokens=count["input_tokens"],
        output_tokens=count["output_tokens"],
        total_tokens=count["input_tokens"] + count["output_tokens"],
        input_tokens_details=_by_kind(count, "input"),
        output_tokens_details=_by_kind(count, "output"),
    )


def _by_kind(count: Mapping[str, int], side: str) -> TokensByKind | None:
    text, image = count.get(f"{side}_text_tokens"), count.get(f"{side}_image_tokens")
    if text is None or image is None:
        return None
    return TokensByKind(text_tokens=text, image_tokens=image)


def _base64(picture: Encoded) -> str:
    return base64.b64encode(picture.data).decode("ascii")


def _created(picture: Picture) -> int:
    return int(picture.asset.created_at.timestamp())


def _format(media_type: str) -> str | None:
    kind = media_type.removeprefix("image/")
    return kind if kind in ("png", "jpeg", "webp") else None


def _said(picture: Picture, name: str) -> str | None:
    """Return what the provider says of a picture, else what it was asked for."""
    made_by = picture.asset.made_by
    asked = made_by.get("request", {}).get("options", {}).get(name)
    said = made_by.get("details", {}).get(name) or asked
    return None if said in (None, "auto") else str(said)


def _size_of(picture: Picture) -> str:
    return f"{picture.blob.width_px}x{picture.blob.height_px}"


class Stream:
    """The events of one request, from where its job begins to its end."""

    def __init__(
        self,
        house: House,
        project_id: str,
        standing: Standing,
        body: NewImages,
        action: Action,
        path: str,
        again: Again,
    ) -> None:
        self._house = house
        self._project_id = project_id
        self._standing = standing
        self._body = body
        self._action = action
        self._path = path
        self._again = again
        self._shown = 0

    async def written(self) -> AsyncGenerator[bytes]:
        """Write the events as they come; an error is the last, as the client raises it."""
        try:
            async with aclosing(self._told()) as told:
                async for event in told:
                    yield event
        except MaquetteError as error:
            document = problems.document(error, self._path)["error"]
            yield _event("error", {"error": document})

    async def _told(self) -> AsyncGenerator[bytes]:
        studio, job_id = self._house.studio, self._standing.job_id
        result = await results.of(studio, self._project_id, job_id)
        if not (result.ended or outcome.chosen(result)):
            async for event in self._under_way():
                yield event
            await self._again()
            result = await results.of(studio, self._project_id, job_id)
        outcome.checked(result)
        for index, one in enumerate(result.final):
            encoded = await delivering.picture(studio, result, one)
            await self._again()
            yield self._completed(result, one, encoded, last=index == len(result.final) - 1)

    async def _under_way(self) -> AsyncGenerator[bytes]:
        job_id, since = self._standing.job_id, self._standing.since
        follow = results.follow(self._house.feed, self._project_id, job_id, since)
        async with aclosing(follow) as events:
            async for event in events:
                if event is None:
                    yield KEEPALIVE_COMMENT
                elif event.kind == "partial" and self._shown < self._body.partials:
                    async for shown in self._partial(event):
                        yield shown
                elif outcome.tells_choice(event):
                    result = await results.of(self._house.studio, self._project_id, job_id)
                    if outcome.chosen(result):
                        return

    async def _partial(self, event: Event) -> AsyncGenerator[bytes]:
        """Show an unfinished picture; one that was swept away meanwhile is not missed."""
        studio = self._house.studio
        try:
            found = await partials.read(studio, self._standing.job_id, event.data["sha256"])
        except ObjectNotFound:
            return
        size, body = self._body.size, self._body
        document = {
            "b64_json": _base64(found),
            "partial_image_index": self._shown,
            "created_at": int(event.at.timestamp()),
            "size": f"{size[0]}x{size[1]}" if isinstance(size, tuple) else "auto",
            "quality": body.quality or "auto",
            "background": body.background or "auto",
            "output_format": _format(found.media_type) or "png",
        }
        self._shown += 1
        await self._again()
        yield _event(f"{self._action}.partial_image", document)

    def _completed(self, result: Result, one: Picture, encoded: Encoded, *, last: bool) -> bytes:
        """Write a finished picture; the usage of the whole request comes with the last."""
        document: dict[str, Any] = {
            "b64_json": _base64(encoded),
            "created_at": _created(one),
            "size": _size_of(one),
            "quality": _said(one, "quality") or "auto",
            "background": _said(one, "background") or "auto",
            "output_format": _format(encoded.media_type) or "png",
        }
        if self._body.who is not None:
            document["safety_identifier"] = self._body.who
        count = used(result) if last else None
        if count is not None:
            document["usage"] = count.model_dump(exclude_none=True)
        return _event(f"{self._action}.completed", document)


def _event(name: str, members: Mapping[str, Any]) -> bytes:
    text = json.dumps({"type": name, **members}, separators=(",", ":"), ensure_ascii=False)
    return format_sse_event(data_str=text, event=name)
