"""Models by the name that somebody wrote, whoever has them."""

from __future__ import annotations

from difflib import get_close_matches

from maquette.core.errors import BadParameter, ModelNotFound
from maquette.services import planning
from maquette.services.studio import Studio


def living(studio: Studio, name: str | None) -> None:
    """Raise `ModelNotFound` where nobody has the model, or it was shut down.

    What else is wrong with a name (several have it) is for the plan to say; so is no name.
    """
    if name is None:
        return
    try:
        _, profile = planning.choose_model(studio, None, name)
    except BadParameter as error:
        if name.rpartition(":")[2] in _names(studio):
            raise
        near = get_close_matches(name, _names(studio), n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "`GET /v1/models` lists what there is."
        raise ModelNotFound(
            f"The model {name!r} does not exist here, so nothing was sent. {hint}", param="model"
        ) from error
    if profile.shutdown is not None and profile.shutdown <= studio.shop.clock.now().date():
        raise ModelNotFound(
            f"The model {profile.id!r} was shut down on {profile.shutdown:%Y-%m-%d}, so nothing "
            f"was sent; use {profile.successor or 'another'!r} instead.",
            param="model",
        )


def _names(studio: Studio) -> list[str]:
    providers = studio.shop.providers
    return [profile.id for name in providers for profile in providers[name].models()]
