"""The provider extension point: where new pictures come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, ParamSpec, Protocol, TypeVar

from pydantic import BaseModel, Field, SecretStr

from maquette.core.errors import (
    BadProviderReply,
    CapabilityMissing,
    OutcomeUnknown,
    PriceUnknown,
)
from maquette.core.money import Usd
from maquette.core.requests import Digest, Encoded, Generated, ImageRequest, ModelProfile
from maquette.core.tools import Tool
from maquette.core.wire import Limits, WireRules

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Ticket:
    """The provider's own name for work it has accepted, and the endpoint that knows it."""

    id: str
    endpoint: str = "default"


class Listed(BaseModel, frozen=True, extra="forbid"):
    """A model as the other side names it."""

    id: str = Field(min_length=1)
    title: str = ""
    shutdown: date | None = None


class Run(Protocol):
    """The runner's side of one attempt: everything a provider may touch besides its socket."""

    async def read(self, asset: Digest) -> Encoded:
        """Fetch the bytes of an input."""
        ...

    async def progress(self, fraction: float, note: str = "") -> None:
        """Tell how far the work is, 0 to 1."""
        ...

    async def partial(self, index: int, image: Encoded) -> None:
        """Show an unfinished picture."""
        ...

    async def accepted(self, ticket: Ticket) -> None:
        """Record the ticket durably: a restart asks for it instead of paying again."""
        ...

    async def raw(self, reply: bytes) -> None:
        """Store the reply durably before parsing it; `Provider.read_reply` reads it again."""
        ...

    def secret(self, name: str) -> SecretStr:
        """Return a key of this project; raise `CapabilityMissing` that says how to set it."""
        ...

    async def compute(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a picklable pixel function in a worker process."""
        ...


class Provider(ABC):
    """A service, a local server or an in-process engine that makes images.

    One instance per process, shared by concurrent calls. It sends once and never retries:
    the runner does, where the error's `retry` policy and the money allow it. Cancellation
    arrives as `asyncio.CancelledError`; let it through. Raise only `MaquetteError`s: an
    `InvalidInput`, `NotFound` or `SpendRefused` only before anything was sent, and after that a
    `ProviderError` that says whether it was charged. From the moment of `Run.accepted` only
    `ProviderRefused` says that the work is over; anything else is asked for again by its ticket.
    """

    id: ClassVar[str]
    config: ClassVar[type[BaseModel]]
    """Its section of the settings, `MAQUETTE_PROVIDERS__<ID>__…`."""

    tool: ClassVar[Tool | None] = None
    """What has to be got first, where it does not come with the package."""

    key_name: str | None = None
    """The name under which its key is kept, as `run.secret` is asked for it; None: it has none."""

    @classmethod
    def build(cls, config: Any, rules: WireRules) -> Provider:
        """Make the process's instance from a checked `config`; one without needs takes none."""
        return cls()

    @abstractmethod
    def models(self) -> Sequence[ModelProfile]:
        """List what can be asked for."""

    def missing(self, keys: Collection[str] = ()) -> str | None:
        """Say what has to be configured first; None: ready.

        `keys` are the names of a project's own keys, which count beside the installation's.
        """
        return None

    def limits(self) -> Limits:
        """Say how hard it may be pressed."""
        return Limits()

    async def listing(self, secret: Callable[[str], SecretStr]) -> Sequence[Listed] | None:
        """Ask the other side which models it has, for free; None: there is nobody to ask.

        Raise a `ProviderError` where it does not answer: `maquette doctor` shows it.
        """
        return None

    def learn(self, listed: Sequence[Listed]) -> None:
        """Take in what an earlier `listing` brought; called once, before any request."""

    def check(self, request: ImageRequest) -> None:
        """Raise `CapabilityMissing` for what the model cannot do; nothing has been sent yet."""

    @abstractmethod
    def estimate(self, request: ImageRequest) -> Usd:
        """Give an upper bound, purely; raise `PriceUnknown` rather than guess."""

    def priced_by(self, request: ImageRequest) -> Mapping[str, Any] | None:
        """Tell what `estimate` counts by, for the books: `as_of`, `source` and the numbers."""
        return None

    @abstractmethod
    async def generate(self, request: ImageRequest, run: Run) -> Generated:
        """Send once; call `run.accepted()` the moment the work has a name."""

    def read_reply(self, reply: bytes, request: ImageRequest) -> Generated:
        """Parse, purely, what `Run.raw` stored: a crash after the answer costs nothing."""
        raise BadProviderReply(f"{self.id!r} keeps no replies that could be read again.")

    async def resume(self, ticket: Ticket, request: ImageRequest, run: Run) -> Generated:
        """Collect work that a dead process started; `OutcomeUnknown` when it cannot be found."""
        raise OutcomeUnknown(f"{self.id!r} cannot look up {ticket.id!r} again.")

    async def cancel(self, ticket: Ticket) -> bool:
        """Ask the other side to stop; False when it cannot."""
        return False

    async def aclose(self) -> None:
        """Release sockets and memory."""


def profile_of(provider: Provider, model: str) -> ModelProfile:
    """Return a model's profile; raise `CapabilityMissing` where the provider has it no more."""
    for profile in provider.models():
        if profile.id == model:
            return profile
    raise CapabilityMissing(
        f"{provider.id!r} has no model {model!r} any more, so nothing was sent. "
        "Plan the run again with another --model."
    )


def priced(provider: Provider, request: ImageRequest) -> Usd:
    """Return the worst case of a call; a paid model is never taken as free."""
    amount = provider.estimate(request)
    if profile_of(provider, request.model).paid and not amount > 0:
        raise PriceUnknown(
            f"{provider.id!r} gives no price for {request.model!r}, so it is refused; nothing was "
            "sent. Choose another model, or add its price."
        )
    return amount
