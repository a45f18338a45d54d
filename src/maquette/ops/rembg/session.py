"""One network in memory, run by rembg's own session from a local file."""

from __future__ import annotations

import hashlib
import math
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import OperationFailed
from maquette.ops.rembg.models import Model
from maquette.ops.rembg.packages import local_session


@dataclass(frozen=True, eq=False)
class Seen:
    """A mask as large as the network makes it, and the least and greatest share it gave."""

    mask: NDArray[np.uint8]
    lowest: float
    highest: float


class Network:
    """A rembg session that cannot download: its file is given, and was checked."""

    def __init__(self, model: Model, path: Path) -> None:
        self._model = model
        _check(model, path)
        made = local_session(model, path)
        runtime = import_module("onnxruntime")
        options: Any = runtime.SessionOptions()
        # A worker keeps its network between pictures: it gives back what a run took, and its
        # threads sleep, since another worker may need the processors.
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        with suppress(Exception):  # not every build has any telemetry to switch off
            runtime.disable_telemetry_events()
        try:
            self._session: Any = made(model.name, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise _failed(f"{str(path)!r} could not be loaded", error) from error
        self._ear = _Ear(self._session.inner_session)
        self._session.inner_session = self._ear

    def look(self, pixels: NDArray[np.uint8]) -> Seen:
        """Return the mask of a picture of shape (H, W, 3), uint8, sRGB; 255 = subject.

        rembg stretches every mask to 0..255, so that one of an empty picture is noise at full
        strength: `lowest` and `highest` are from before.
        """
        from PIL import Image  # noqa: PLC0415 - pixels load only in workers

        side = (self._model.side_px, self._model.side_px)
        # What rembg does first, done here: its mask then comes back without being blown up.
        small = Image.fromarray(pixels).resize(side, Image.Resampling.LANCZOS)
        try:
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                [mask] = self._session.predict(small)
        except OperationFailed:
            raise
        except Exception as error:
            raise _failed(f"model {self._model.name!r} could not be run", error) from error
        lowest, highest = (self._share(value) for value in self._ear.range)
        made = np.array(mask, np.uint8)
        if highest - lowest < 1e-6:
            made[:] = round(255 * min(1.0, max(0.0, highest)))
        return Seen(made, lowest, highest)

    def _share(self, value: float) -> float:
        # 60 is far beyond what differs from 1, and no overflow.
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, value)))) if self._model.logits else value


class _Ear:
    """Stands before onnxruntime's session, checks what the network says and keeps its range."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.range = (0.0, 0.0)

    def get_inputs(self) -> Any:
        return self._inner.get_inputs()

    def run(self, names: Any, feed: Any) -> Any:
        outputs = self._inner.run(names, feed)
        first: Any = outputs[0]
        if np.ndim(first) != 4 or first.shape[0] != 1 or not first.size:
            raise OperationFailed(
                f"The network returned numbers of shape {np.shape(first)!r}, which are no mask. "
                "Choose another model."
            )
        plane = first[:, 0]
        if not np.isfinite(plane).all():
            raise OperationFailed(
                "The network returned numbers that are not finite. Choose another model."
            )
        self.range = (float(plane.min()), float(plane.max()))
        return outputs


_loaded: dict[tuple[str, str, int, int], Network] = {}


def network(model: Model, path: Path) -> Network:
    """Return the network of a file; the last one stays loaded in this process, and no other."""
    try:
        facts = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    key = (model.name, str(path), facts.st_mtime_ns, facts.st_size)
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = Network(model, path)
    return _loaded[key]


def forget() -> None:
    """Let go of the network that is loaded."""
    _loaded.clear()


def _check(model: Model, path: Path) -> None:
    """Refuse a file that is not the one whose name and terms the picture's history will carry."""
    kind, _, expected = model.file.checksum.partition(":")
    if not expected:
        return
    try:
        with path.open("rb") as opened:
            found = hashlib.file_digest(
                opened, lambda: hashlib.new(kind, usedforsecurity=False)
            ).hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error
    if found != expected:
        raise OperationFailed(
            f"{str(path)!r} is not the file that its authors published: its {kind} is {found}, "
            f"theirs {expected}. Nothing was computed or downloaded. Delete it and get it anew: "
            f"{model.file.address}."
        )


def _unreadable(path: Path, error: OSError) -> OperationFailed:
    return OperationFailed(
        f"{str(path)!r} could not be read ({error}); nothing was downloaded. Check its rights."
    )


def _failed(what: str, error: Exception) -> Exception:
    """Name the error of a library that has no common class for them; tell want of memory apart."""
    said = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "alloc" in said.lower():
        # The pool of workers knows what to say of it, and which limit to raise.
        return MemoryError(said[:300])
    return OperationFailed(
        f"{what}: {type(error).__name__}: {said[:300]!r}. Nothing was downloaded. "
        f"Get the file anew, or choose another model."
    )
