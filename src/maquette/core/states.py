"""The states inside, one set for all surfaces, and which of them are final."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where one scene stands."""

    QUEUED = "queued"
    RUNNING = "running"
    AWAITING_CONFIRMATION = "awaiting_confirmation"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    FAILED_OUTPUT_GUARD = "failed_output_guard"
    CANCELLED = "cancelled"
    OUTCOME_UNKNOWN = "outcome_unknown"

    @property
    def final(self) -> bool:
        return self not in _OPEN


_OPEN = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.AWAITING_CONFIRMATION})

_WORST_FIRST = (
    JobState.OUTCOME_UNKNOWN,
    JobState.FAILED,
    JobState.FAILED_OUTPUT_GUARD,
    JobState.CANCELLED,
    JobState.SUCCEEDED,
)


def run_state(jobs: list[JobState]) -> JobState:
    """Sum up a run: open while any job is, else the worst of its jobs."""
    if any(state is JobState.RUNNING for state in jobs):
        return JobState.RUNNING
    if any(not state.final for state in jobs):
        started = any(state.final for state in jobs)
        return JobState.RUNNING if started else JobState.QUEUED
    return next((state for state in _WORST_FIRST if state in jobs), JobState.SUCCEEDED)


class AttemptState(StrEnum):
    """How far one provider call has come; a commit stands before each act."""

    RESERVED = "reserved"
    SENT = "sent"
    SETTLED = "settled"
    RELEASED = "released"
    """It failed before or at the provider and was not charged."""
    LOST = "lost"
    """A free call whose answer never came; it may be made again."""
    UNKNOWN = "unknown"
    """A paid call whose answer never came; its money stays counted until a person decides."""
    WRITTEN_OFF = "written_off"
    """A person decided that an unknown call was charged; no picture came of it."""


class InstructionState(StrEnum):
    """Where an instruction stands; what may cost money waits for a person's word."""

    DRAFT = "draft"
    AWAITING_CONFIRMATION = "awaiting_confirmation"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in _OVER


_OVER = frozenset({InstructionState.SUCCEEDED, InstructionState.FAILED, InstructionState.CANCELLED})
