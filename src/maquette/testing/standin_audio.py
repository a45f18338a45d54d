"""A stand-in for the audio API on loopback: it writes down, speaks, charges and fails like it.

Its arithmetic is its own: what the clients make of prices is checked against it.
"""

from __future__ import annotations

import io
import json
import math
import struct
import threading
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from maquette.testing.http_server import Exchange, LoopbackServer, Part, parts_of

Does = Literal["answer", "busy", "error", "fail", "cut-early", "cut-late", "cut-answer", "garbage"]
"""`cut-early`: before the body is read; `cut-late`: after it, with the work done and charged;
`cut-answer`: in the middle of the answer; `error`: any refusal, by `status` and `code`; `fail`:
after the work was done and charged."""

_LONGEST_S = 60.0
_NANO_PER_SECOND = 75_000
_NANO_PER_CHARACTER = 15_000


@dataclass(frozen=True)
class Act:
    """What one call meets."""

    does: Does = "answer"
    status: int = 500
    code: str | None = None
    message: str = "The stand-in was told to say this."
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay_s: float = 0.0
    until: threading.Event | None = None
    """Answer only once it is set."""
    text: str = "Run the pipeline with 3 candidates."
    counts: bool = True
    """The answer says how many seconds were billed."""
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
    charged_nano: int = 0


def tone(seconds: float = 1.0, rate: int = 16_000, hertz: float = 440.0) -> bytes:
    """Return a WAV file that hums."""
    count = int(seconds * rate)
    values = [int(12_000 * math.sin(2 * math.pi * hertz * one / rate)) for one in range(count)]
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, rate, 0, "NONE", ""))
        writer.writeframes(struct.pack(f"<{count}h", *values))
    return file.getvalue()


SOUNDS: Mapping[str, bytes] = {
    "wav": tone(),
    "mp3": b"\xff\xfb\x90\x00" + bytes(413),
    "opus": b"OggS\x00\x02" + bytes(100),
    "flac": b"fLaC\x00\x00\x00\x22" + bytes(100),
}
"""What is spoken, by `response_format`: only the first bytes of the packed ones are true."""


class StandInAudio:
    """Serves `/v1/audio/transcriptions` and `/v1/audio/speech` to holders of the right key.

    `key=None` serves those who show none. Acts are used up one a call; then it answers plainly.
    """

    def __init__(self, key: str | None = "a key for tests", script: Sequence[Act] = ()) -> None:
        self._key = key
        self._script = list(script)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
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

    def _handle(self, exchange: Exchange) -> None:
        with self._lock:
            act = self._script.pop(0) if self._script else Act()
        if act.does == "cut-early":
            self._note(Seen(exchange.path, exchange.headers, b"", {}, ()))
            exchange.cut()
            return
        seen = _read(exchange)
        if act.delay_s and self._stopped.wait(act.delay_s):
            return
        if act.until is not None and not act.until.wait(_LONGEST_S):
            return
        if exchange.headers.get("authorization") != (self._key and f"Bearer {self._key}"):
            self._note(seen)
            shown = exchange.headers.get("authorization", "")
            _refuse(exchange, 401, "invalid_api_key", f"Incorrect API key provided: {shown}")
        elif act.does in ("busy", "error"):
            self._note(seen)
            status = 429 if act.does == "busy" else act.status
            _refuse(exchange, status, act.code, act.message, act.headers)
        else:
            self._work(exchange, seen, act)

    def _work(self, exchange: Exchange, seen: Seen, act: Act) -> None:
        """Do the work, charge for it, and answer as the act says."""
        speaks = seen.path.endswith("/speech")
        reply, charged = _speech(seen) if speaks else _transcript(seen, act)
        reply = reply if act.body is None else act.body
        self._note(replace(seen, charged_nano=charged))
        media_type = "application/octet-stream" if speaks else "application/json"
        if act.does == "fail":
            _refuse(exchange, act.status, "server_error", act.message)
        elif act.does == "cut-late":
            exchange.cut()
        elif act.does == "cut-answer":
            exchange.begin(200, media_type, {"Content-Length": str(len(reply))})
            exchange.send(reply[: len(reply) // 2])
            exchange.cut()
        elif act.does == "garbage":
            exchange.answer(200, b"<html>it works!</html>", media_type="text/html")
        else:
            exchange.answer(200, reply, media_type=media_type)

    def _note(self, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)


def _read(exchange: Exchange) -> Seen:
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
    return Seen(exchange.path, exchange.headers, body, fields, files)


def _speech(seen: Seen) -> tuple[bytes, int]:
    sound = SOUNDS[str(seen.fields.get("response_format", "mp3"))]
    return sound, len(str(seen.fields["input"])) * _NANO_PER_CHARACTER


def _transcript(seen: Seen, act: Act) -> tuple[bytes, int]:
    data = next(part.data for part in seen.files if part.name == "file")
    seconds = 7
    if data[:4] == b"RIFF":
        with wave.open(io.BytesIO(data)) as reader:
            seconds = math.ceil(reader.getnframes() / reader.getframerate())
    document: dict[str, Any] = {"text": act.text}
    if act.counts:
        document["usage"] = {"type": "duration", "seconds": seconds}
    return json.dumps(document).encode(), seconds * _NANO_PER_SECOND


def _refuse(
    exchange: Exchange,
    status: int,
    code: str | None,
    message: str,
    headers: Mapping[str, str] | None = None,
) -> None:
    error = {"message": message, "type": "api_error", "param": None, "code": code}
    exchange.answer(status, json.dumps({"error": error}).encode(), headers=headers)
