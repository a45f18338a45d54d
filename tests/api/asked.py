"""What tests of the images API have in common: the rows there are, and pictures to send."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import numpy as np
from sqlalchemy import func, select

from maquette.db.tables import Asset, Blob, Event, IdempotencyKey, Job, Run
from maquette.imaging import png
from maquette.testing.serving import Served

PAID = "scripted:paid"
WAIT = {"wait": "60"}


async def rows(served: Served) -> dict[str, int]:
    """Count all that a request could leave behind."""
    async with served.house.studio.shop.db.read() as session:
        return {
            table.__tablename__: (
                await session.execute(select(func.count()).select_from(table))
            ).scalar_one()
            for table in (Run, Job, Asset, Blob, Event, IdempotencyKey)
        }


async def left(served: Served) -> dict[str, int]:
    """Count what requests that began nothing may not leave; events tell of what was taken back."""
    found = await rows(served)
    return {name: found[name] for name in ("runs", "run_jobs", "assets", "blobs")}


async def own(served: Served) -> None:
    """Make the caller's own project, so that counts begin with it."""
    reply = await served.client.get("/v1/jobs")
    assert reply.status_code == 200, reply.text


async def ended(served: Served, job_id: str, **headers: str) -> dict[str, Any]:
    """Await a job's end, by asking for it."""
    async with asyncio.timeout(60):
        reply = await served.client.get(f"/v1/jobs/{job_id}", params=WAIT, headers=headers)
    assert reply.status_code == 200, reply.text
    return reply.json()


def told(reply: httpx2.Response) -> tuple[int, str]:
    """Return the status and the code of a problem."""
    return reply.status_code, reply.json()["error"]["code"]


def hole(side_px: int = 32, *, clear: bool = True) -> bytes:
    """Make a mask whose upper left quarter is transparent, or is all that is not."""
    pixels = np.zeros((side_px, side_px, 4), np.uint8)
    pixels[..., 3] = 255 if clear else 0
    pixels[: side_px // 2, : side_px // 2, 3] = 0 if clear else 255
    return png.write(pixels)
