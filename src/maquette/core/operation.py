"""The operation extension point: pixels in, pixels and findings out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel

from maquette.core.findings import Finding
from maquette.core.raster import Raster
from maquette.core.tools import Tool

P = TypeVar("P", bound=BaseModel)

Kind = Literal["background", "refine", "upscale", "colour", "guard", "mask"]
"""The rooms of the post chain, the guard, and makers of masks; an id is `kind.backend`."""


@dataclass(frozen=True)
class Needs:
    """What the runner converts, pads and checks, so that no operation has to."""

    dtype: Literal["uint8", "float32"] = "uint8"
    alpha: Literal["drop", "apart", "keep"] = "apart"
    """`apart`: the operation sees RGB and the runner puts the alpha back;
    `keep`: it sees RGBA where the picture has alpha; `drop`: alpha is lost."""
    multiple_of: int = 1
    minimum_px: int = 1
    tile_px: int | None = None
    """Largest side handed over at once; None: the whole picture."""
    overlap_px: int = 0


class Work(Protocol):
    """The runner's side of one call."""

    @property
    def seed(self) -> int: ...
    @property
    def weights(self) -> Path:
        """The folder of the installation's weights; nothing is fetched into it unasked."""
        ...

    def progress(self, fraction: float) -> None: ...


@dataclass(frozen=True)
class Result:
    """What an operation returns; `image` is None where it only looks."""

    image: Raster | None
    findings: tuple[Finding, ...] = ()
    data: Mapping[str, float | str | None] = field(default_factory=dict[str, float | str | None])


@dataclass(frozen=True)
class Operation(Generic[P]):
    """A named, versioned, pure function on rasters.

    `version` goes into lineage and the cache key: raise it whenever pixels change.
    `apply` receives the rasters by name; `image` is always there.
    """

    id: str
    version: int
    title: str
    params: type[P]
    apply: Callable[[Mapping[str, Raster], P, Work], Result]
    sources: tuple[str, ...]
    needs: Needs = Needs()
    scale: Callable[[P], float] = lambda _params: 1.0
    """How much larger the result is; the runner tiles and crops by it."""
    gives_alpha: bool = False
    deterministic: bool = True
    preference: int = 100
    """Where nobody chose a backend, the ready one with the least is taken."""
    patience: float = 1.0
    """How many times the workers' usual time limit it may take."""
    tool: Tool | None = None
    """What has to be got first, where it does not come with the package."""
    missing: Callable[[Path], str | None] = lambda _weights: None
    """Say what has to be installed or configured first, given the weights folder; None: ready."""
    resolve: Callable[[P, Path], P] | None = None
    """Fill in what the weights folder decides (the model, where none is named), and raise
    `BadParameter` or `CapabilityMissing` for what only the operation knows (a look's name, a
    file's content). A plan keeps what it returns, and resolving that again changes nothing."""
    warm: Callable[[], None] | None = None
    """Compile or load what the first call would wait for."""

    @property
    def kind(self) -> str:
        return self.id.partition(".")[0]

    @property
    def backend(self) -> str:
        return self.id.partition(".")[2]
