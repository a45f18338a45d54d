"""The optional packages: whether they are there, and rembg's sessions made unable to download."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from maquette.core.errors import CapabilityMissing
from maquette.ops.rembg.models import TOOL, Model

PACKAGES: Final = ("rembg", "onnxruntime")


def lacking() -> list[str]:
    """Return the packages that are not installed, without importing any."""
    specs = {name: find_spec(name) for name in PACKAGES}
    return [name for name, spec in specs.items() if spec is None or spec.origin is None]


def warm() -> None:
    """Import rembg: the first time on a machine its matting library compiles for minutes."""
    if not lacking():
        _sessions()


def _sessions() -> Any:
    # rembg leaves the whole program where onnxruntime does not import, so that is tried first.
    try:
        import_module("onnxruntime")
        return import_module("rembg.sessions")
    except (ImportError, SystemExit) as error:
        raise CapabilityMissing(
            f"rembg is installed but does not import ({error}); nothing was computed. "
            f"Run `{TOOL.command}`."
        ) from error


def local_session(model: Model, path: Path) -> Any:
    """Return rembg's session class of a model, bound to a file that is there."""
    known = _sessions().sessions.get(model.name)
    if known is None or not known.is_local():
        raise CapabilityMissing(
            f"The installed rembg has no local model {model.name!r}; nothing was computed. "
            f"Run `{TOOL.command}`, or choose another model."
        )

    def download_models(_cls: Any, *_args: Any, **_kwargs: Any) -> str:
        return str(path)

    return type(
        f"Local{known.__name__}", (known,), {"download_models": classmethod(download_models)}
    )
