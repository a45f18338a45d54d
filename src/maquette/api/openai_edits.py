"""The body of an edit, as OpenAI's clients send it, for the contract."""

from __future__ import annotations

from typing import Any

from maquette.api.openai_body import MEMBERS

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
