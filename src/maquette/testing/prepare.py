"""Compile the kernels once before tests run in parallel: `python -m maquette.testing.prepare`."""

from __future__ import annotations

from maquette.services.health import warm_kernels

if __name__ == "__main__":
    warm_kernels()
