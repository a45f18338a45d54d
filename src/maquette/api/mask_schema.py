"""How a request for a mask is written, for the contract."""

from __future__ import annotations

from typing import Any

from maquette.services.maskwishes import MaskWanted

_FILE: dict[str, Any] = {"type": "string", "contentMediaType": "application/octet-stream"}
_NAMED: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "description": "An asset's id, or a data URL such as data:image/png;base64,…",
}


def _object(picture: dict[str, Any]) -> dict[str, Any]:
    members: dict[str, Any] = MaskWanted.model_json_schema()["properties"]
    return {
        "schema": {
            "type": "object",
            "required": ["image"],
            "additionalProperties": False,
            "properties": {**members, "image": picture},
        }
    }


BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": _object(_FILE),
            "application/json": _object(_NAMED),
        },
    }
}
