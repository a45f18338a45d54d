"""What a provider may do on the network, as plain data; `maquette.net` enforces it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, Field


@dataclass(frozen=True)
class WireRules:
    """The installation's rules for outbound calls."""

    paid_calls: bool = True
    """Off: nothing but loopback is ever reached. Tests keep it off."""
    loopback: bool = True
    """Off: this machine is called only where `private_hosts` names it, as any private address."""
    private_hosts: frozenset[str] = frozenset()
    """Hosts in private address ranges that the administrator allowed by name or address."""
    connect_timeout_s: float = 10.0
    longest_wait_s: float = 600.0
    """For an answer; never less than a provider's own needs."""
    most_bytes: int = 256 * 1024 * 1024
    """Of one reply."""


class Limits(BaseModel, frozen=True, extra="forbid"):
    """How hard one endpoint may be pressed; the runner keeps to it inside the call."""

    concurrent: int | None = Field(default=None, ge=1)
    """Calls under way at the same time; None: as many as there are jobs."""
    per_minute: int | None = Field(default=None, ge=1)
    """Calls begun in any 60 seconds; None: no limit."""
    failures: int = Field(default=5, ge=1)
    """Failures in a row after which the endpoint is left alone for a while."""
    rest_s: float = Field(default=30.0, ge=0)
    """How long; then one call tries it again."""
