"""A stand-in for servers that speak the web UI's API, on loopback: one at a time, free, untidy.

It reads a mask as the real one does, whatever the provider thinks of it: with any transparency
opaque = edit, else white = edit. Pictures depend on the seed, and change only where the mask is.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import InvalidInput
from maquette.imaging import codec, png
from maquette.pixels import resample
from maquette.testing.http_server import Exchange, LoopbackServer

Dialect = Literal["webui", "sdcpp", "drawthings"]
"""`sdcpp` and `drawthings` have no progress and ignore checkpoints; the latter lists none."""

Does = Literal[
    "answer", "error", "no-memory", "cut-early", "cut-late", "cut-answer", "garbage", "hold",
]  # fmt: skip
"""`hold`: half done until `go_on`, an interrupt, or the end; `error`: any refusal by `status`."""

_PREFIX = "/sdapi/v1/"
_MEMORY = "CUDA out of memory. Tried to allocate 4.50 GiB."


@dataclass(frozen=True)
class Act:
    """What one call for pictures meets."""

    does: Does = "answer"
    status: int = 500
    problem: Any = field(default_factory=lambda: {"detail": "The stand-in was told to say this."})
    """The body of an `error`; bytes are sent as they are."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    sheet: bool = False
    """A sheet of all pictures comes first, as it may where several are asked for."""
    masks: bool = False
    """A mask comes after each picture, as a setting of the real server has it."""
    data_address: bool = False
    info: Any = None
    """Tell this about the pictures, instead of the truth."""
    body: bytes | None = None
    """Answer with these bytes instead."""


@dataclass(frozen=True)
class Seen:
    """One call for pictures as it came over the wire."""

    path: str
    headers: Mapping[str, str]
    fields: Mapping[str, Any]
    act: Act
    reply: bytes = b""

    def picture(self, name: Literal["init_images", "mask"]) -> bytes:
        """Return a picture of the call as its file's bytes."""
        return base64.b64decode(
            self.fields[name][0] if name == "init_images" else self.fields[name]
        )


@dataclass
class _Work:
    """What the server says of its state; it does not say whose work it is."""

    job_count: int = 0
    fraction: float = 0.0
    preview: bytes | None = None


class A1111StandIn:
    """Serves one call at a time; acts are used up one a call, then it answers plainly."""

    def __init__(
        self,
        dialect: Dialect = "webui",
        *,
        checkpoints: Sequence[str] = ("photon_v1", "dreamer_xl"),
        login: tuple[str, str] | None = None,
        script: Sequence[Act] = (),
    ) -> None:
        self._dialect: Dialect = dialect
        self._checkpoints = tuple(checkpoints)
        self._login = login
        self._script = list(script)
        self._lock = threading.Lock()
        self._queue = threading.Lock()
        self._work = _Work()
        self._go_on = threading.Event()
        self.working = threading.Event()
        """Set while a `hold` is half done."""
        self.interrupted = threading.Event()
        self.looks = 0
        """How often somebody asked for the progress."""
        self.seen: list[Seen] = []
        self._server = LoopbackServer(self._handle)

    @property
    def url(self) -> str:
        return self._server.url

    def script(self, *acts: Act) -> None:
        """Let the next calls meet these."""
        with self._lock:
            self._script.extend(acts)

    def go_on(self) -> None:
        """Let what is held be finished."""
        self._go_on.set()

    @contextmanager
    def at_other_work(self) -> Generator[None]:
        """Be busy for somebody else meanwhile: calls wait."""
        with self._queue:
            self._work = _Work(1, 0.4, _preview(77))
            try:
                yield
            finally:
                self._work = _Work()

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._go_on.set()
        self._server.__exit__(*exc)

    def _handle(self, exchange: Exchange) -> None:
        path = exchange.path.partition("?")[0].removeprefix(_PREFIX)
        if not self._welcome(exchange):
            _answer(exchange, 401, {"detail": "Incorrect username or password"})
        elif path in ("txt2img", "img2img") and exchange.method == "POST":
            self._generate(exchange)
        elif path == "sd-models" and self._dialect != "drawthings":
            rows = [_row(name, self._dialect) for name in self._checkpoints]
            _answer(exchange, 200, rows)
        elif path == "progress" and self._dialect == "webui":
            self.looks += 1
            _answer(exchange, 200, self._progress("skip_current_image=true" in exchange.path))
        elif path == "interrupt" and self._dialect == "webui" and exchange.method == "POST":
            self.interrupted.set()
            _answer(exchange, 200, {})
        else:
            _answer(exchange, 404, {"detail": "Not Found"})

    def _welcome(self, exchange: Exchange) -> bool:
        if self._login is None:
            return True
        kind, _, shown = exchange.headers.get("authorization", "").partition(" ")
        wanted = base64.b64encode(":".join(self._login).encode()).decode()
        return kind == "Basic" and shown == wanted

    def _progress(self, skip_preview: bool) -> dict[str, Any]:  # noqa: FBT001 - as the API has it
        work = self._work
        preview = None if skip_preview or work.preview is None else _text(work.preview)
        state = {"job_count": work.job_count, "job": "scripts_txt2img" if work.job_count else ""}
        return {"progress": work.fraction, "state": state, "current_image": preview}

    def _generate(self, exchange: Exchange) -> None:
        with self._lock:
            act = self._script.pop(0) if self._script else Act()
        if act.does == "cut-early":
            exchange.cut()
            return
        seen = Seen(exchange.path, exchange.headers, json.loads(exchange.body()), act)
        with self._queue:
            self._work = _Work(1, 0.01)
            if act.does == "hold":
                self._hold()
            self._work = _Work()
        refused = self._refusal(seen)
        if refused is not None:
            self._note(seen)
            _answer(exchange, refused[0], refused[1], act.headers)
            return
        reply = self._reply(seen) if act.body is None else act.body
        self._note(Seen(seen.path, seen.headers, seen.fields, act, reply))
        if act.does == "cut-late":
            exchange.cut()
        elif act.does == "cut-answer":
            exchange.begin(200, "application/json", {"Content-Length": str(len(reply))})
            exchange.send(reply[: len(reply) // 2])
            exchange.cut()
        elif act.does == "garbage":
            exchange.answer(200, b"<html>it works!</html>", media_type="text/html")
        else:
            exchange.answer(200, reply)

    def _hold(self) -> None:
        self.interrupted.clear()
        self._work = _Work(1, 0.5, _preview(5))
        self.working.set()
        while not (self._go_on.is_set() or self.interrupted.is_set()):
            self._go_on.wait(0.01)
        self.working.clear()

    def _refusal(self, seen: Seen) -> tuple[int, Any] | None:
        act, fields = seen.act, seen.fields
        if act.does == "error":
            return act.status, act.problem
        if act.does == "no-memory":
            return 500, {"error": "OutOfMemoryError", "detail": "", "body": "", "errors": _MEMORY}
        if self._dialect == "sdcpp" and not fields.get("prompt"):
            return 400, {"error": "prompt required"}
        if seen.path.endswith("img2img"):
            try:
                codec.decode(seen.picture("init_images"))
            except (InvalidInput, KeyError, IndexError, binascii.Error):
                return 404, {"detail": "Init image not found"}
        return None

    def _reply(self, seen: Seen) -> bytes:
        fields, act = seen.fields, seen.act
        asked = int(fields.get("seed", -1))
        first = 3_000_000_000 + len(self.seen) if asked == -1 else asked
        seeds = [first + index for index in range(int(fields.get("batch_size", 1)))]
        pictures = [png.write(_painted(seen, seed)) for seed in seeds]
        if act.masks:
            pictures = [one for picture in pictures for one in (picture, seen.picture("mask"))]
        if act.sheet:
            pictures = [_preview(len(pictures)), *pictures]
        address = "data:image/png;base64," if act.data_address else ""
        document: dict[str, Any] = {
            "images": [address + _text(one) for one in pictures],
            "parameters": {**fields, "init_images": None, "mask": None},
            "info": act.info or self._info(seen, seeds),
        }
        if self._dialect == "drawthings":
            del document["parameters"], document["info"]
        return json.dumps(document).encode()

    def _info(self, seen: Seen, seeds: Sequence[int]) -> str:
        if self._dialect == "sdcpp":
            return ""
        wanted = seen.fields.get("override_settings", {}).get("sd_model_checkpoint")
        # A checkpoint that it does not know, the real one ignores too.
        used = wanted if wanted in self._checkpoints else self._checkpoints[0]
        told = {
            "seed": seeds[0],
            "all_seeds": list(seeds),
            "index_of_first_image": int(seen.act.sheet),
            "sd_model_name": used,
            "sd_model_hash": "0123456789",
            "sampler_name": seen.fields.get("sampler_name", "DPM++ 2M"),
            "cfg_scale": seen.fields.get("cfg_scale", 7.0),
            "version": "v1.10.1",
        }
        return json.dumps(told)

    def _note(self, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)


def _painted(seen: Seen, seed: int) -> NDArray[np.uint8]:
    """Return a picture of the seed; with a mask, the source with that picture inside it."""
    fields = seen.fields
    width_px, height_px = int(fields["width"]), int(fields["height"])
    pixels = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), np.uint8)
    if not fields.get("mask"):
        return pixels
    source = codec.decode(seen.picture("init_images")).pixels[..., :3]
    marks = edited(seen.picture("mask"))
    if marks.shape != source.shape[:2]:
        marks = np.zeros(source.shape[:2], bool)
    size = {"width_px": width_px, "height_px": height_px}
    source = resample.resize(np.ascontiguousarray(source), **size)
    inside = resample.resize(marks.astype(np.uint8) * np.uint8(255), **size) >= 128
    return np.where(inside[..., None], pixels, source)


def edited(mask: bytes) -> NDArray[np.bool_]:
    """Return where a mask says that a picture is edited, as the web UI reads it."""
    pixels = codec.decode(mask).pixels
    if pixels.shape[2] == 4 and pixels[..., 3].min() < 255:
        return pixels[..., 3] >= 128
    return pixels[..., :3].mean(axis=2) >= 128


def _preview(seed: int) -> bytes:
    return png.write(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8))


def _row(name: str, dialect: Dialect) -> dict[str, Any]:
    title = f"{name}.safetensors [0123456789]" if dialect == "webui" else name
    return {"title": title, "model_name": name, "hash": None, "filename": f"/models/{name}"}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _answer(
    exchange: Exchange, status: int, document: Any, headers: Mapping[str, str] | None = None
) -> None:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    exchange.answer(status, body, headers=headers)
