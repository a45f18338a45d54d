"""What a request costs beyond its work: signing in, limits, logging, idempotency.

Each figure is the median time of one request on a connection that stays open, against the same
server's cheapest route, over a loopback socket.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import redirect_stderr
from pathlib import Path
from uuid import uuid4

import httpx2

from maquette import logs
from maquette.core.people import Caller, Role, Scope
from maquette.services import keys, people
from maquette.settings import ServerSettings, load
from maquette.testing.serving import serving

ROUNDS = 400
PLENTY = 10_000_000


async def _median_ms(ask: Callable[[], Awaitable[httpx2.Response]]) -> float:
    for _ in range(20):
        (await ask()).raise_for_status()
    taken: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await ask()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


async def _measure(auth: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        server = ServerSettings.model_validate(
            {"auth": auth, "per_minute": PLENTY, "logins_per_minute": PLENTY}
        )
        settings = load(home=Path(folder), server=server)
        async with serving(settings, work=False) as served:
            studio, client = served.house.studio, served.client
            known = await people.local(studio)
            caller = Caller(known.user_id, known.name, Role.ADMIN)
            _, key = await keys.make(studio, caller, "bench", list(Scope), None)
            client.headers["Authorization"] = f"Bearer {key}"
            await client.post("/api/projects", json={"name": "p", "slug": "p"})
            sessions = "/api/projects/p/chat/sessions"

            async def chat(**headers: str) -> httpx2.Response:
                return await client.post(sessions, json={"title": "x"}, headers=headers)

            return {
                "live, nothing but the framework": await _median_ms(
                    lambda: client.get("/health/live")
                ),
                "a project shown": await _median_ms(lambda: client.get("/api/projects/p")),
                "a write": await _median_ms(chat),
                "a write with an idempotency key": await _median_ms(
                    lambda: chat(**{"Idempotency-Key": str(uuid4())})
                ),
            }


def main() -> None:
    """Print the figures of both modes; log lines are written, to nowhere."""
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        logs.configure("info", "json")
        for auth in ("single", "multi"):
            print(f"{auth}-user")
            for what, ms in asyncio.run(_measure(auth)).items():
                print(f"  {ms:7.2f} ms  {what}")


if __name__ == "__main__":
    main()
