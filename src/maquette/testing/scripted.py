"""A priced provider that does what a test tells it to, and keeps books like a real one.

The other side of the wire is a folder: every call that reaches it is one line in `calls.jsonl`,
synced before it is answered, so the books survive a kill -9 of the caller.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal
from uuid import uuid4

import numpy as np
from pydantic import BaseModel

from maquette.core.errors import (
    BadProviderReply,
    CapabilityMissing,
    MaquetteError,
    OutcomeUnknown,
    PriceUnknown,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
)
from maquette.core.money import Usd
from maquette.core.provider import Provider, Run, Ticket
from maquette.core.requests import (
    Encoded,
    Generated,
    ImageRequest,
    ModelProfile,
    derived_seed,
)
from maquette.core.wire import Limits
from maquette.imaging import png

Does = Literal["answer", "refuse", "busy", "down", "lose", "garbage", "crash", "detach", "no-key"]
"""`lose`: the call is charged and its answer never comes; `busy` and `down` charge nothing;
`detach`: the work is accepted, then the connection goes; `no-key`: wrong before sending."""


@dataclass(frozen=True)
class Act:
    """What one call meets."""

    does: Does = "answer"
    delay_s: float = 0.0
    retry_after_s: float | None = None
    partials: int = 0
    blank: bool = False
    """Answer with pictures that the guard refuses."""
    opaque: bool = False
    """Answer a cutout with a picture that has no alpha."""
    junk: bool = False
    """Answer with bytes that are no picture."""
    pictures: int | None = None
    """Answer with so many pictures, whatever was asked for."""
    cost: str | None = None
    """Say that it cost so much."""


@dataclass(frozen=True)
class Entry:
    """One line of the books."""

    ticket: str
    model: str
    count: int
    charged_nano: int
    does: Does


class Books:
    """The provider's own record of who asked for what, and what it charged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "calls.jsonl"
        folder.mkdir(parents=True, exist_ok=True)

    def entries(self) -> list[Entry]:
        if not self._path.exists():
            return []
        lines = self._path.read_text().splitlines()
        return [Entry(**json.loads(line)) for line in lines]

    def add(self, entry: Entry) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(entry)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    @property
    def charged(self) -> Usd:
        return Usd(Decimal(sum(entry.charged_nano for entry in self.entries())) / 10**9)

    @property
    def paid_calls(self) -> int:
        return sum(entry.charged_nano > 0 for entry in self.entries())

    def keep(self, ticket: str, reply: bytes) -> None:
        (self._folder / f"{ticket}.reply").write_bytes(reply)

    def kept(self, ticket: str) -> bytes | None:
        path = self._folder / f"{ticket}.reply"
        return path.read_bytes() if path.exists() else None


class ScriptedConfig(BaseModel, frozen=True):
    """Nothing to set."""


class ScriptedProvider(Provider):
    """Follows its script, one act a call, and answers plainly after the script's end.

    Models: `paid` and `ticketed` cost `price` a picture, `free` nothing, `unpriced` has no price.
    """

    id = "scripted"
    config = ScriptedConfig

    def __init__(
        self,
        books: Books,
        script: Sequence[Act] = (),
        *,
        price: str = "0.04",
        boundary: Callable[[str], None] = lambda _name: None,
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits or Limits(failures=1000)
        self.books = books
        self._script = list(script)
        self._price = Decimal(price)
        self._boundary = boundary
        self._at_once = 0
        self.most_at_once = 0
        """How many calls were under way at the same time."""
        self.deaf = 0
        """How many of the next questions for a ticket fail, and with what."""
        self.deaf_with: MaquetteError = ProviderUnavailable("The script says: no connection yet.")

    def models(self) -> Sequence[ModelProfile]:
        return [_profile("paid"), _profile("ticketed"), _profile("free"), _profile("unpriced")]

    def limits(self) -> Limits:
        return self._limits

    def estimate(self, request: ImageRequest) -> Usd:
        if request.model == "unpriced":
            raise PriceUnknown(
                f"The model {request.model!r} has no price, so it is refused; nothing was sent. "
                "Choose another model, or add its price."
            )
        if request.model == "free":
            return Usd(Decimal(0))
        return Usd(self._price * request.count)

    async def generate(self, request: ImageRequest, run: Run) -> Generated:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._meet(self._next_act(), request, run)
        finally:
            self._at_once -= 1

    async def _meet(self, act: Act, request: ImageRequest, run: Run) -> Generated:
        self._boundary("before the call")
        _refuse(act)
        ticket = uuid4().hex
        charged = int(self.estimate(request) * 10**9)
        self.books.add(Entry(ticket, request.model, request.count, charged, act.does))
        reply = _reply(request, act)
        if request.model == "ticketed":
            self.books.keep(ticket, reply)
            self._boundary("before the ticket")
            await run.accepted(Ticket(ticket))
            self._boundary("after the ticket")
            if act.does == "detach":
                raise ProviderUnavailable("The script says: the connection went.")
        for index in range(act.partials):
            await run.partial(index, Encoded(reply[:16], "image/png"))
        await asyncio.sleep(act.delay_s)
        if act.does == "lose":
            raise OutcomeUnknown("The script says: the connection was cut.")
        if act.does == "crash":
            raise RuntimeError("The script says: a bug after sending.")
        if act.does == "garbage":
            reply = b"<html>502</html>"
        self._boundary("after the answer")
        await run.raw(reply)
        self._boundary("after the reply was kept")
        return self.read_reply(reply, request)

    def read_reply(self, reply: bytes, request: ImageRequest) -> Generated:
        try:
            document = json.loads(reply)
        except ValueError:
            raise BadProviderReply("The answer is not the JSON that was promised.") from None
        images = [Encoded(base64.b64decode(one), "image/png") for one in document["images"]]
        said = document.get("cost")
        cost = self.estimate(request) if said is None else Usd(Decimal(said))
        return Generated(images, request, cost, details={"by": "script"})

    async def resume(self, ticket: Ticket, request: ImageRequest, run: Run) -> Generated:
        if self.deaf:
            self.deaf -= 1
            raise self.deaf_with
        reply = self.books.kept(ticket.id)
        if reply is None:
            raise OutcomeUnknown(f"The other side does not know {ticket.id!r}.")
        return self.read_reply(reply, request)

    def forget(self) -> None:
        """Answer plainly from now on."""
        self._script.clear()

    def _next_act(self) -> Act:
        return self._script.pop(0) if self._script else Act()


class ScriptedCutter(ScriptedProvider):
    """Cuts out by the same script; its one model costs what the other's pictures do."""

    id = "cutter"

    def models(self) -> Sequence[ModelProfile]:
        return [
            ModelProfile(
                id="cutout", title="Scripted cutouts", modes=frozenset({"cutout"}), paid=True
            )
        ]


def _refuse(act: Act) -> None:
    """Fail before anything is charged."""
    if act.does == "busy":
        raise RateLimited("The script says: too many requests.", retry_after=act.retry_after_s)
    if act.does == "down":
        raise ProviderUnavailable("The script says: no connection.")
    if act.does == "no-key":
        raise CapabilityMissing("The script says: the key is not set.")
    if act.does == "refuse":
        raise ProviderRefused("The script says: refused by moderation.")


def _profile(model: str) -> ModelProfile:
    return ModelProfile(
        id=model,
        title=f"Scripted, {model}",
        modes=frozenset({"generate", "edit", "inpaint"}),
        max_count=2,
        max_references=2,
        max_pixels=1024 * 1024,
        supports_seed=True,
        deterministic=True,
        paid=model != "free",
    )


def _reply(request: ImageRequest, act: Act) -> bytes:
    count = request.count if act.pictures is None else act.pictures
    if act.opaque:
        request = request.model_copy(update={"mode": "edit"})
    pictures = [_picture(request, index, blank=act.blank) for index in range(count)]
    pictures = [b"no picture"] * count if act.junk else pictures
    images = [base64.b64encode(one).decode() for one in pictures]
    return json.dumps({"images": images, "cost": act.cost}).encode()


def _picture(request: ImageRequest, index: int, *, blank: bool) -> bytes:
    """Make noise of the size that was asked for, the same for the same request."""
    given = request.by_role("init")
    width_px, height_px = 64, 64
    if isinstance(request.size, tuple):
        width_px, height_px = request.size
    elif given:
        width_px, height_px = given[0].width_px, given[0].height_px
    seed = derived_seed(request.seed or 0, index)
    channels = 4 if request.mode == "cutout" else 3
    pixels = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, channels), np.uint8)
    return png.write(np.full_like(pixels, 128) if blank else pixels)
