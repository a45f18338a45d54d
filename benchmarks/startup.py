"""What a fresh process takes: to show its help, to import the pixel stack, to plan a run.

The plan of the example scenes is told, not bounded: its worker processes decode the pictures.

Run: python -m benchmarks.startup
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.timing import Bound, report

_EXAMPLES = Path(__file__).parents[1] / "examples"
_MAQUETTE = str(Path(sys.executable).with_name("maquette"))
_REPEATS = 5
# In a program of its own, and its first act, so that nothing is imported before.
_IMPORT_PROGRAM = """
import time
begin = time.perf_counter()
import cv2, numpy, PIL.Image, pyvips
seconds = time.perf_counter() - begin
resident = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
print(seconds, int(resident.split()[1]) / 1024)
"""


def main() -> None:
    help_s = min(_seconds([_MAQUETTE, "--help"]) for _ in range(_REPEATS))
    imports = [_import() for _ in range(_REPEATS)]
    with tempfile.TemporaryDirectory() as folder:
        home = {"MAQUETTE_HOME": str(Path(folder, "home"))}
        _seconds([_MAQUETTE, "db", "init"], home)
        dry = [_MAQUETTE, "dry", "--project", "demo", "--project-root", str(Path(folder, "root"))]
        dry += ["--input", str(_EXAMPLES / "scenes"), "--manifest", str(_EXAMPLES / "demo.json")]
        dry_s = min(_seconds(dry, home) for _ in range(_REPEATS))
    import_s = min(seconds for seconds, _ in imports)
    report(
        f"Fresh processes, best of {_REPEATS}",
        {
            "maquette --help": help_s,
            "import numpy, cv2, pyvips, Pillow": import_s,
            "maquette dry, three scenes": dry_s,
        },
        [
            Bound("maquette --help, seconds", help_s, at_most=0.3),
            Bound("import of the pixel stack, seconds", import_s, at_most=0.5),
            Bound("import, resident MB", min(megabytes for _, megabytes in imports), at_most=80),
        ],
    )


def _seconds(command: list[str], environment: Mapping[str, str] | None = None) -> float:
    begin = time.perf_counter()
    subprocess.run(  # noqa: S603 - our own program
        command, check=True, capture_output=True, env={**os.environ, **(environment or {})}
    )
    return time.perf_counter() - begin


def _import() -> tuple[float, float]:
    command = [sys.executable, "-c", _IMPORT_PROGRAM]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own program
    seconds, megabytes = answer.stdout.split()
    return float(seconds), float(megabytes)


if __name__ == "__main__":
    main()
