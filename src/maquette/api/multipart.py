"""Reading `multipart/form-data` as it comes: files go to the disk, nothing is held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from maquette.api.house import House
from maquette.core.errors import BadParameter, RequestTimedOut, TooManyRequests, UnsupportedMedia

PACE_BYTES = 64 * 1024
PACE_S = 30.0
"""A client has to send so many bytes in so long a time, or all there are."""
MOST_FILES = 32
_MOST_FIELDS = 128
_MOST_TEXT = 1024 * 1024
_MOST_AROUND = 4 * 1024 * 1024
"""Of a form, all that is not in its files: fields, the heads of parts, boundaries."""
_AGAIN_S = 5.0


class Intake(Protocol):
    """Where the files of a form go, one after the other."""

    @property
    def count(self) -> int: ...

    async def begin(self, name: str, part: str) -> None:
        """Begin the next file, which came in the part of that name."""

    async def write(self, data: bytes) -> None:
        """Write more of it."""

    async def end(self) -> None:
        """End it."""


@dataclass(frozen=True)
class Field:
    """Where a part begins."""

    name: str
    filename: str


@asynccontextmanager
async def slot(house: House) -> AsyncGenerator[None]:
    """Take one of the places for uploads; raise `TooManyRequests` where all are taken."""
    if house.uploads.locked():
        raise TooManyRequests(
            f"{house.rules.parallel_uploads} uploads are in progress, which is the most at once. "
            "Try again soon.",
            retry_after=_AGAIN_S,
        )
    async with house.uploads:
        yield


async def pieces(request: Request, house: House) -> AsyncGenerator[bytes]:
    """Read the body as it comes; raise where the client goes silent, or away."""
    pace_s = min(PACE_S, house.rules.request_timeout_s)
    came = 0
    loop = asyncio.get_running_loop()
    stream = request.stream()
    deadline = loop.time() + pace_s
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                piece = await anext(stream, None)
        except TimeoutError:
            raise RequestTimedOut(
                f"Fewer than {PACE_BYTES} bytes came within {pace_s:g} s, so the upload was given "
                "up. Send it again, or as a resumable upload."
            ) from None
        except ClientDisconnect:
            raise BadParameter("The connection ended before the body did; send it again.") from None
        if piece is None:
            return
        came += len(piece)
        if came >= PACE_BYTES:
            came = 0
        if piece:
            yield piece
        if came == 0:
            deadline = loop.time() + pace_s


@dataclass(frozen=True)
class Parts:
    """What a form may have: a name with brackets, `size[width]`, belongs to what is before them."""

    fields: frozenset[str]
    files: frozenset[str] = frozenset({"file"})
    most_field_bytes: int = 16 * 1024
    needs_file: bool = True


async def receive(
    request: Request, house: House, intake: Intake, parts: Parts
) -> Mapping[str, str]:
    """Hand every file to the intake; return the other fields, of which all must be known."""
    form = _Form(intake, parts)
    reading = _Reading(_boundary(request))
    around = 0
    async with aclosing(pieces(request, house)) as body:
        async for piece in body:
            around += len(piece)
            for event in reading.feed(piece):
                around -= await form.take(event)
            if around > _MOST_AROUND:
                raise BadParameter("The form has too much beside its files; send less.")
            if reading.whole:  # what comes after the last boundary is nobody's
                break
    if not reading.whole:
        raise BadParameter("The body ends in the middle of a part; send it again.")
    if parts.needs_file and intake.count == 0:
        names = " or ".join(repr(name) for name in sorted(parts.files))
        raise BadParameter(f"The form has no part called {names}; add at least one.")
    return form.fields


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise UnsupportedMedia(
            "Send the body as multipart/form-data, each file in a part of its own."
        )
    return options[b"boundary"]


class _Form:
    """Where the parts go."""

    def __init__(self, intake: Intake, parts: Parts) -> None:
        self._intake = intake
        self._parts = parts
        self._part: Field | None = None
        self._text = bytearray()
        self._texts = 0
        self.fields: dict[str, str] = {}

    async def take(self, event: Field | bytes | None) -> int:
        """Take the beginning of a part, a piece of it, or (None) its end.

        Return how many bytes of it went into a file.
        """
        if isinstance(event, Field):
            self._part = event
            await self._begin(event)
        elif self._part is None:
            return 0
        elif event is None:
            await self._end(self._part)
        elif self._part.name in self._parts.files:
            await self._intake.write(event)
            return len(event)
        else:
            self._say(self._part, event)
        return 0

    def _say(self, part: Field, text: bytes) -> None:
        self._text += text
        self._texts += len(text)
        if len(self._text) > self._parts.most_field_bytes:
            raise BadParameter(
                f"The field {part.name!r} is longer than {self._parts.most_field_bytes} bytes."
            )
        if self._texts > _MOST_TEXT:
            raise BadParameter(
                f"The fields of the form are longer than {_MOST_TEXT} bytes together; send less."
            )

    async def _begin(self, part: Field) -> None:
        if part.name in self._parts.files:
            if self._intake.count == MOST_FILES:
                raise BadParameter(f"Send at most {MOST_FILES} files at once.")
            await self._intake.begin(part.filename or "picture", part.name)
            return
        if part.name.partition("[")[0] not in self._parts.fields:
            listed = ", ".join(sorted(self._parts.fields | self._parts.files))
            raise BadParameter(
                f"The form has no field {part.name!r}; it has {listed}.", param=part.name[:80]
            )
        if part.name in self.fields:
            raise BadParameter(f"The field {part.name!r} comes twice; send it once.")
        if len(self.fields) == _MOST_FIELDS:
            raise BadParameter(f"Send at most {_MOST_FIELDS} fields in a form.")
        self._text.clear()

    async def _end(self, part: Field) -> None:
        if part.name in self._parts.files:
            await self._intake.end()
        else:
            self.fields[part.name] = plain_text(bytes(self._text), part.name)


def plain_text(data: bytes, what: str) -> str:
    """Decode text that every database can keep."""
    try:
        found = data.decode()
    except UnicodeDecodeError:
        raise BadParameter(f"{what!r} is not UTF-8; send it as UTF-8.") from None
    if "\0" in found:
        raise BadParameter(f"{what!r} has a NUL character; leave it out.")
    return found


class _Reading:
    """The parser's callbacks, turned into a list of what one piece of the body holds."""

    def __init__(self, boundary: bytes) -> None:
        self._events: list[Field | bytes | None] = []
        self._name = b""
        self._value = b""
        self._disposition = b""
        self.whole = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begun,
                    "on_header_field": self._named,
                    "on_header_value": self._valued,
                    "on_header_end": self._header,
                    "on_headers_finished": self._headed,
                    "on_part_data": self._data,
                    "on_part_end": lambda: self._events.append(None),
                    "on_end": self._ended,
                },
            )
        except FormParserError as error:
            raise _malformed(error) from None

    def feed(self, piece: bytes) -> list[Field | bytes | None]:
        self._events = []
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _malformed(error) from None
        return self._events

    def _begun(self) -> None:
        self._disposition = b""

    def _named(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _valued(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headed(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = plain_text(options.get(b"name", b""), "the name of a part")
        filename = plain_text(options.get(b"filename", b""), "the name of a file")
        self._events.append(Field(name, filename))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _ended(self) -> None:
        self.whole = True


def _malformed(error: Exception) -> BadParameter:
    return BadParameter(f"The body is no multipart/form-data that can be read: {error}.")
