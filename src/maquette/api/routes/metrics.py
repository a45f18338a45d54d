"""Figures for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from maquette.api.door import HouseDoor
from maquette.api.house import TheHouse
from maquette.core.people import Needs, Scope
from maquette.services import status

router = APIRouter(
    tags=["service"], dependencies=[Depends(HouseDoor(Needs.ADMIN, Scope.READ, counts=False))]
)


@router.get(
    "/metrics",
    summary="Return figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(house: TheHouse) -> Response:
    """Return requests, jobs, workers and the newest event, in Prometheus' text form."""
    found = await status.status(house.studio)
    text = house.metrics.written(found, house.feed.last)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
