"""The keys that one project's calls are made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from maquette.core.errors import SecretsLocked
from maquette.core.provider import Provider


@dataclass(frozen=True)
class Keys:
    """A project's own keys, by the names that the environment has; then the installation's.

    One of its own that cannot be opened is an error: the installation's never takes its place,
    since that would charge another account.
    """

    installation: Callable[[str], SecretStr]
    """Returns a key; raises `CapabilityMissing` that says how to set it."""
    own: Mapping[str, SecretStr | SecretsLocked] = field(
        default_factory=dict[str, "SecretStr | SecretsLocked"]
    )

    def get(self, name: str) -> SecretStr:
        """Return a key; raise `CapabilityMissing` that says how to set it."""
        found = self.own.get(name)
        if isinstance(found, SecretsLocked):
            raise SecretsLocked(str(found))
        return found or self.installation(name)

    def missing(self, provider: Provider) -> str | None:
        """Say what a provider needs before this project can call it; None: ready."""
        lacking = provider.missing(frozenset(self.own))
        if lacking is None and provider.key_name is not None:
            found = self.own.get(provider.key_name)
            return str(found) if isinstance(found, SecretsLocked) else None
        return lacking
