"""What a 50 MB upload takes of the server's memory, sent at once and by the resumable protocol.

The server is a process of its own; what it holds at most is what Linux says it did (`VmHWM`), set
back before each upload. The picture is decoded in a worker process, whose memory has a limit of its
own and is not counted here. A small picture is sent first, so that nothing is loaded meanwhile.

Run: python -m benchmarks.upload
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np

from benchmarks.timing import Bound, report
from maquette.imaging import png

_MAQUETTE = str(Path(sys.executable).with_name("maquette"))
_ADDRESS = re.compile(r"http://[\d.:]+")
_TUS = {"Tus-Resumable": "1.0.0"}
_BOUNDARY = "maquette"
_PIECE = 256 * 1024


def main() -> None:
    small, large = _noise(64, 64), _noise(4090, 4070)
    times: dict[str, float] = {}
    grown: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as (process, client):
        client.post("/api/projects", json={"name": "p", "slug": "p"}).raise_for_status()
        for name, send in (("multipart", _multipart), ("tus", _tus)):
            send(client, small)
            idle_mb = _reset_peak(process)
            begin = time.perf_counter()
            send(client, large)
            times[f"{len(large) / 2**20:.1f} MiB by {name}"] = time.perf_counter() - begin
            grown[name] = _memory_mb(process, "VmHWM") - idle_mb
    bounds = [
        Bound(f"above idle by {name}, MiB", value, at_most=32) for name, value in grown.items()
    ]
    report("Uploads", times, bounds)


def _noise(width_px: int, height_px: int) -> bytes:
    rng = np.random.default_rng(1)
    return png.write(rng.integers(0, 256, (height_px, width_px, 3), np.uint8))


@contextmanager
def _server(folder: Path) -> Generator[tuple[int, httpx2.Client]]:
    process = subprocess.Popen(  # noqa: S603 - our own program
        [_MAQUETTE, "serve", "--port", "0", "--no-worker"],
        env={**os.environ, "MAQUETTE_HOME": str(folder / "home"), "MAQUETTE_LOG_LEVEL": "error"},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            address = next(
                found[0]
                for line in iter(process.stdout.readline, "")
                if (found := _ADDRESS.search(line))
            )
            with httpx2.Client(base_url=address, timeout=120) as client:
                yield process.pid, client
        finally:
            process.terminate()


def _multipart(client: httpx2.Client, data: bytes) -> None:
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    body = head.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
    reply = client.post(
        "/api/projects/p/assets",
        content=_pieces(body),
        headers={"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"},
    )
    assert reply.status_code == 201, reply.text


def _tus(client: httpx2.Client, data: bytes) -> None:
    begun = client.post("/api/projects/p/uploads", headers=_TUS | {"Upload-Length": str(len(data))})
    reply = client.patch(
        begun.headers["Location"],
        content=_pieces(data),
        headers=_TUS | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
    )
    assert reply.status_code == 204, reply.text


def _pieces(data: bytes) -> Generator[bytes]:
    for at in range(0, len(data), _PIECE):
        yield data[at : at + _PIECE]


def _reset_peak(process: int) -> float:
    """Let Linux forget the highest mark; return what is held now, in MiB."""
    Path(f"/proc/{process}/clear_refs").write_text("5")
    return _memory_mb(process, "VmRSS")


def _memory_mb(process: int, what: str) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) / 1024


if __name__ == "__main__":
    main()
