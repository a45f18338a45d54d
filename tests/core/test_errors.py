"""Errors cross process borders whole, and say what the runner may do."""

from __future__ import annotations

import pickle

import pytest

from maquette.core.errors import (
    BudgetExceeded,
    MaquetteError,
    OutcomeUnknown,
    ProviderUnavailable,
    RateLimited,
    Retry,
)


def everyone(root: type[MaquetteError] = MaquetteError) -> list[type[MaquetteError]]:
    below = [one for child in root.__subclasses__() for one in everyone(child)]
    return [root, *(one for one in below if one.__module__ == MaquetteError.__module__)]


@pytest.mark.parametrize("kind", everyone(), ids=lambda kind: kind.__name__)
def test_an_error_survives_the_way_out_of_a_worker(kind: type[MaquetteError]) -> None:
    error = kind("It is so.")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is kind
    assert str(again) == "It is so."
    assert again.facts == error.facts


def test_facts_survive_too() -> None:
    error = BudgetExceeded("No.", cap="day", limit=3)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert again.facts == {"cap": "day", "limit": 3}


def test_how_long_to_wait_survives() -> None:
    again = pickle.loads(pickle.dumps(RateLimited("Wait.", retry_after=2.5)))  # noqa: S301 - ours
    assert again.retry_after == 2.5


def test_only_what_was_not_charged_is_tried_again() -> None:
    """D2: an unknown outcome is never retried unasked."""
    assert {one for one in everyone() if one.retry is Retry.LATER} == {
        RateLimited,
        ProviderUnavailable,
    }
    assert OutcomeUnknown.retry is Retry.NEVER
