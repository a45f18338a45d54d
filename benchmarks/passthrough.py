"""What Maquette adds to a call that it passes on, against the same call made directly.

An upstream of its own process answers in two seconds with a picture of one megabyte. Everything
that Maquette does besides is in the figures: price and hold, the ledger's commits, the store, the
guard, the reply in base64. A proxy that does none of it adds 74 ms one at a time and about 950 ms
at 32 at once on the machine that the bounds were set on: a fifth of that is the second bound.

Run: python -m benchmarks.passthrough
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import httpx2
import numpy as np

from benchmarks.timing import Bound, quantile, report
from maquette.imaging import png
from maquette.testing.standin_openai import Act, StandIn

_MAQUETTE = str(Path(sys.executable).with_name("maquette"))
_DELAY_S = 2.0
_SIDE_PX = 592
_ALONE = 9
_CROWD = 32
_ROUNDS = 3
_KEY = "sk-benchmark"
_BODY = {
    "model": "noise",
    "prompt": "noise",
    "size": f"{_SIDE_PX}x{_SIDE_PX}",
    "quality": "low",
    "n": 1,
}


def main() -> None:
    if sys.argv[1:] == ["upstream"]:
        _serve_upstream()
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        _upstream() as direct,
        _maquette(Path(folder), direct) as through,
    ):
        times = asyncio.run(_measure({"direct": direct, "through Maquette": through}))
    added = {name: (here - there) * 1000 for name, (there, here) in times.items()}
    shown = {
        f"{name}, {who}": seconds
        for name, pair in times.items()
        for who, seconds in zip(("direct", "through Maquette"), pair, strict=True)
    }
    ratios = ", ".join(f"{name} {here / there:.3f}" for name, (there, here) in times.items())
    report(
        f"An upstream that takes {_DELAY_S:g} s for a picture of 1 MB, p50 (ratio: {ratios})",
        shown,
        [
            Bound("added one at a time, ms", added["one at a time"], at_most=25),
            Bound(f"added at {_CROWD} at once, ms", added[f"{_CROWD} at once"], at_most=190),
        ],
    )


async def _measure(urls: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """Return the p50 of both ways, in turns."""
    alone: dict[str, list[float]] = {name: [] for name in urls}
    crowd: dict[str, list[float]] = {name: [] for name in urls}
    limits = httpx2.Limits(max_connections=_CROWD, max_keepalive_connections=0)
    async with httpx2.AsyncClient(timeout=60, limits=limits) as client:
        for url in urls.values():
            await _call(client, url)
        for _ in range(_ALONE):
            for name, url in urls.items():
                alone[name].append(await _call(client, url))
        for _ in range(_ROUNDS):
            for name, url in urls.items():
                calls = (_call(client, url) for _ in range(_CROWD))
                crowd[name] += await asyncio.gather(*calls)
    return {"one at a time": _halves(alone), f"{_CROWD} at once": _halves(crowd)}


def _halves(times: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    direct, through = (quantile(found, 0.5) for found in times.values())
    return direct, through


async def _call(client: httpx2.AsyncClient, url: str) -> float:
    """Ask for one picture; the client's own work on the reply is not counted."""
    begin = time.perf_counter()
    reply = await client.post(
        f"{url}/images/generations", json=_BODY, headers={"Authorization": f"Bearer {_KEY}"}
    )
    seconds = time.perf_counter() - begin
    reply.raise_for_status()
    return seconds


@contextlib.contextmanager
def _upstream() -> Generator[str]:
    """Start the other side, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.passthrough", "upstream"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as it:  # noqa: S603 - ours
        assert it.stdout is not None
        assert it.stdin is not None
        try:
            yield it.stdout.readline().strip()
        finally:
            it.stdin.close()


def _serve_upstream() -> None:
    rng = np.random.default_rng(0)
    picture = png.write(rng.integers(0, 256, (_SIDE_PX, _SIDE_PX, 3), np.uint8))
    usage = {"input_tokens": 10, "output_tokens": 100, "total_tokens": 110}
    document = {
        "created": 1,
        "data": [{"b64_json": base64.b64encode(picture).decode()}],
        "usage": usage,
    }
    act = Act(delay_s=_DELAY_S, body=json.dumps(document).encode())
    with StandIn(key=_KEY, choose=lambda _seen: act) as server:
        print(server.url, flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def _maquette(home: Path, upstream: str) -> Generator[str]:
    model = {
        "id": "noise",
        "sizes": [[_SIDE_PX, _SIDE_PX]],
        "price": {"per_image": "0.01"},
    }
    environment = {
        **os.environ,
        "MAQUETTE_HOME": str(home / "home"),
        "MAQUETTE_PROVIDERS__OPENAI__BASE_URL": upstream,
        "MAQUETTE_PROVIDERS__OPENAI__MODELS": json.dumps([model]),
        "MAQUETTE_PARALLEL_JOBS": str(_CROWD),
        "MAQUETTE_SERVER__PER_MINUTE": "10000",
        "MAQUETTE_LOG_LEVEL": "warning",
        "OPENAI_API_KEY": _KEY,
    }
    port = _free_port()
    command = [_MAQUETTE, "serve", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    quiet = subprocess.DEVNULL
    with subprocess.Popen(  # noqa: S603 - ours
        command, env=environment, cwd=home, stdout=quiet
    ) as server:
        try:
            _await(url)
            yield f"{url}/v1"
        finally:
            server.terminate()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _await(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx2.HTTPError):
            if httpx2.get(f"{url}/health").status_code == 200:
                return
        time.sleep(0.05)
    raise TimeoutError("the server did not start")


if __name__ == "__main__":
    main()
