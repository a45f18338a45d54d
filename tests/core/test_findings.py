"""Which candidate wins, and what the guard's rules mean."""

from __future__ import annotations

import pytest

from maquette.core.findings import Finding, GuardRules, Severity, Verdict


def verdict(hard: int = 0, soft: int = 0, excess: float = 0.0, info: int = 0) -> Verdict:
    found = [*[of("hard")] * hard, *[of("soft")] * soft, *[of("info")] * info]
    return Verdict(findings=tuple(found), mean_chroma_excess=excess)


def of(severity: Severity) -> Finding:
    return Finding(code=severity, severity=severity, message="")


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (verdict(hard=0, soft=9, excess=9), verdict(hard=1)),
        (verdict(hard=1), verdict(hard=2)),
        (verdict(soft=1, excess=9), verdict(soft=2)),
        (verdict(soft=1, excess=0.5), verdict(soft=1, excess=0.6)),
        (verdict(info=5), verdict(soft=1)),
    ],
)
def test_the_better_candidate_ranks_first(better: Verdict, worse: Verdict) -> None:
    """LAB-6: hard failures, then soft warnings, then mean chroma excess."""
    assert better.rank() < worse.rank()


def test_ties_keep_their_order() -> None:
    """LAB-6."""
    candidates = [verdict(soft=1), verdict(info=3), verdict(), verdict(soft=1)]
    order = sorted(range(4), key=lambda index: candidates[index].rank())
    assert order == [1, 2, 0, 3]


@pytest.mark.parametrize(("hard", "passed"), [(0, True), (1, False)])
def test_only_hard_findings_fail_a_picture(hard: int, *, passed: bool) -> None:
    """LAB-7."""
    assert verdict(hard=hard, soft=3).passed is passed


def test_the_summary_leaves_out_what_does_not_count() -> None:
    assert verdict(info=2).summary() == "ok"
    assert verdict(hard=1, soft=1, info=1).summary() == "hard, soft"


@pytest.mark.parametrize(
    ("rules", "limit", "severity"),
    [
        (GuardRules(), None, "soft"),
        (GuardRules(max_chroma_delta=20), 20, "soft"),
        (GuardRules(max_chroma_delta=20, fail_on_chroma_exceed=True), 20, "hard"),
        (GuardRules(enforce_grayscale=True), 8, "hard"),
        (GuardRules(enforce_grayscale=True, max_chroma_delta=2), 2, "hard"),
        (GuardRules(enforce_grayscale=True, fail_on_chroma_exceed=False), 8, "soft"),
    ],
)
def test_the_chroma_flags_work_together(
    rules: GuardRules, limit: float | None, severity: Severity
) -> None:
    """LAB-7: --enforce-grayscale, --max-chroma-delta, --fail-on-chroma-exceed."""
    assert (rules.chroma_limit, rules.chroma_severity) == (limit, severity)
