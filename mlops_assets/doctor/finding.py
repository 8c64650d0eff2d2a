"""What an examination says: one finding for each thing that was looked at.

Three steps that are kept apart: a probe asks the world and gives a fact, or says why there is none
(`Unanswered`); a judgement, pure, makes a finding of it; the command prints findings. That nobody
answered is never a good finding.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["fine", "unknown", "warning", "broken"]
"""From best to worst. unknown: it could not be looked at. warning: it works, maybe not for long."""

_ORDER: tuple[Verdict, ...] = ("fine", "unknown", "warning", "broken")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: What was looked at, the same word in every output.
        verdict: How it is.
        found: What was found, in words.
        mend: What to do about it; empty when it is fine.
    """

    check: str
    verdict: Verdict
    found: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Why a probe has no fact."""

    reason: str


def worst(findings: Sequence[Finding]) -> Verdict:
    """The worst verdict; fine when nothing was looked at.

    >>> worst([Finding("a", "fine", ""), Finding("b", "warning", ""), Finding("c", "unknown", "")])
    'warning'
    """
    return max((finding.verdict for finding in findings), key=_ORDER.index, default="fine")


def to_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings as one JSON object."""
    return {"verdict": worst(findings), "findings": [asdict(finding) for finding in findings]}
