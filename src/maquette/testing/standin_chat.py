"""A stand-in for servers of chat completions on loopback, in three dialects.

`lm-studio` refuses `json_object`, WebP and addresses of pictures, writes errors as plain strings
and answers 200 at addresses that it does not know. `ollama` takes any key. `openai` wants the
right key, strict schemas and `max_completion_tokens`. Its arithmetic is its own: what the client
makes of prices and usage is checked against it.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, cast

from maquette.testing.http_server import Exchange, LoopbackServer

Dialect = Literal["lm-studio", "ollama", "openai"]
Does = Literal[
    "answer", "busy", "fail", "error", "cut-early", "cut-late", "cut-answer", "garbage", "redirect"
]
"""`cut-early`: before the body is read; `cut-late`: after it, with the work done and charged;
`cut-answer`: in the middle of the answer; `error`: any refusal, by `status` and `code`."""

MODELS = ("stand-in-7b", "stand-in-vision")


@dataclass(frozen=True)
class Act:
    """What one call of a conversation meets."""

    does: Does = "answer"
    text: str | None = None
    """None: a document that fits the schema that was asked for, or a greeting."""
    tool_calls: Sequence[Mapping[str, Any]] = ()
    finish: str = "stop"
    refusal: str | None = None
    usage: Any = "counted"
    """Anything else is reported instead of what was counted."""
    status: int = 500
    code: str | None = None
    message: str = "The stand-in was told to say this."
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None
    """Answer with these bytes instead."""
    delay_s: float = 0.0
    until: threading.Event | None = None
    """Answer only once it is set."""


@dataclass(frozen=True)
class Seen:
    """One request as it came over the wire, and what was charged for it."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    document: Mapping[str, Any]
    act: Act
    charged_nano: int = 0

    @property
    def texts(self) -> list[str]:
        return [_text(one.get("content")) for one in self.document["messages"]]

    @property
    def pictures(self) -> list[tuple[str, bytes]]:
        """Return the media types and bytes of all pictures."""
        return [_picture(uri) for uri in _uris(self.document)]


_LONGEST_S = 60.0
_NANO_IN, _NANO_OUT = 2500, 10000
"""Of one token, in billionths of a dollar: $2.50 and $10 per million."""
_PICTURE_TOKENS = 800


class ChatStandIn:
    """Serves `/v1/chat/completions` and `/v1/models`; acts are used up one a conversation call."""

    def __init__(
        self,
        dialect: Dialect = "lm-studio",
        *,
        key: str = "a key for tests",
        schemas: bool = True,
        models: Sequence[str] | None = MODELS,
        script: Sequence[Act] = (),
    ) -> None:
        self._dialect: Dialect = dialect
        self._key = key
        self._schemas = schemas
        self._models = models
        self._script = list(script)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.seen: list[Seen] = []
        """Only conversation calls."""
        self.arrived = threading.Event()
        """Set as soon as one has come in whole."""
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
        if exchange.path == "/v1/models" and exchange.method == "GET":
            self._list(exchange)
        elif exchange.path == "/v1/chat/completions" and exchange.method == "POST":
            self._converse(exchange)
        elif self._dialect == "lm-studio":
            said = f"Unexpected endpoint or method. ({exchange.method} {exchange.path})"
            exchange.answer(200, json.dumps({"error": said}).encode())
        else:
            self._refuse(exchange, 404, None, "404 page not found")

    def _list(self, exchange: Exchange) -> None:
        if not self._may(exchange):
            self._refuse(exchange, 401, "invalid_api_key", "no")
            return
        rows = None if self._models is None else [{"id": one} for one in self._models]
        exchange.answer(200, json.dumps({"object": "list", "data": rows}).encode())

    def _converse(self, exchange: Exchange) -> None:
        with self._lock:
            act = self._script.pop(0) if self._script else Act()
        if act.does == "cut-early":
            self._note(Seen(exchange.path, exchange.headers, b"", {}, act))
            exchange.cut()
            return
        body = exchange.body()
        document = cast("dict[str, Any]", json.loads(body))
        self.arrived.set()
        if act.delay_s and self._stopped.wait(act.delay_s):
            return
        if act.until is not None and not act.until.wait(_LONGEST_S):
            return
        complaint = self._complaint(exchange, document)
        scripted: Mapping[Does, tuple[int, str | None]] = {
            "busy": (429, act.code or "rate_limit_exceeded"),
            "fail": (act.status, "server_error"),
            "error": (act.status, act.code),
        }
        if complaint is None and act.does in scripted:
            status, code = scripted[act.does]
            complaint = (status, code, act.message)
        if complaint is not None:
            self._note(Seen(exchange.path, exchange.headers, body, document, act))
            status, code, said = complaint
            self._refuse(exchange, status, code, said, act.headers)
            return
        self._work(exchange, body, document, act)

    def _complaint(
        self, exchange: Exchange, document: Mapping[str, Any]
    ) -> tuple[int, str | None, str] | None:
        """Say what this server would not take, as (status, code, message)."""
        if not self._may(exchange):
            shown = exchange.headers.get("authorization", "")
            return 401, "invalid_api_key", f"Incorrect API key provided: {shown}"
        if document["model"] not in (self._models or ()):
            return 404, "model_not_found", f"model {document['model']!r} not found"
        form = document.get("response_format")
        if form is not None and not self._schemas:
            return 400, None, "response_format is not supported by this server"
        checks: Mapping[Dialect, Callable[[Mapping[str, Any]], str | None]] = {
            "lm-studio": _lm_studio,
            "ollama": _ollama,
            "openai": _openai,
        }
        said = checks[self._dialect](document)
        return None if said is None else (400, "invalid_request_error", said)

    def _may(self, exchange: Exchange) -> bool:
        shown = exchange.headers.get("authorization")
        return self._dialect != "openai" or shown == f"Bearer {self._key}"

    def _work(self, exchange: Exchange, body: bytes, document: Mapping[str, Any], act: Act) -> None:
        text = _made_up(document) if act.text is None and not act.tool_calls else act.text
        usage = _usage(document, text or "")
        charged = usage["prompt_tokens"] * _NANO_IN + usage["completion_tokens"] * _NANO_OUT
        self._note(Seen(exchange.path, exchange.headers, body, document, act, charged))
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if act.tool_calls:
            message["tool_calls"] = list(act.tool_calls)
        if act.refusal is not None:
            message |= {"content": None, "refusal": act.refusal}
        reply = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": document["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": act.finish}],
            "usage": usage if act.usage == "counted" else act.usage,
        }
        raw = json.dumps(reply).encode() if act.body is None else act.body
        if act.does == "cut-late":
            exchange.cut()
        elif act.does == "cut-answer":
            exchange.begin(200, "application/json", {"Content-Length": str(len(raw))})
            exchange.send(raw[: len(raw) // 2])
            exchange.cut()
        elif act.does == "garbage":
            exchange.answer(200, b"<html>it works!</html>", media_type="text/html")
        elif act.does == "redirect":
            exchange.answer(302, b"", headers={"Location": f"{self._server.url}/v2"})
        else:
            exchange.answer(200, raw)

    def _refuse(
        self,
        exchange: Exchange,
        status: int,
        code: str | None,
        message: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        inner = {"message": message, "type": "api_error", "param": None, "code": code}
        error: object = message if self._dialect == "lm-studio" else inner
        exchange.answer(status, json.dumps({"error": error}).encode(), headers=headers)

    def _note(self, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)


def _lm_studio(document: Mapping[str, Any]) -> str | None:
    form = document.get("response_format")
    if form is not None and form["type"] not in ("json_schema", "text"):
        return "'response_format.type' must be 'json_schema' or 'text'"
    for uri in _uris(document):
        if not uri.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")):
            return "'url' field must be a base64 encoded image of a supported format"
    return None


def _ollama(document: Mapping[str, Any]) -> str | None:
    if any(not uri.startswith("data:image/") for uri in _uris(document)):
        return "invalid image input"
    return None


def _openai(document: Mapping[str, Any]) -> str | None:
    if "max_tokens" in document:
        return "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    form = document.get("response_format")
    if form is not None and form["type"] == "json_schema":
        return _loose(form["json_schema"]["schema"])
    return None


def _loose(node: Any) -> str | None:
    """Say where a schema is not strict: each object closed, each member required."""
    if isinstance(node, list):
        return next((said for one in cast("list[Any]", node) if (said := _loose(one))), None)
    if not isinstance(node, dict):
        return None
    fields = cast("dict[str, Any]", node)
    members = fields.get("properties")
    if isinstance(members, dict) and fields.get("type") == "object":
        closed = fields.get("additionalProperties") is False
        if not closed or set(fields.get("required", ())) != set(cast("dict[str, Any]", members)):
            return "Invalid schema for response_format 'answer': objects must be strict"
    if "$ref" in fields and len(fields) > 1:
        return "Invalid schema for response_format 'answer': $ref cannot have keywords"
    if "default" in fields and isinstance(fields["default"], str | int | list):
        return "Invalid schema for response_format 'answer': 'default' is not permitted"
    return _loose(list(fields.values()))


def _made_up(document: Mapping[str, Any]) -> str:
    form = document.get("response_format")
    if form is None or form["type"] != "json_schema":
        return "Good morning."
    schema = form["json_schema"]["schema"]
    return json.dumps(_instance(schema, schema.get("$defs", {})))


def _instance(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Any:
    """Make the least value that fits a schema."""
    if "$ref" in schema:
        return _instance(defs[str(schema["$ref"]).rpartition("/")[2]], defs)
    if "anyOf" in schema:
        return _instance(schema["anyOf"][-1], defs)
    kind = schema.get("type")
    if kind == "object":
        return {name: _instance(one, defs) for name, one in schema["properties"].items()}
    if kind == "array":
        return [_instance(schema["items"], defs) for _ in range(schema.get("minItems", 0))]
    return {"string": "made up", "number": 0.5, "integer": 1, "boolean": True}.get(str(kind))


def _usage(document: Mapping[str, Any], text: str) -> dict[str, Any]:
    asked = sum(len(_text(one.get("content"))) for one in document["messages"])
    asked += len(json.dumps(document.get("response_format", ""))) // 2
    asked += len(json.dumps(document.get("tools", "")))
    prompt = 8 + asked // 4 + _PICTURE_TOKENS * len(_uris(document))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": 1 + len(text) // 4,
        "total_tokens": prompt + 1 + len(text) // 4,
    }


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in cast("list[Any]", content))
    return str(content or "")


def _uris(document: Mapping[str, Any]) -> list[str]:
    return [
        str(part["image_url"]["url"])
        for message in document["messages"]
        if isinstance(message.get("content"), list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]


def _picture(uri: str) -> tuple[str, bytes]:
    head, _, data = uri.partition(",")
    return head.removeprefix("data:").partition(";")[0], base64.b64decode(data)
