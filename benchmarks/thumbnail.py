"""Thumbnails from memory and streamed from a file, against Pillow.

Run as `python -m benchmarks.thumbnail`.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.png import noisy_photo
from benchmarks.timing import Bound, interleaved, report
from maquette.imaging import png, thumbnails, vips

_SIDE_PX = 320
_LARGE_SIDE_PX = 3464  # 12 megapixels
# The high-water mark of the new program alone: `ru_maxrss` would carry this process's over.
_PEAK_PROGRAM = """
import sys
from pathlib import Path
from maquette.imaging import thumbnails
thumbnails.from_file(Path(sys.argv[1]), side_px=320)
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


def main() -> None:
    pixels = noisy_photo(1024)
    with tempfile.TemporaryDirectory() as folder:
        photo, large = Path(folder, "photo.png"), Path(folder, "large.png")
        photo.write_bytes(png.write(pixels))
        large.write_bytes(png.write(noisy_photo(_LARGE_SIDE_PX)))
        wall = interleaved(
            {
                "from pixels": lambda: thumbnails.from_pixels(pixels, side_px=_SIDE_PX),
                "Pillow, decode and shrink": lambda: _with_pillow(photo),
            },
            repeats=15,
        )
        cpu = _cpu_interleaved(
            {
                "from file, CPU": lambda: thumbnails.from_file(photo, side_px=_SIDE_PX),
                "Pillow, CPU": lambda: _with_pillow(photo),
            },
            repeats=15,
        )
        fidelity_db = _psnr_db(vips.shrink_file(photo, _SIDE_PX), _full_lanczos(pixels))
        peak_mb = _peak_mb(large)
    at_write = wall["Pillow, decode and shrink"] / wall["from pixels"]
    report(
        f"Thumbnail of {_SIDE_PX} px, WebP, from a 1024 x 1024 px PNG",
        {**wall, **cpu},
        [
            Bound("at write, speed over Pillow", at_write, at_least=3),
            Bound(
                "lazy, CPU over Pillow", cpu["Pillow, CPU"] / cpu["from file, CPU"], at_least=1.3
            ),
            Bound("lazy, PSNR against full Lanczos, dB", fidelity_db, at_least=45),
            Bound("lazy, peak MB for 12 megapixels", peak_mb, at_most=80),
        ],
    )


def _with_pillow(path: Path) -> bytes:
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.thumbnail((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS, reducing_gap=2.0)
        image.save(buffer, "WEBP", quality=80, method=2)
    return buffer.getvalue()


def _full_lanczos(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS))


def _psnr_db(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    error = one.astype(np.float64) - other
    return float(10 * np.log10(255**2 / np.mean(error**2)))


def _cpu_interleaved(
    cases: Mapping[str, Callable[[], object]], *, repeats: int
) -> dict[str, float]:
    best = dict.fromkeys(cases, float("inf"))
    for _ in range(repeats):
        for name, run in cases.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - start)
    return best


def _peak_mb(path: Path) -> float:
    command = [sys.executable, "-c", _PEAK_PROGRAM, str(path)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own program
    return int(answer.stdout) / 1024


if __name__ == "__main__":
    main()
