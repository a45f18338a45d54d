"""A server in a thread of its own: clients with and without an event loop talk to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from maquette.imaging import codec, png
from maquette.settings import NetSettings, RetrySettings, ServerSettings, WorkerSettings, load
from maquette.testing.serving import Served, serving
from maquette.testing.standin_openai import Act, Seen, StandIn

T = TypeVar("T")
KEY = "sk-clients-7f3a"
_TINY = {
    "id": "tiny",
    "options": "wide",
    "sizes": [[64, 64], [96, 64]],
    "price": {"per_image": "0.01"},
}
_FIDELITY = {**_TINY, "id": "tiny-fidelity", "options": "fidelity"}
_LOST = {**_TINY, "id": "tiny-lost", "shutdown": "2026-01-01", "successor": "tiny"}


@dataclass(frozen=True)
class Running:
    """The server, and the stand-in that its provider calls."""

    served: Served
    upstream: StandIn
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return f"{self.served.url}/v1"

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something inside the server, from a test that is outside."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def calls(self) -> int:
        return len(self.upstream.seen)


@contextmanager
def running(
    home: Path, *, choose: Callable[[Seen], Act] | None = None, **server: Any
) -> Generator[Running]:
    """Serve until the block ends; the provider's key is in the environment meanwhile.

    `choose` picks what a call meets upstream.
    """
    loop = asyncio.new_event_loop()
    ready: asyncio.Future[Served] = loop.create_future()
    leave = asyncio.Event()
    with StandIn(key=KEY, choose=choose) as upstream, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", KEY)
        patch.chdir(home)
        models = [_TINY, _FIDELITY, _LOST]
        settings = load(
            home=home,
            net=NetSettings(paid_calls=False),
            providers={"openai": {"base_url": upstream.url, "models": models}},
            retries=RetrySettings(tries=2, first_wait_s=0.01, longest_wait_s=0.05),
            workers=WorkerSettings(count=1),
            server=ServerSettings(**server),
            plugins="proof,openai,local",
        )

        async def serve() -> None:
            async with serving(settings) as served:
                ready.set_result(served)
                await leave.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
        thread.start()
        try:
            served = asyncio.run_coroutine_threadsafe(_of(ready), loop).result(60)
            yield Running(served, upstream, loop)
        finally:
            loop.call_soon_threadsafe(leave.set)
            thread.join()
            loop.close()


async def _of(ready: asyncio.Future[Served]) -> Served:
    return await ready


def picture(width_px: int = 64, height_px: int = 64) -> bytes:
    """Return a PNG in colour."""
    rng = np.random.default_rng(7)
    return png.write(rng.integers(0, 256, (height_px, width_px, 3), np.uint8))


def mask(width_px: int = 64, height_px: int = 64) -> bytes:
    """Return a mask of a left upper quarter: transparent is what may change."""
    pixels = np.full((height_px, width_px, 4), 255, np.uint8)
    pixels[: height_px // 2, : width_px // 2, 3] = 0
    return png.write(pixels)


def pixels(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return codec.decode(data).pixels
