"""A run is as its jobs are."""

from __future__ import annotations

import pytest

from maquette.core.states import JobState, run_state

S = JobState


@pytest.mark.parametrize(
    ("jobs", "run"),
    [
        ([], S.SUCCEEDED),
        ([S.QUEUED, S.QUEUED], S.QUEUED),
        ([S.QUEUED, S.SUCCEEDED], S.RUNNING),
        ([S.RUNNING, S.FAILED], S.RUNNING),
        ([S.SUCCEEDED, S.SUCCEEDED], S.SUCCEEDED),
        ([S.SUCCEEDED, S.CANCELLED], S.CANCELLED),
        ([S.CANCELLED, S.FAILED_OUTPUT_GUARD], S.FAILED_OUTPUT_GUARD),
        ([S.FAILED_OUTPUT_GUARD, S.FAILED], S.FAILED),
        ([S.FAILED, S.OUTCOME_UNKNOWN, S.SUCCEEDED], S.OUTCOME_UNKNOWN),
    ],
)
def test_a_run_is_open_while_a_job_is_else_as_bad_as_the_worst(
    jobs: list[JobState], run: JobState
) -> None:
    """LAB-7: one scene that the guard refused shows in the run's own state."""
    assert run_state(jobs) is run
    assert run_state(jobs[::-1]) is run


@pytest.mark.parametrize("state", list(JobState))
def test_every_final_state_sums_up_to_itself(state: JobState) -> None:
    """None is forgotten in the order of the worst."""
    if state.final:
        assert run_state([state, S.SUCCEEDED]) is state
    else:
        assert not run_state([state, S.SUCCEEDED]).final
