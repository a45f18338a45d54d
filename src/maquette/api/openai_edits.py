"""The pictures and the mask of an edit, as OpenAI's clients send them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from maquette.api.door import Entry
from maquette.api.house import House
from maquette.api.openai_body import MEMBERS
from maquette.api.picture_form import Form
from maquette.services import masks
from maquette.services.asking import Given, Wish
from maquette.services.uploading import Wishes


class FormPictures:
    """Those of a form: nothing of it is kept before the rest of the request is found good."""

    def __init__(self, form: Form, house: House, entry: Entry) -> None:
        self._form = form
        self._house = house
        self._entry = entry

    def shown(self, wish: Wish) -> Wish:
        pictures = self._form.pictures
        return replace(wish, pictures=pictures, mask=self._shown_mask(pictures[0]))

    def _shown_mask(self, first: Given) -> Given | None:
        """Return the mask as it will be, whatever its pixels say."""
        mask = self._form.mask
        if not isinstance(mask, bytes):
            return mask
        return Given.model(
            "",
            "mask",
            digest="0" * 64,
            name="mask",
            media_type="image/png",
            width_px=first.input.width_px,
            height_px=first.input.height_px,
            size_bytes=len(mask),
        )

    async def kept(self, wish: Wish) -> Wish:
        studio, project = self._house.studio, self._entry.project
        await self._form.keep(Wishes(forget=not wish.store))
        mask = self._form.mask
        if isinstance(mask, bytes):
            by, first = self._entry.caller.user_id, wish.pictures[0]
            kept = await masks.keep(studio, project, by, mask, first, polarity="transparent")
            return replace(wish, mask=kept)
        if mask is not None:
            await masks.named(studio, project, mask.asset)
        return wish


_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
_PICTURE = {"type": ["string", "object"], "description": "A data URL, or an asset's id."}
_PROMPT = {"type": "string", "maxLength": 32_000}
_REST = ", ".join(sorted(MEMBERS - {"prompt", "maquette"}))


def _schema(words: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": {
            "type": "object",
            "required": ["prompt"],
            "description": f"Besides, as for new pictures: {_REST}, {words}.",
            "properties": {"prompt": _PROMPT, **properties},
        }
    }


BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": _schema(
                "and the members of `maquette` as `maquette[seed]`",
                {
                    "image": _FILE,
                    "image[]": {"type": "array", "items": _FILE},
                    "mask": {**_FILE, "description": "Transparent where it may change."},
                },
            ),
            "application/json": _schema(
                "and `maquette`",
                {"images": {"type": "array", "items": _PICTURE}, "mask": _PICTURE},
            ),
        },
    }
}
