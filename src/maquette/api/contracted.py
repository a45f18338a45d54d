"""The contract of this version, as a document."""

from __future__ import annotations

from typing import Any

from maquette.api.app import create_app
from maquette.settings import Settings


def document() -> dict[str, Any]:
    """Return the OpenAPI document of a server with plain settings; nothing is opened."""
    return create_app(Settings.model_construct()).openapi()
