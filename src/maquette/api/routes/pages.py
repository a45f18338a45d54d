"""What a browser finds: the service's info, the API's documentation, a page per error code."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from maquette import __version__
from maquette.api import pages
from maquette.api.contract import raises
from maquette.api.door import Anybody
from maquette.core.errors import NoSuchRoute

router = APIRouter(tags=["service"], dependencies=[Anybody])


class Info(BaseModel):
    """What this service is, and where its parts are."""

    name: str = "Maquette"
    version: str = __version__
    docs: str = "/docs"
    openapi: str = "/openapi.json"
    health: str = "/health"


@router.get("/", summary="Say what this is")
async def info() -> Info:
    """Return the service's name and version, and where its parts are."""
    return Info()


@router.get("/docs", summary="Show the API's documentation", response_class=HTMLResponse)
async def docs(request: Request) -> HTMLResponse:
    """Return one page that lists every operation; it needs no network and no script."""
    return _page(pages.operations(request.app.openapi()))


@router.get("/problems", summary="List the error codes", response_class=HTMLResponse)
async def problems() -> HTMLResponse:
    """Return a page that lists every error code."""
    return _page(pages.problems())


@router.get(
    "/problems/{code}",
    summary="Explain an error code",
    response_class=HTMLResponse,
    responses=raises(NoSuchRoute),
)
async def problem(
    code: Annotated[str, Path(max_length=64, pattern=r"^[a-z-]+$")],
) -> HTMLResponse:
    """Return a page that says what an error code means and what to do."""
    return _page(pages.problem(code))


_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def _page(html: str) -> HTMLResponse:
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
    return HTMLResponse(html, headers=headers)
