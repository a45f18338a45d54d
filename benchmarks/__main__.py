"""Run all benchmarks, one after the other, and sum them up.

Run: python -m benchmarks [NAME …]

Each is a process of its own. One that misses a bound is run again, up to three times in all, since
a busy machine misses bounds too; the summary counts the tries. Leaves with status 1 when one still
misses, or fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.timing import MISSED, OK

_NOT_BENCHMARKS = {"__init__", "__main__", "timing"}
_TRIES = 3


@dataclass(frozen=True)
class Line:
    """One row of the summary."""

    benchmark: str
    tries: int
    holds: bool
    words: str


def main() -> None:
    names = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - _NOT_BENCHMARKS)
    wanted = sys.argv[1:] or names
    unknown = [name for name in wanted if name not in names]
    if unknown:
        sys.exit(f"No benchmark is called {unknown[0]!r}; there are: {', '.join(names)}.")
    lines = [line for name in wanted for line in _measured(name)]
    print("\n## Summary")
    for line in lines:
        again = f", try {line.tries}" if line.tries > 1 else ""
        print(f"   {line.benchmark:<11s} {line.words}{again}")
    missed = sum(not line.holds for line in lines)
    print(f"   {len(lines) - missed} of {len(lines)} bounds hold")
    if missed:
        sys.exit(1)


def _measured(name: str) -> Sequence[Line]:
    lines: list[Line] = []
    for tried in range(1, _TRIES + 1):
        if hasattr(os, "getloadavg"):
            print(f"\n{name}: load average {os.getloadavg()[0]:.1f}", flush=True)
        lines = _once(name, tried)
        if all(line.holds for line in lines):
            break
    return lines


def _once(name: str, tried: int) -> list[Line]:
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    lines: list[Line] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        assert process.stdout is not None
        for printed in process.stdout:
            print(printed, end="", flush=True)
            words = printed.strip()
            if words.startswith((OK, MISSED)):
                lines.append(Line(name, tried, words.startswith(OK), words))
    if not lines or (process.returncode and all(line.holds for line in lines)):
        lines.append(Line(name, tried, holds=False, words=f"{MISSED} failed: see above"))
    return lines


if __name__ == "__main__":
    main()
