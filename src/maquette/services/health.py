"""Is everything there? Packages, the disk, and each backend with what it takes to get it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from maquette.core.operation import Operation
from maquette.core.provider import Provider
from maquette.core.registry import Registry
from maquette.core.storage import Storage
from maquette.core.tools import Tool


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ready: bool
    detail: str
    advice: str = ""
    """What to do where it is not ready."""
    tool: Tool | None = None
    """What getting it would take: size, licence, address, command."""
    optional: bool = False
    """Nothing is wrong where it is not there."""


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


KERNELS = Tool(
    name="kernels",
    purpose="compiles the pixel kernels once, so that no picture waits for it",
    size="about 5 MB in a cache, nothing is downloaded",
    licence="part of Maquette (Apache-2.0)",
    source="this machine",
)


def kernels_check() -> Check:
    """Tell whether the kernels are compiled."""
    ready = kernels_compiled()
    advice = "" if ready else KERNELS.command
    tool = None if ready else KERNELS
    return Check("kernels", ready, KERNELS.purpose, advice, tool, optional=True)


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


def provider_checks(providers: Registry[Provider], today: date) -> list[Check]:
    """Tell of every provider what it makes, or what it needs first."""
    found: list[Check] = []
    for name in sorted(set(providers) - set(providers.broken)):
        provider = providers[name]
        found.append(
            _plugin(f"provider {name}", _makes(provider, today), provider.missing(), provider.tool)
        )
    return found + _broken("provider", providers.broken)


def operation_checks(operations: Registry[Operation[Any]], weights: Path) -> list[Check]:
    """Tell of every operation what it does, or what it needs first."""
    operations.load_all()
    found: list[Check] = []
    for name in operations:
        one = operations.get(name)
        if one is not None:
            found.append(_plugin(f"operation {name}", one.title, one.missing(weights), one.tool))
    return found + _broken("operation", operations.broken)


def storage_checks(storages: Registry[type[Storage]]) -> list[Check]:
    """Tell of every storage what it is."""
    storages.load_all()
    found = [
        Check(f"storage {name}", ready=True, detail=(storages[name].__doc__ or "").split("\n")[0])
        for name in storages
        if name not in storages.broken
    ]
    return found + _broken("storage", storages.broken)


def _makes(provider: Provider, today: date) -> str:
    living = [one for one in provider.models() if one.shutdown is None or one.shutdown > today]
    modes = sorted({mode for model in living for mode in model.modes})
    named = living[0].id if len(living) == 1 else f"{len(living)} models"
    free = ", free" if living and not any(model.paid for model in living) else ""
    return f"{named}: {', '.join(modes)}{free}" if living else "no model yet"


def _plugin(name: str, detail: str, missing: str | None, tool: Tool | None) -> Check:
    if missing is None:
        return Check(name, ready=True, detail=detail, optional=True)
    if tool is None:
        return Check(name, ready=False, detail=detail, advice=missing, optional=True)
    return Check(
        name,
        ready=False,
        detail=detail or tool.purpose,
        advice=missing,
        tool=tool,
        optional=True,
    )


def _broken(kind: str, broken: Mapping[str, Exception]) -> list[Check]:
    return [
        Check(f"{kind} {name}", ready=False, detail=repr(error), advice="reinstall the plugin")
        for name, error in sorted(broken.items())
    ]


def tools(
    providers: Registry[Provider], operations: Registry[Operation[Any]], more: Iterable[Tool] = ()
) -> dict[str, Tool]:
    """Return every optional tool by its name."""
    operations.load_all()
    loaded = (operations.get(name) for name in operations)
    found = [one.tool for one in loaded if one is not None]
    found += [providers[name].tool for name in providers if name not in providers.broken]
    return {one.name: one for one in (KERNELS, *found, *more) if one is not None}
