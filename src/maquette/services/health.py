"""Is everything there? Plugins, tools and the compiled kernels."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from maquette.core.errors import UnknownPlugin
from maquette.core.operation import Operation
from maquette.core.registry import Registry
from maquette.jobs.workers import PixelPool


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ready: bool
    detail: str
    advice: str = ""


def package_checks() -> list[Check]:
    """Tell which pixel libraries are installed."""
    needed = {
        "numpy": "arrays",
        "opencv-python-headless": "pixels in memory",
        "pillow": "file formats, colour profiles",
        "pyvips": "thumbnails of large files",
        "isal": "fast PNG writing",
        "numba": "compiled kernels",
    }
    found: list[Check] = []
    for name, purpose in needed.items():
        try:
            found.append(Check(name, ready=True, detail=f"{version(name)}, {purpose}"))
        except PackageNotFoundError:
            found.append(Check(name, ready=False, detail=purpose, advice=f"pip install {name}"))
    return found


def disk_check(home: Path) -> Check:
    """Tell how much room the home's disk has."""
    free = shutil.disk_usage(home).free
    ready = free > 1024**3
    detail = f"{free / 1024**3:.1f} GiB free under {home}"
    return Check("disk", ready, detail, "" if ready else "free some space")


@dataclass(frozen=True)
class Tool:
    """Something optional that can be set up."""

    name: str
    purpose: str
    size: str
    licence: str
    source: str
    ready: Callable[[], bool]
    setup: Callable[[], None]


def tools() -> Mapping[str, Tool]:
    """Return the tools of this version by name."""
    kernels = Tool(
        name="kernels",
        purpose="compiles the pixel kernels once, so that no picture waits for it",
        size="about 5 MB in a cache, nothing is downloaded",
        licence="part of Maquette (Apache-2.0)",
        source="this machine",
        ready=kernels_compiled,
        setup=warm_kernels,
    )
    return {kernels.name: kernels}


def kernels_compiled() -> bool:
    """Tell whether Numba's cache holds every kernel module."""
    from maquette.pixels import kernels  # noqa: PLC0415 - names only, compiles nothing

    folder = Path(kernels.__path__[0])
    sources = {path.stem for path in folder.glob("*.py")} - {"__init__", "jit"}
    caches = [folder / "__pycache__", *_numba_caches()]
    return all(any(any(cache.glob(f"{name}.*.nbi")) for cache in caches) for name in sources)


def _numba_caches() -> list[Path]:
    from numba import config  # noqa: PLC0415 - a quarter of a second

    root: str = getattr(config, "CACHE_DIR", "")
    return [path for path in Path(root).rglob("*") if path.is_dir()] if root else []


def warm_kernels() -> None:
    """Compile, or load from the cache, every kernel."""
    from maquette.pixels import inpaint, lut, painterly, segment  # noqa: PLC0415 - compiles

    for module in (lut, painterly, inpaint, segment):
        module.warm()


async def set_up(pool: PixelPool, name: str) -> None:
    """Set up a tool in a worker process."""
    known = tools()
    if name not in known:
        raise UnknownPlugin(f"No tool is called {name!r}. There are: {', '.join(known)}.")
    await pool.run(known[name].setup)


def plugin_lines(kind: str, registry: Registry[Any], describe: Callable[[Any], str]) -> list[Check]:
    """Tell of every plugin whether it loads."""
    registry.load_all()
    good = [
        Check(f"{kind} {name}", ready=True, detail=describe(registry[name])) for name in registry
    ]
    bad = [
        Check(f"{kind} {name}", ready=False, detail=repr(error), advice="reinstall the plugin")
        for name, error in sorted(registry.broken.items())
    ]
    return good + bad


def operation_words(operation: Operation[Any], weights: Path) -> str:
    missing = operation.missing(weights)
    return operation.title if missing is None else f"{operation.title}; missing: {missing}"
