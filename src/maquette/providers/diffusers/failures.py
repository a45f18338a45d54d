"""Why there is no picture, as our errors: nothing was paid, so nothing is ever in doubt."""

from __future__ import annotations

from maquette.core.errors import (
    CapabilityMissing,
    MaquetteError,
    ProviderRefused,
    ProviderUnavailable,
)
from maquette.providers.diffusers.messages import Failed

_WAYS_OUT = {
    "memory": "Ask for a smaller --size, or use a smaller model.",
    "refused": "Change the prompt or the seed.",
    "failed": "Check that the model's folder is whole.",
    "died": "The next call starts another process; if this machine ran out of memory, ask for a "
    "smaller --size or use a smaller model.",
}


def failure(failed: Failed, model: str) -> MaquetteError:
    """Return the error; only a process that died is worth another try unasked."""
    if failed.kind == "unfit":
        return CapabilityMissing(failed.text)
    said = f"{model!r} made nothing: {failed.text.rstrip('.')}. {_WAYS_OUT[failed.kind]}"
    return ProviderUnavailable(said) if failed.kind == "died" else ProviderRefused(said)
