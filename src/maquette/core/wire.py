"""What a provider may do on the network, as plain data; `maquette.net` enforces it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WireRules:
    """The installation's rules for outbound calls."""

    paid_calls: bool = True
    """Off: nothing but loopback is ever reached. Tests keep it off."""
    private_hosts: frozenset[str] = frozenset()
    """Hosts in private address ranges that the administrator allowed by name or address."""
    connect_timeout_s: float = 10.0
    longest_wait_s: float = 600.0
    """For an answer; never less than a provider's own needs."""
    most_bytes: int = 256 * 1024 * 1024
    """Of one reply."""
