"""A stand-in for the OpenAI Images API on loopback: it answers, charges and fails like it.

Its arithmetic is its own: what the provider makes of prices and replies is checked against it.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Literal, Self, cast

import numpy as np

from maquette.imaging import codec
from maquette.imaging.encode import EncodeFormat
from maquette.testing.http_server import Exchange, LoopbackServer, Part, parts_of

Does = Literal[
    "answer", "busy", "fail", "moderate", "cut-early", "cut-late", "cut-answer", "garbage", "error",
    "no-stream", "moderate-late", "stream-ends", "stream-fails", "stream-garbage",
]  # fmt: skip
"""`cut-early`: before the body is read; `cut-late`: after it, with the work done and charged;
`cut-answer`: in the middle of the answer; `error`: any refusal, by `status` and `code`;
`no-stream`: a plain answer where a stream was asked for; `moderate-late`: as the stream's end.
The other acts of a stream end it without a finished picture."""


@dataclass(frozen=True)
class Act:
    """What one call meets."""

    does: Does = "answer"
    status: int = 500
    code: str | None = None
    message: str = "The stand-in was told to say this."
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    charged: bool = True
    """Whether a `fail` comes after the work was done and billed."""
    delay_s: float = 0.0
    cached_text: int | None = None
    """Text tokens that are billed as read from the cache."""
    body: bytes | None = None
    """Answer with these bytes instead."""


@dataclass(frozen=True)
class Seen:
    """One request as it came over the wire, and what was charged for it."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    fields: Mapping[str, Any]
    files: Sequence[Part]
    act: Act
    charged_nano: int = 0
    reply: bytes = b""

    def file(self, name: str) -> Part:
        return next(part for part in self.files if part.name == name)


_NANO = {"text": 5000, "cached_text": 1250, "image": 8000, "out": 30000}
"""Of one token, in billionths of a dollar: the price table of the 2, 2.5 and 2.6 families."""
_GRIDS: Mapping[str, Mapping[str, int]] = {
    "gpt-image-2": {"low": 16, "medium": 48, "high": 96},
    "gpt-image-2.5": {"low": 16, "medium": 24, "high": 48, "xhigh": 64, "max": 96},
}
_INPUT_PICTURE = 1500
_PARTIAL = 100


class StandIn:
    """Serves `/v1/images/generations` and `/v1/images/edits` to holders of the right key.

    `key=None` serves those who show none. Acts are used up one a call; then it answers plainly.
    """

    def __init__(
        self,
        key: str | None = "a key for tests",
        script: Sequence[Act] = (),
        *,
        choose: Callable[[Seen], Act] | None = None,
    ) -> None:
        self._key = key
        self._script = list(script)
        self._choose = choose
        """Picks an act by what was asked, instead of the script."""
        self._under_way = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._pictures: dict[tuple[Any, ...], bytes] = {}
        self.seen: list[Seen] = []
        self._server = LoopbackServer(self._handle)

    @property
    def url(self) -> str:
        return f"{self._server.url}/v1"

    def script(self, *acts: Act) -> None:
        """Let the next calls meet these."""
        with self._lock:
            self._script.extend(acts)

    @property
    def charged_nano(self) -> int:
        with self._lock:
            return sum(one.charged_nano for one in self.seen)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        self._server.__exit__(*exc)

    @property
    def idle(self) -> bool:
        """Whether every call that came in has been worked and noted."""
        with self._lock:
            return self._under_way == 0

    def _handle(self, exchange: Exchange) -> None:
        with self._lock:
            self._under_way += 1
        try:
            self._meet(exchange)
        finally:
            with self._lock:
                self._under_way -= 1

    def _meet(self, exchange: Exchange) -> None:
        with self._lock:
            act = self._script.pop(0) if self._script else Act()
        if self._choose is not None:
            act = self._choose(_read(exchange, act))
        if act.does == "cut-early":
            self._note(Seen(exchange.path, exchange.headers, b"", {}, (), act))
            exchange.cut()
            return
        seen = _read(exchange, act)
        if act.delay_s and self._stopped.wait(act.delay_s):
            return
        if exchange.headers.get("authorization") != (self._key and f"Bearer {self._key}"):
            self._note(seen)
            shown = exchange.headers.get("authorization", "")
            _refuse(exchange, 401, "invalid_api_key", f"Incorrect API key provided: {shown}")
            return
        refusals: Mapping[Does, Callable[[], None]] = {
            "busy": lambda: _refuse(
                exchange, 429, act.code or "rate_limit_exceeded", act.message, act.headers
            ),
            "moderate": lambda: _refuse(exchange, 400, "moderation_blocked", act.message),
            "error": lambda: _refuse(exchange, act.status, act.code, act.message, act.headers),
        }
        if act.does in refusals:
            self._note(seen)
            refusals[act.does]()
            return
        self._work(exchange, seen)

    def _work(self, exchange: Exchange, seen: Seen) -> None:
        """Make the pictures, charge for them, and answer as the act says."""
        act = seen.act
        usage = _usage(seen)
        reply = self._reply(seen, usage) if act.body is None else act.body
        owes = act.does != "fail" or act.charged
        charged = _charge(usage) if owes else 0
        self._note(replace(seen, charged_nano=charged, reply=reply))
        if act.does == "fail":
            _refuse(exchange, act.status, "server_error", act.message)
        elif act.does == "cut-late":
            exchange.cut()
        elif act.does == "cut-answer":
            exchange.begin(200, "application/json", {"Content-Length": str(len(reply))})
            exchange.send(reply[: len(reply) // 2])
            exchange.cut()
        elif act.does == "garbage":
            exchange.answer(200, b"<html>it works!</html>", media_type="text/html")
        elif _streams(seen) and act.does != "no-stream":
            self._stream(exchange, seen, json.loads(reply))
        else:
            exchange.answer(200, reply, headers={"x-request-id": f"req_{len(self.seen)}"})

    def _stream(self, exchange: Exchange, seen: Seen, reply: dict[str, Any]) -> None:
        kind = "image_edit" if seen.path.endswith("/edits") else "image_generation"
        shared = {name: reply[name] for name in ("background", "output_format", "quality", "size")}
        shared["created_at"] = reply["created"]
        exchange.begin(200, "text/event-stream; charset=utf-8", {})
        for index in range(int(seen.fields["partial_images"])):
            picture = base64.b64encode(self._picture((64, 64), 100 + index, "png")).decode()
            kept = {"type": f"{kind}.partial_image", "partial_image_index": index, **shared}
            _event(exchange, {**kept, "b64_json": picture})
        codes = {"moderate-late": "moderation_blocked", "stream-fails": "server_error"}
        if seen.act.does in codes:
            error = {"code": codes[seen.act.does], "message": seen.act.message}
            _event(exchange, {"type": "error", "error": error})
            return
        if seen.act.does in ("stream-ends", "stream-garbage"):
            exchange.send(b"data: {no json\n\n" if seen.act.does == "stream-garbage" else b"")
            return
        done = {"type": f"{kind}.completed", **shared, "usage": reply["usage"]}
        _event(exchange, {**done, "b64_json": reply["data"][0]["b64_json"]})

    def _reply(self, seen: Seen, usage: dict[str, Any]) -> bytes:
        wanted = str(seen.fields.get("output_format", "png"))
        pictures = [
            self._picture(_size(seen), index, wanted) for index in range(int(seen.fields["n"]))
        ]
        document = {
            "created": 1_795_000_000,
            "background": "opaque",
            "output_format": wanted,
            "quality": _quality(seen),
            "size": "x".join(str(side) for side in _size(seen)),
            "data": [{"b64_json": base64.b64encode(one).decode()} for one in pictures],
            "usage": usage,
        }
        return json.dumps(document).encode()

    def _picture(self, size: tuple[int, int], index: int, kind: str) -> bytes:
        """Return a gradient with a patch of noise, another one for each index."""
        known = (size, index, kind)
        if known not in self._pictures:
            rows, columns = np.ogrid[0 : size[1], 0 : size[0]]
            pixels = np.empty((size[1], size[0], 3), np.uint8)
            pixels[..., 0] = rows * 255 // size[1]
            pixels[..., 1] = columns * 255 // size[0]
            pixels[..., 2] = 40 + 15 * index % 200
            patch = pixels[:32, :32]
            patch[:] = np.random.default_rng(index).integers(0, 256, patch.shape, np.uint8)
            self._pictures[known] = codec.encode(pixels, format=cast("EncodeFormat", kind))
        return self._pictures[known]

    def _note(self, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)


def _read(exchange: Exchange, act: Act) -> Seen:
    body = exchange.body()
    kind = exchange.headers.get("content-type", "")
    fields: dict[str, Any] = {}
    files: list[Part] = []
    if kind.startswith("multipart/form-data"):
        for part in parts_of(body, kind):
            if part.filename is None:
                fields[part.name] = part.data.decode()
            else:
                files.append(part)
    else:
        fields = json.loads(body)
    return Seen(exchange.path, exchange.headers, body, fields, files, act)


def _streams(seen: Seen) -> bool:
    return str(seen.fields.get("stream", "false")).lower() == "true"


def _quality(seen: Seen) -> str:
    quality = str(seen.fields.get("quality", "auto"))
    return "high" if quality == "auto" else quality


def _size(seen: Seen) -> tuple[int, int]:
    size = str(seen.fields["size"])
    if size == "auto":
        return 1024, 1024
    width, _, height = size.partition("x")
    return int(width), int(height)


def _usage(seen: Seen) -> dict[str, Any]:
    text = 8 + len(str(seen.fields["prompt"])) // 4
    image = _INPUT_PICTURE * len(seen.files)
    out = _tokens(seen) * int(seen.fields["n"]) + _PARTIAL * _partials(seen)
    details: dict[str, Any] = {"text_tokens": text, "image_tokens": image}
    if seen.act.cached_text is not None:
        details["cached_tokens_details"] = {"text_tokens": seen.act.cached_text, "image_tokens": 0}
    return {
        "input_tokens": text + image,
        "input_tokens_details": details,
        "output_tokens": out,
        "total_tokens": text + image + out,
    }


def _partials(seen: Seen) -> int:
    return int(seen.fields.get("partial_images", 0)) if _streams(seen) else 0


def _tokens(seen: Seen) -> int:
    model = str(seen.fields["model"])
    width_px, height_px = _size(seen)
    grid = _GRIDS["gpt-image-2" if model == "gpt-image-2" else "gpt-image-2.5"]
    cells = grid[_quality(seen)]
    shape = min(width_px, height_px) / max(width_px, height_px)
    tokens = ceil(cells * round(cells * shape) * (0.5 + width_px * height_px / 4_000_000))
    return tokens * 3 if "2.6" in model and cells < 48 else tokens


def _charge(usage: dict[str, Any]) -> int:
    details = usage["input_tokens_details"]
    cached = details.get("cached_tokens_details", {}).get("text_tokens", 0)
    return (
        (details["text_tokens"] - cached) * _NANO["text"]
        + cached * _NANO["cached_text"]
        + details["image_tokens"] * _NANO["image"]
        + usage["output_tokens"] * _NANO["out"]
    )


def _refuse(
    exchange: Exchange,
    status: int,
    code: str | None,
    message: str,
    headers: Mapping[str, str] | None = None,
) -> None:
    kind = "image_generation_user_error" if code == "moderation_blocked" else "api_error"
    error = {"message": message, "type": kind, "param": None, "code": code}
    exchange.answer(status, json.dumps({"error": error}).encode(), headers=headers)


def _event(exchange: Exchange, document: dict[str, Any]) -> None:
    exchange.send(f"event: {document['type']}\ndata: {json.dumps(document)}\n\n".encode())
