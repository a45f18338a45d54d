"""Pictures in a project of a running server: sent to it, or made by a run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import numpy as np

from maquette.core.pipeline import PostChain, RunOrder, UpscaleStep
from maquette.imaging import png
from maquette.services import people, planning, starting
from maquette.services.feed import Wanted
from maquette.testing.serving import Served

AT = "/api/projects/p/assets"


def noise(seed: int = 0, *, height_px: int = 32, width_px: int = 32) -> bytes:
    rng = np.random.default_rng(seed)
    return png.write(rng.integers(0, 256, (height_px, width_px, 3), np.uint8))


async def project(served: Served, slug: str = "p") -> Path:
    reply = await served.client.post("/api/projects", json={"name": slug, "slug": slug})
    assert reply.status_code == 201, reply.text
    return Path(reply.json()["project_root"])


async def send(
    served: Served, name: str = "p0.png", data: bytes | None = None, **fields: str
) -> httpx2.Response:
    file = {"file": (name, noise() if data is None else data, "application/octet-stream")}
    return await served.client.post(AT, files=file, data=fields)


async def uploaded(served: Served, count: int) -> list[str]:
    """Make a project with some pictures, each of its own; return their ids, the oldest first."""
    await project(served)
    replies = [await send(served, f"p{one}.png", noise(one)) for one in range(count)]
    return [reply.json()[0]["id"] for reply in replies]


async def made_run(served: Served, *, prompt: str) -> str:
    """Begin a run over one picture, upscaled, and await its end."""
    last = served.house.feed.last
    run = await begun_run(served, prompt=prompt)

    async def sight() -> Wanted:
        return Wanted(run_id=run)

    async with asyncio.timeout(60):
        async for news in served.house.feed.after(last, sight):
            ends = [one for one in news if one.kind == "run_ended"]
            if ends:
                assert ends[0].data["now_state"] == "succeeded", ends[0].data
                break
    return run


async def begun_run(served: Served, *, prompt: str) -> str:
    """Begin a run over one picture, upscaled."""
    studio = served.house.studio
    root = studio.home / "projects/p"
    scene = root / "scenes/coast.png"
    scene.parent.mkdir(exist_ok=True)
    if not scene.exists():
        scene.write_bytes(noise(99, height_px=24))
    order = RunOrder(
        project="p",
        input=scene,
        provider="scripted",
        model="paid",
        prompt=prompt,
        post=PostChain(upscale=UpscaleStep()),
    )
    caller = await people.local(studio)
    plan = await planning.plan(studio, order, root)
    return await starting.start(studio, plan, starting.Spending(confirmed=True, by=caller.user_id))
