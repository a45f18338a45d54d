"""Optional packages: whether they are there, and how they are brought in."""

from __future__ import annotations

import importlib
import os
from importlib.util import find_spec
from typing import Any


def installed(package: str) -> bool:
    """Say whether a package is there, without importing it; a mere folder of that name is none."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


def imported(package: str) -> Any:
    """Import a package that computes with OpenMP, so that its waiting threads sleep.

    They spin otherwise. Where other work has a share of the processors, as a second worker
    has, spinning cost four times the processor time and nine times the wall time (measured with
    ncnn on two busy cores). OpenMP reads this once, when its library is loaded.
    """
    os.putenv("OMP_WAIT_POLICY", "passive")
    return importlib.import_module(package)
