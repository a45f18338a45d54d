"""A stand-in for two background removal services on loopback: it cuts out, charges and fails.

Its arithmetic is its own: what a provider makes of prices and headers is checked against it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import ceil, sqrt
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import InvalidInput
from maquette.imaging import codec, png
from maquette.testing.http_server import Exchange, LoopbackServer, Part, parts_of

Service = Literal["photoroom", "removebg"]
Does = Literal[
    "answer", "busy", "no-credit", "fail", "error", "cut-early", "cut-late", "cut-answer",
    "garbage", "html", "wrong-size", "no-alpha",
]  # fmt: skip
"""`cut-early`: before the body is read; `cut-late`: after it, with the work done and charged;
`cut-answer`: in the middle of the answer; `error`: any refusal, by `status` and `code`; `garbage`
and `html`: a 200 that is no picture. `wrong-size` and `no-alpha` are pictures all the same."""

_PATHS: Mapping[str, Service] = {"/v1/segment": "photoroom", "/v1.0/removebg": "removebg"}
_FIELDS: Mapping[Service, frozenset[str]] = {
    "photoroom": frozenset({"format", "channels", "bg_color", "size", "crop"}),
    "removebg": frozenset({"size", "format", "channels", "crop", "bg_color"}),
}
_PREVIEW_PIXELS = 250_000
_PNG_PIXELS = 10_000_000


@dataclass(frozen=True)
class Act:
    """What one call meets."""

    does: Does = "answer"
    status: int = 500
    code: str | None = None
    message: str = "The stand-in was told to say this."
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """More headers of the answer, or others."""
    charged: bool = True
    """Whether a `fail` comes after the work was done and billed."""
    delay_s: float = 0.0
    uncertainty: str | None = "0.12"
    credits: str | None = None
    """What the answer says was charged, where that is not what was."""
    body: bytes | None = None
    """Answer with these bytes instead."""


@dataclass(frozen=True)
class Seen:
    """One request as it came over the wire, and what was charged for it."""

    service: Service | None
    path: str
    headers: Mapping[str, str]
    fields: Mapping[str, str]
    files: Sequence[Part]
    act: Act
    charged_pictures: int = 0
    charged_credits: Decimal = Decimal(0)
    reply: bytes = b""


class CutoutStandIn:
    """Serves both services to holders of the right key.

    Acts are used up one a call; then it answers plainly.
    """

    def __init__(self, key: str = "a key for tests", script: Sequence[Act] = ()) -> None:
        self._key = key
        self._script = list(script)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.seen: list[Seen] = []
        self._server = LoopbackServer(self._handle)

    @property
    def url(self) -> str:
        return self._server.url

    def script(self, *acts: Act) -> None:
        """Let the next calls meet these."""
        with self._lock:
            self._script.extend(acts)

    @property
    def charged_pictures(self) -> int:
        """What the service that counts pictures has billed."""
        with self._lock:
            return sum(one.charged_pictures for one in self.seen)

    @property
    def charged_credits(self) -> Decimal:
        """What the service that counts credits has billed."""
        with self._lock:
            return sum((one.charged_credits for one in self.seen), Decimal(0))

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        self._server.__exit__(*exc)

    def _handle(self, exchange: Exchange) -> None:
        with self._lock:
            act = self._script.pop(0) if self._script else Act()
        service = _PATHS.get(exchange.path)
        if act.does == "cut-early":
            self._note(Seen(service, exchange.path, exchange.headers, {}, (), act))
            exchange.cut()
            return
        seen = _read(exchange, service, act)
        if act.delay_s and self._stopped.wait(act.delay_s):
            return
        refused = self._refusal(seen)
        if refused is not None:
            self._note(seen)
            status, code, message = refused
            _refuse(exchange, service, status, code, message, act.headers)
            return
        self._work(exchange, seen)

    def _refusal(self, seen: Seen) -> tuple[int, str, str] | None:
        """Return status, code and words of what stops a call before any work."""
        act = seen.act
        shown = seen.headers.get("x-api-key", "")
        if seen.service is None:
            return 404, "not_found", f"There is nothing at {seen.path}."
        if shown != self._key:
            return 403, "auth_failed", f"The key {shown} is not valid."
        scripted = {
            "busy": (429, "rate_limit_exceeded"),
            "no-credit": (402, "insufficient_credits"),
            "error": (act.status, "error"),
        }
        if act.does in scripted:
            status, code = scripted[act.does]
            return status, act.code or code, act.message
        unknown = set(seen.fields) - _FIELDS[seen.service]
        if unknown or [part.name for part in seen.files] != ["image_file"]:
            return 400, "invalid_parameter", f"Wrong fields: {sorted(unknown)}."
        try:
            codec.sniff(seen.files[0].data)
        except InvalidInput as error:
            return 400, "invalid_image", str(error)
        return None

    def _work(self, exchange: Exchange, seen: Seen) -> None:
        """Cut out, charge for it, and answer as the act says."""
        act = seen.act
        reply = _cutout(seen) if act.body is None else act.body
        owes = act.does != "fail" or act.charged
        by_credit = seen.service == "removebg"
        price = Decimal(1) if seen.fields.get("size") == "full" else Decimal("0.25")
        done = replace(
            seen,
            charged_pictures=int(owes and not by_credit),
            charged_credits=price if owes and by_credit else Decimal(0),
            reply=reply,
        )
        self._note(done)
        if act.does == "fail":
            _refuse(exchange, seen.service, act.status, "server_error", act.message, act.headers)
        elif act.does == "cut-late":
            exchange.cut()
        elif act.does == "cut-answer":
            exchange.begin(200, "image/png", {"Content-Length": str(len(reply))})
            exchange.send(reply[: len(reply) // 2])
            exchange.cut()
        elif act.does == "html":
            exchange.answer(200, b"<html>it works!</html>", media_type="text/html")
        elif act.does == "garbage":
            noise = bytes(range(200, 256)) * 4
            exchange.answer(200, noise, media_type="image/png", headers=_told(done))
        else:
            exchange.answer(200, reply, media_type="image/png", headers=_told(done))

    def _note(self, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)


def _read(exchange: Exchange, service: Service | None, act: Act) -> Seen:
    body = exchange.body()
    parts = parts_of(body, exchange.headers.get("content-type", ""))
    fields = {part.name: part.data.decode() for part in parts if part.filename is None}
    files = [part for part in parts if part.filename is not None]
    return Seen(service, exchange.path, exchange.headers, fields, files, act)


def _cutout(seen: Seen) -> bytes:
    """Make transparent what looks like the corners; the colours stay as they were sent."""
    colours = codec.decode(seen.files[0].data).pixels[..., :3]
    if seen.act.does == "no-alpha":
        return png.write(colours)
    corners = colours[[0, 0, -1, -1], [0, -1, 0, -1]].astype(np.int16)
    away = np.abs(colours.astype(np.int16) - np.median(corners, axis=0)).max(axis=2)
    cutout = np.dstack([colours, np.where(away > 24, 255, 0).astype(np.uint8)])
    return png.write(np.ascontiguousarray(cutout[:: _step(seen, cutout), :: _step(seen, cutout)]))


def _step(seen: Seen, cutout: NDArray[np.uint8]) -> int:
    """Return how much smaller the answer is than the picture that was sent."""
    pixels = cutout.shape[0] * cutout.shape[1]
    most = _PNG_PIXELS if seen.service == "removebg" else pixels
    if seen.fields.get("size") != "full":
        most = _PREVIEW_PIXELS
    step = max(1, ceil(sqrt(pixels / most)))
    return 2 * step if seen.act.does == "wrong-size" else step


def _told(seen: Seen) -> dict[str, str]:
    """Return the headers of an answer."""
    act = seen.act
    headers: dict[str, str] = {}
    if seen.service == "photoroom":
        headers |= {} if act.uncertainty is None else {"x-uncertainty-score": act.uncertainty}
    else:
        headers |= {
            "X-Credits-Charged": act.credits or str(seen.charged_credits),
            "X-RateLimit-Limit": "500",
            "X-RateLimit-Remaining": "499",
            "X-RateLimit-Reset": "1795000060",
        }
    return headers | {"Set-Cookie": "session=not-for-keeping"} | dict(act.headers)


def _refuse(
    exchange: Exchange,
    service: Service | None,
    status: int,
    code: str,
    message: str,
    headers: Mapping[str, str],
) -> None:
    """Answer with an error as the service words it."""
    document = {
        "photoroom": {"detail": message, "status_code": status, "type": code},
        "removebg": {"errors": [{"title": message, "code": code}]},
    }
    body = json.dumps(document[service or "photoroom"]).encode()
    exchange.answer(status, body, headers=headers)
