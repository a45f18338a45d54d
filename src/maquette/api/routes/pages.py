"""What a browser finds: the service's info, the API's documentation, a page per error code."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from maquette import __version__
from maquette.api.door import Anybody

router = APIRouter(tags=["service"], dependencies=[Anybody])


@router.get("/", summary="Say what this is; browsers are shown the studio")
async def info() -> dict[str, Any]:
    """Return the service's name and version, and where its parts are."""
    return {
        "name": "Maquette",
        "version": __version__,
        "docs": "/docs",
        "openapi": "/openapi.json",
        "health": "/health",
    }
