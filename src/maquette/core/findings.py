"""What the quality guard found, and the rules that rank candidates by it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

Severity = Literal["hard", "soft", "info"]


class Finding(BaseModel, frozen=True):
    """One observation about a picture; `hard` fails it, `soft` counts against it."""

    code: str
    severity: Severity
    message: str
    measured: float | None = None
    limit: float | None = None


class Verdict(BaseModel, frozen=True):
    """All that the guard says about one picture."""

    findings: tuple[Finding, ...] = ()
    mean_chroma_excess: float = 0.0

    @property
    def hard(self) -> int:
        return sum(finding.severity == "hard" for finding in self.findings)

    @property
    def soft(self) -> int:
        return sum(finding.severity == "soft" for finding in self.findings)

    @property
    def passed(self) -> bool:
        return self.hard == 0

    def rank(self) -> tuple[int, int, float]:
        """Order candidates: the least is the best, ties keep the order of arrival."""
        return (self.hard, self.soft, self.mean_chroma_excess)

    def summary(self) -> str:
        """Name the findings that count, in a few words."""
        told = [finding.code for finding in self.findings if finding.severity != "info"]
        return ", ".join(told) if told else "ok"


class GuardRules(BaseModel, frozen=True, extra="forbid"):
    """What the output guard demands of a picture."""

    enabled: bool = True
    enforce_grayscale: bool = False
    max_chroma_delta: float | None = None
    """Largest `max(R, G, B) - min(R, G, B)` of a pixel, 0 to 255; None: not judged."""
    fail_on_chroma_exceed: bool | None = None
    """None: chroma fails hard exactly where grayscale is enforced."""

    @property
    def chroma_limit(self) -> float | None:
        if self.max_chroma_delta is not None:
            return self.max_chroma_delta
        return 8.0 if self.enforce_grayscale else None

    @property
    def chroma_severity(self) -> Severity:
        fails = self.fail_on_chroma_exceed
        return "hard" if (self.enforce_grayscale if fails is None else fails) else "soft"


class Expected(BaseModel, frozen=True):
    """What the steps before should have left: None means any."""

    width_px: int | None = None
    height_px: int | None = None
    alpha: bool | None = None
