"""Exit statuses: what a script can rely on."""

from __future__ import annotations

from enum import IntEnum

from maquette.core import errors
from maquette.core.states import JobState


class Exit(IntEnum):
    """0 done · 1 failed · 2 usage · 3 spend refused · 4 guard · 130 interrupted."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SPEND_REFUSED = 3
    GUARD = 4
    INTERRUPTED = 130


_OF_ERROR: dict[type[errors.MaquetteError], Exit] = {
    errors.MaquetteError: Exit.FAILED,
    errors.InvalidInput: Exit.USAGE,
    errors.NotFound: Exit.USAGE,
    errors.Conflict: Exit.USAGE,
    errors.SpendRefused: Exit.SPEND_REFUSED,
    errors.Cancelled: Exit.INTERRUPTED,
}

OWN_LIMIT = "own"
"""The cap that a run brings with it, as `BudgetExceeded` names it."""

_OF_STATE = {
    JobState.SUCCEEDED: Exit.DONE,
    JobState.FAILED_OUTPUT_GUARD: Exit.GUARD,
    JobState.CANCELLED: Exit.INTERRUPTED,
}


def status_of(error: errors.MaquetteError) -> Exit:
    """Return the status of the nearest class in the table."""
    return next(_OF_ERROR[base] for base in type(error).__mro__ if base in _OF_ERROR)


def way_out(error: errors.MaquetteError) -> str:
    """Name the option that allows what money said no to; empty where there is none."""
    if isinstance(error, errors.NotConfirmed) and "--confirm-spend" not in str(error):
        return " Add --confirm-spend to confirm it."
    if isinstance(error, errors.BudgetExceeded) and error.facts.get("cap") == OWN_LIMIT:
        return " --max-spend sets that limit."
    return ""


def status_of_state(state: JobState) -> Exit:
    return _OF_STATE.get(state, Exit.FAILED)
