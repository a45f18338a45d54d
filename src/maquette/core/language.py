"""The language extension points: models that chat, writers of prompts, describers of pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, ParamSpec, Protocol, TypeVar

from pydantic import BaseModel, Field

from maquette.core.errors import MaquetteError
from maquette.core.money import FREE, Usd
from maquette.core.provider import Listed
from maquette.core.requests import Encoded
from maquette.core.scene import Measured, Scene

P = ParamSpec("P")
R = TypeVar("R")

Role = Literal["system", "user", "assistant", "tool"]
EMBEDDED = "embedded"
"""The source of whatever no model was asked for."""
MOST_PROMPTS = 200


@dataclass(frozen=True)
class ToolSpec:
    """Something that the model may ask us to do; asking is all that it does."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of an object."""


@dataclass(frozen=True)
class ToolCall:
    """What the model asks for; it may name a tool that was never offered."""

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Not checked against the tool's schema."""
    unread: str = ""
    """The text of the arguments, where it is no JSON object."""


@dataclass(frozen=True)
class ChatMessage:
    """One message of a conversation."""

    role: Role
    text: str = ""
    images: tuple[Encoded, ...] = ()
    """Only of the user."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Only of the assistant."""
    answers: str | None = None
    """The id of the tool call whose result this is; only of a tool."""


@dataclass(frozen=True)
class ChatRequest:
    """Everything that decides the answer and its price."""

    messages: tuple[ChatMessage, ...]
    schema: Mapping[str, Any] | None = None
    """JSON schema that the answer must have; whoever asks checks it all the same."""
    tools: tuple[ToolSpec, ...] = ()
    max_output_tokens: int | None = None
    """Never more than the settings allow, which also stand where it is None."""
    temperature: float | None = None
    """None: the server's own; several models refuse any other."""
    seed: int | None = None
    """A wish: no server promises the same answer twice."""


@dataclass(frozen=True)
class Usage:
    """Tokens as the server counted them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Those of the input that were read from its cache."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True)
class Spent:
    """What calls used and cost."""

    usage: Usage | None = None
    """None: the server did not say."""
    cost: Usd | None = FREE
    """None: it cannot be told, so the estimate stands."""
    calls: int = 0

    def __add__(self, other: Spent) -> Spent:
        known = self.cost is not None and other.cost is not None
        return Spent(
            usage=_both(self, other),
            cost=Usd((self.cost or FREE) + (other.cost or FREE)) if known else None,
            calls=self.calls + other.calls,
        )


def _both(first: Spent, second: Spent) -> Usage | None:
    if first.calls == 0 or second.calls == 0:
        return second.usage if first.calls == 0 else first.usage
    if first.usage is None or second.usage is None:
        return None
    return first.usage + second.usage


@dataclass(frozen=True)
class ChatReply:
    """What came back."""

    text: str
    model: str
    """As the server names it."""
    tool_calls: tuple[ToolCall, ...] = ()
    spent: Spent = Spent()
    cut: bool = False
    """It ran into the limit of tokens, or of the model's context."""
    refused: bool = False
    """The model declined; `text` is its reason."""


class ChatModel(ABC):
    """A language model behind one address.

    It sends once and never retries. `chat` is called only by whoever has reserved `estimate`.
    Raise an `InvalidInput` or `SpendRefused` only before anything was sent, and after that a
    `ProviderError`. `BadProviderReply` and `OutcomeUnknown` alone may have been charged; `charged`
    reads the amount, where the error knows it.
    """

    id: str
    title: str
    sees: bool
    """It takes pictures."""
    paid: bool

    def missing(self) -> str | None:
        """Say what has to be configured first; None: ready."""
        return None

    @abstractmethod
    def estimate(self, request: ChatRequest) -> Usd:
        """Give an upper bound, purely; raise `PriceUnknown` rather than guess."""

    def priced_by(self) -> Mapping[str, Any] | None:
        """Tell what `estimate` counts by, for the books: `as_of`, `source` and the numbers."""
        return None

    @abstractmethod
    async def chat(self, request: ChatRequest) -> ChatReply:
        """Send once."""

    async def listing(self) -> Sequence[Listed] | None:
        """Ask the other side which models it has, for free; None: there is nobody to ask."""
        return None

    async def aclose(self) -> None:
        """Release sockets and memory."""


class WrittenPrompt(BaseModel, frozen=True):
    """A prompt that is ready to be sent to an image model."""

    prompt: str = Field(min_length=1)
    negative_prompt: str = ""
    title: str = ""


@dataclass(frozen=True)
class Written:
    """Prompts, whoever wrote them."""

    prompts: tuple[WrittenPrompt, ...]
    source: str
    """The model's id, or `EMBEDDED`."""
    embedded: bool
    spent: Spent = Spent()
    note: str = ""
    """Why there are fewer than were asked for."""


class PromptWriter(ABC):
    """Turns an idea or a scene into prompts that differ from each other."""

    embedded: bool
    """It knows templates, not meaning: no model was asked."""

    def missing(self) -> str | None:
        """Say what has to be configured first; None: ready."""
        return None

    def estimate(self, idea: str | Scene, count: int) -> Usd:
        """Give an upper bound for `write`, purely; raise `PriceUnknown` rather than guess."""
        return FREE

    @abstractmethod
    async def write(self, idea: str | Scene, count: int, seed: int) -> Written:
        """Write `count` prompts, 1 to `MOST_PROMPTS`; raise `BadParameter` for anything else."""


class Described(BaseModel, frozen=True):
    """A picture as a scene, and who says so."""

    scene: Scene
    source: str
    """The model's id, or `EMBEDDED`."""
    embedded: bool
    """Measured, not recognised: the scene names colours and light, and no things."""
    confidence: float | None = Field(default=None, ge=0, le=1)
    """None: a model does not say."""
    measured: Measured
    spent: Spent = Spent()


class PictureDescriber(ABC):
    """Turns a picture into a scene."""

    embedded: bool

    def missing(self) -> str | None:
        """Say what has to be configured first; None: ready."""
        return None

    def estimate(self, picture: Encoded) -> Usd:
        """Give an upper bound for `describe`, purely; raise `PriceUnknown` rather than guess."""
        return FREE

    @abstractmethod
    async def describe(self, picture: Encoded) -> Described:
        """Describe it; raise `UnsupportedImage` or `ImageTooLarge` before anything is sent."""


class Compute(Protocol):
    """Runs a picklable function elsewhere: in a thread, or better in a worker process."""

    async def __call__(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...


def charged(error: MaquetteError) -> Usd | None:
    """Return what a failed call did cost; None: its error does not know."""
    said = error.facts.get("cost_usd")
    return Usd(Decimal(said)) if isinstance(said, str) else None


def used(error: MaquetteError) -> dict[str, int] | None:
    """Return the tokens of a failed call; None: its error does not know."""
    names = ("input_tokens", "output_tokens")
    found = {name: int(value) for name in names if isinstance(value := error.facts.get(name), int)}
    return found if any(found.values()) else None


def receipt(spent: Spent) -> dict[str, str | float | None]:
    """Write what was spent as the facts of an error, for `charged` to read."""
    usage = spent.usage or Usage()
    return {
        "cost_usd": None if spent.cost is None else str(spent.cost),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }


@dataclass(frozen=True)
class Words:
    """Who writes, describes and chats; without a language model the first two are embedded."""

    writer: PromptWriter
    describer: PictureDescriber
    templates: PromptWriter
    analyser: PictureDescriber
    model: ChatModel | None = None
    """None: none is configured."""
