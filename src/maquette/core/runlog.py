"""The run log: one JSON file per run, enough to run it again anywhere.

`docs/run-log.md` describes it; its JSON schema is generated from these models.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from maquette.core.findings import Verdict
from maquette.core.pipeline import JobSpec
from maquette.core.states import AttemptState, JobState

LOG_VERSION = 1


class LoggedPicture(BaseModel, frozen=True, extra="forbid"):
    """A stored picture, named by the SHA-256 of its bytes."""

    asset: str
    kind: str
    sha256: str
    media_type: str
    width_px: int
    height_px: int
    size_bytes: int
    has_alpha: bool
    name: str
    made_by: dict[str, Any]
    parents: tuple[tuple[str, str], ...] = ()
    job: str | None = None
    """The job of this run that made it; None: it was there before."""
    cost_nano: int = 0
    created_at: datetime


class LoggedAttempt(BaseModel, frozen=True, extra="forbid"):
    """One provider call: the request as really sent, and its money."""

    id: str
    call: str
    number: int
    state: AttemptState
    provider: str
    endpoint: str
    model: str
    paid: bool
    request: dict[str, Any]
    effective: dict[str, Any] | None
    usage: dict[str, Any] | None = None
    """What it used, as the provider counts it."""
    priced_by: dict[str, Any] | None = None
    """The price at the time: its day, where it comes from, its numbers."""
    reserved_nano: int
    settled_nano: int
    error_code: str | None
    error_message: str | None
    created_at: datetime
    sent_at: datetime | None
    finished_at: datetime | None


class LoggedCandidate(BaseModel, frozen=True, extra="forbid"):
    """One returned picture, judged."""

    position: int
    attempt: str
    asset: str
    sha256: str
    state: Literal["new", "passed", "failed_output_guard"]
    selected: bool
    verdict: Verdict | None


class LoggedStep(BaseModel, frozen=True, extra="forbid"):
    """A step that was done, and what it said."""

    name: str
    result: dict[str, Any]
    started_at: datetime
    finished_at: datetime


class LoggedJob(BaseModel, frozen=True, extra="forbid"):
    """One scene."""

    id: str
    position: int
    scene: str
    state: JobState
    spec: JobSpec
    attempts: tuple[LoggedAttempt, ...]
    candidates: tuple[LoggedCandidate, ...]
    selected_candidate: int | None
    """Position of the winner, counted from 0."""
    final_output: str | None
    """Path below the project's root of the last picture of the chain."""
    final_asset: str | None
    steps: tuple[LoggedStep, ...]
    files: tuple[dict[str, str | None], ...] = ()
    error_code: str | None
    error_message: str | None
    started_at: datetime | None
    finished_at: datetime | None


class RunLog(BaseModel, frozen=True, extra="forbid"):
    """A whole run."""

    log_version: Literal[1] = LOG_VERSION
    run: str
    project: str
    state: JobState
    replay_of: str | None
    settings: dict[str, Any]
    """The order as a person gave it, resolved."""
    versions: dict[str, str]
    max_spend_nano: int | None
    reserved_nano: int
    settled_nano: int
    confirmed: bool
    pictures: tuple[LoggedPicture, ...] = Field(description="Inputs and all that was made.")
    jobs: tuple[LoggedJob, ...]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
