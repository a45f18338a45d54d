"""Optional tools as data: what there is to get, what it costs, and from where."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class WeightFile:
    """A file that a tool computes with; it is fetched only when a person says so."""

    path: str
    """Below the installation's weights folder, as `rembg/u2net.onnx`."""
    address: str
    size_bytes: int
    checksum: str
    """As `sha256:…` or, where its authors publish no better one, `md5:…`."""
    licence: str


@dataclass(frozen=True)
class Tool:
    """Something that is not there by itself: a package, weights, a key, a server."""

    name: str
    purpose: str
    licence: str
    size: str
    """In words, what getting it costs: megabytes, or a price."""
    source: str
    """Whose it is, and where its terms are."""
    extra: str | None = None
    """The extra of this package that installs it: `pip install 'maquette[extra]'`."""
    files: tuple[WeightFile, ...] = field(default=())
    advice: str = ""
    """What to do where no command can: set a key, start a server."""

    @property
    def command(self) -> str:
        """Say how a person gets it."""
        return self.advice or f"maquette tools setup {self.name}"
