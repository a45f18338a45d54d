"""Segment Anything in memory: a picture is looked at once, then clicks cost little.

Names, sizes and the order of things are those of the authors' own export:
https://github.com/facebookresearch/segment-anything (`scripts/export_onnx_model.py`,
`segment_anything/utils/onnx.py`, `segment_anything/utils/transforms.py`, Apache-2.0); encoders
that prepare the picture themselves are those of https://github.com/vietanhdev/samexporter (MIT).
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import CapabilityMissing, OperationFailed
from maquette.core.pointing import Pointed
from maquette.ops.sam.models import TOOL, Model

SIDE_PX: Final = 1024
"""The longer side becomes this long; the rest of the square is 0."""
_MEAN: Final = np.array((123.675, 116.28, 103.53), np.float32)
_DEVIATION: Final = np.array((58.395, 57.12, 57.375), np.float32)
_LOW_PX: Final = 256
_INSIDE, _OUTSIDE, _UPPER_LEFT, _LOWER_RIGHT, _PADDING = 1.0, 0.0, 2.0, 3.0, -1.0
_MANY: Final = 1000.0
"""What makes the first mask win where there are more than two points: it is for one thing."""

_Plane = NDArray[np.float32]


@dataclass(eq=False)
class Network:
    """An encoder and a decoder, and the last picture that was looked at."""

    model: Model
    encoder: Any
    decoder: Any
    _seen: tuple[str, Any] | None = field(default=None, init=False)

    def find(self, pixels: NDArray[np.uint8], pointed: Pointed) -> tuple[_Plane, float]:
        """Return logits, (H, W) float32, above 0 on the thing, and the overlap that it expects."""
        rows, columns = pixels.shape[:2]
        scale = SIDE_PX / max(rows, columns)
        inner = max(1, int(rows * scale + 0.5)), max(1, int(columns * scale + 0.5))
        points, labels = _points(pointed, (inner[1] / columns, inner[0] / rows))
        answers = self._run(
            self.decoder,
            {
                "image_embeddings": self._embedding(pixels, inner),
                "point_coords": points,
                "point_labels": labels,
                "mask_input": np.zeros((1, 1, _LOW_PX, _LOW_PX), np.float32),
                "has_mask_input": np.zeros(1, np.float32),
                "orig_im_size": np.array((rows, columns), np.float32),
            },
        )
        logits, overlap = self._best(answers, points.shape[1])
        return _full(logits, inner, (rows, columns)), overlap

    def _embedding(self, pixels: NDArray[np.uint8], inner: tuple[int, int]) -> Any:
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        key = f"{pixels.shape} {digest}"
        if self._seen is not None and self._seen[0] == key:
            return self._seen[1]
        from PIL import Image  # noqa: PLC0415 - pixels load only in workers

        size = inner[1], inner[0]
        small = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
        given = np.asarray(small, np.float32)
        [port] = self.encoder.get_inputs()
        if len(port.shape) == 4:
            square = np.zeros((SIDE_PX, SIDE_PX, 3), np.float32)
            square[: inner[0], : inner[1]] = (given - _MEAN) / _DEVIATION
            given = np.ascontiguousarray(square.transpose(2, 0, 1))[None]
        embedding = next(iter(self._run(self.encoder, {port.name: given}).values()))
        self._seen = key, embedding
        return embedding

    def _best(self, answers: dict[str, Any], points: int) -> tuple[_Plane, float]:
        """Choose among the masks as the authors do: the first is for many points."""
        # The exported `masks` have the proportions of the picture that it was traced with.
        masks: Any = answers.get("low_res_masks", answers.get("masks", ()))
        expected = np.asarray(answers.get("iou_predictions", ()), np.float32)
        if np.ndim(masks) != 4 or not np.size(masks) or expected.shape != np.shape(masks)[:2]:
            raise OperationFailed(
                f"{self.model.decoder.name!r} returned {sorted(answers)!r}, which are no masks. "
                "Use the export of Segment Anything's own script."
            )
        scores = expected[0].copy()
        if len(scores) > 1:
            scores[0] += (points - 2.5) * _MANY
        best = int(np.argmax(scores))
        plane = np.asarray(masks, np.float32)[0, best]
        if not (np.isfinite(plane).all() and np.isfinite(expected).all()):
            raise OperationFailed(
                "The network returned numbers that are not finite. Choose another model."
            )
        return plane, min(1.0, max(0.0, float(expected[0, best])))

    def _run(self, session: Any, feed: dict[str, Any]) -> dict[str, Any]:
        names = [one.name for one in session.get_outputs()]
        try:
            return dict(zip(names, session.run(None, feed), strict=True))
        except Exception as error:
            raise _failed(f"model {self.model.name!r} could not be run", error) from error


def _points(pointed: Pointed, scale: tuple[float, float]) -> tuple[_Plane, _Plane]:
    """Return what the decoder takes: (1, N, 2) x and y in the square, and (1, N) labels."""
    marked = [(x, y, _INSIDE) for x, y in pointed.points]
    marked += [(x, y, _OUTSIDE) for x, y in pointed.not_points]
    if pointed.box is None:
        marked.append((0, 0, _PADDING))
    else:
        left, top, right, bottom = pointed.box
        marked += [(left, top, _UPPER_LEFT), (right, bottom, _LOWER_RIGHT)]
    table = np.array(marked, np.float32)
    return (table[:, :2] * np.array(scale, np.float32))[None], table[None, :, 2]


def _full(logits: _Plane, inner: tuple[int, int], size: tuple[int, int]) -> _Plane:
    """Enlarge what the square has of the picture to the picture's own size."""
    if logits.shape == size:
        return logits
    square = cv2.resize(logits, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR)
    cropped = np.ascontiguousarray(np.asarray(square, np.float32)[: inner[0], : inner[1]])
    full = cv2.resize(cropped, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full, np.float32)


_loaded: dict[tuple[object, ...], Network] = {}


def network(model: Model) -> Network:
    """Return the networks of a pair; the last ones stay loaded in this process, and no others."""
    files = model.encoder.stat(), model.decoder.stat()
    key = (model, *(fact for one in files for fact in (one.st_mtime_ns, one.st_size)))
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = Network(model, _opened(model.encoder), _opened(model.decoder))
    return _loaded[key]


def forget() -> None:
    """Let go of the networks that are loaded."""
    _loaded.clear()


def _opened(path: Path) -> Any:
    try:
        runtime = import_module("onnxruntime")
    except ImportError as error:
        raise CapabilityMissing(
            f"onnxruntime does not import ({error}); nothing was computed. Run `{TOOL.command}`."
        ) from error
    options: Any = runtime.SessionOptions()
    # A worker keeps its networks between pictures: they give back what a run took, and their
    # threads sleep, since another worker may need the processors.
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with suppress(Exception):  # not every build has any telemetry to switch off
        runtime.disable_telemetry_events()
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _failed(f"{str(path)!r} could not be loaded", error) from error


def _failed(what: str, error: Exception) -> Exception:
    """Name the error of a library that has no common class for them; tell want of memory apart."""
    said = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "alloc" in said.lower():
        # The pool of workers knows what to say of it, and which limit to raise.
        return MemoryError(said[:300])
    return OperationFailed(
        f"{what}: {type(error).__name__}: {said[:300]!r}. Nothing was downloaded. "
        "Get the file anew, or choose another model."
    )
