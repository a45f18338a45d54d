"""Interleaved timing, so that a noisy neighbour disturbs every case alike."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

OK, MISSED = "ok  ", "MISS"


@dataclass(frozen=True)
class Bound:
    """One measured ratio and what it must be."""

    what: str
    measured: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def holds(self) -> bool:
        over = self.at_most is not None and self.measured > self.at_most
        under = self.at_least is not None and self.measured < self.at_least
        return not (over or under)

    def __str__(self) -> str:
        limit = f"<= {self.at_most:g}" if self.at_most is not None else f">= {self.at_least:g}"
        mark = OK if self.holds else MISSED
        return f"{mark} {self.what}: {self.measured:.3g} (bound {limit})"


def interleaved(cases: Mapping[str, Callable[[], object]], *, repeats: int = 7) -> dict[str, float]:
    """Return the least wall time in seconds of each case, measured in turns after a warm-up."""
    best = dict.fromkeys(cases, float("inf"))
    for run in cases.values():
        run()
    for _ in range(repeats):
        for name, run in cases.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that the given share of all does not exceed."""
    return float(np.quantile(values, share, method="inverted_cdf"))


def report(title: str, times: Mapping[str, float], bounds: Sequence[Bound]) -> None:
    """Print the table and leave with status 1 when a bound is missed."""
    print(f"## {title}")
    for name, seconds in times.items():
        print(f"   {name:<42s} {seconds * 1000:10.2f} ms")
    for bound in bounds:
        print(f"   {bound}")
    if not all(bound.holds for bound in bounds):
        sys.exit(1)
