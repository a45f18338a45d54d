"""How a request that brings pictures is written, for the contract."""

from __future__ import annotations

from typing import Any, cast

from maquette.services.wishing import PictureWanted

_FILE: dict[str, Any] = {"type": "string", "contentMediaType": "application/octet-stream"}
_FILES: dict[str, Any] = {"type": "array", "minItems": 1, "maxItems": 32, "items": _FILE}
_NAMED: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "description": "An asset's id, or a data URL such as data:image/png;base64,…",
}


def _inlined(value: Any, parts: dict[str, Any]) -> Any:
    """Put the parts of a schema where it refers to them."""
    if isinstance(value, list):
        return [_inlined(one, parts) for one in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, Any]", value)
    reference = members.get("$ref")
    if isinstance(reference, str):
        rest = {name: one for name, one in members.items() if name != "$ref"}
        return _inlined({**parts[reference.rpartition("/")[2]], **rest}, parts)
    return {name: _inlined(one, parts) for name, one in members.items()}


def _members() -> dict[str, Any]:
    schema = PictureWanted.model_json_schema()
    return _inlined(schema["properties"], schema.get("$defs", {}))


def _object(pictures: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": {
            "type": "object",
            "required": ["prompt", next(iter(pictures))],
            "additionalProperties": False,
            "properties": {**_members(), **pictures},
        }
    }


EDIT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": _object(
                {
                    "files[]": {
                        **_FILES,
                        "description": "The pictures; the parts may be called image, image[], "
                        "file or files as well.",
                    },
                    "mask": {**_FILE, "description": "Of the first picture's size."},
                }
            ),
            "application/json": _object(
                {
                    "image": {"anyOf": [_NAMED, {"type": "array", "items": _NAMED}]},
                    "mask": _NAMED,
                }
            ),
        },
    }
}
