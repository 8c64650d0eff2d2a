"""What a candidate must pass to be registered: pure functions from evidence to results.

What is unknown does not pass. The exceptions are no gaps in the evidence: a first model has no
champion to be compared with, and slices below the declared size are shown and not judged.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from mlops_assets.modeling.evaluation import ContestantName, Estimate, Evaluation, SliceResult
from mlops_assets.modeling.metrics import direction
from mlops_assets.spec import GatesSpec
from mlops_assets.spec.model import (
    BaselineGate,
    CalibrationGate,
    ChampionGate,
    RowsGate,
    SlicesGate,
)

GateName = Literal[
    "beats_baseline", "not_worse_than_champion", "slices", "calibration", "minimum_rows"
]


class GateResult(BaseModel):
    """One gate's answer.

    Attributes:
        name: Which gate.
        passed: Whether the candidate passes. What is unknown does not pass.
        value: The number that was compared; None when it is unknown or there is nothing to compare.
        threshold: What it was compared with.
        reason: In words, with the numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: GateName
    passed: bool
    value: float | None
    threshold: float | None
    reason: str


def judge(evaluation: Evaluation, gates: GatesSpec) -> list[GateResult]:
    """Every gate that is switched on, in the order of the document's reference."""
    results = []
    if gates.beats_baseline is not None:
        results.append(_beats_baseline(evaluation, gates.beats_baseline))
    if gates.not_worse_than_champion is not None:
        results.append(_not_worse_than_champion(evaluation, gates.not_worse_than_champion))
    if gates.slices is not None:
        results.append(_slices(evaluation, gates.slices))
    if gates.calibration is not None:
        results.append(_calibration(evaluation, gates.calibration))
    if gates.minimum_rows is not None:
        results.append(_minimum_rows(evaluation, gates.minimum_rows))
    return results


def describe(estimate: Estimate) -> str:
    """An estimate with its interval, in words.

    >>> describe(Estimate(value=0.61, low=0.59, high=0.63))
    '0.610 (0.590 to 0.630)'
    """
    if estimate.value is None:
        return f"unknown ({estimate.reason})"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f} (interval unknown)"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def _beats_baseline(evaluation: Evaluation, gate: BaselineGate) -> GateResult:
    low, told = _compare(evaluation, "baseline")
    return GateResult(
        name="beats_baseline",
        passed=low is not None and low > gate.margin,
        value=low,
        threshold=gate.margin,
        reason=f"{told}; its lower end must exceed {gate.margin:g}",
    )


def _not_worse_than_champion(evaluation: Evaluation, gate: ChampionGate) -> GateResult:
    if evaluation.champion == "judged":
        low, told = _compare(evaluation, "champion")
        reason = f"{told}; its lower end must exceed {-gate.margin:g}"
    else:
        low, reason = None, evaluation.champion_reason
    if evaluation.champion == "not_judged":
        reason = f"unknown: {reason}"
    no_champion = evaluation.champion == "none"
    return GateResult(
        name="not_worse_than_champion",
        passed=no_champion or (low is not None and low > -gate.margin),
        value=low,
        threshold=-gate.margin,
        reason=reason,
    )


def _compare(evaluation: Evaluation, other: ContestantName) -> tuple[float | None, str]:
    """Lower end of the candidate's gain over another contestant, and the comparison in words."""
    metric = evaluation.metric
    candidate = evaluation.metrics["candidate"][metric]
    against = evaluation.metrics[other][metric]
    gain = evaluation.gains[other][metric]
    told = f"{metric} {describe(candidate)} against the {other}'s {describe(against)}"
    if gain.low is None:
        return None, f"unknown: {gain.reason}; {told}"
    on = f"on {evaluation.n_rows:,} rows with {100 * evaluation.confidence:g}% confidence"
    return gain.low, f"{told}: the gain is {describe(gain)} {on}"


def _slices(evaluation: Evaluation, gate: SlicesGate) -> GateResult:
    overall = evaluation.metrics["candidate"][evaluation.metric].value
    judged = [part for part in evaluation.slices if part.n_rows >= gate.minimum_rows]
    small = len(evaluation.slices) - len(judged)
    not_judged = f"{small} smaller than {gate.minimum_rows} rows not judged" if small else ""
    drops = {part: _proven_drop(evaluation, overall, part) for part in judged}
    unknown = [part for part, drop in drops.items() if drop is None]
    known = {part: drop for part, drop in drops.items() if drop is not None}
    worst = max(known, key=lambda part: known[part], default=None)
    value = known[worst] if worst else None
    if not evaluation.slices:
        passed = evaluation.n_rows > 0
        told = "no slices are declared" if passed else "unknown: no row judges"
    elif unknown:
        named = ", ".join(f"{part.column}={part.value}" for part in unknown[:5])
        told, passed = f"unknown on {len(unknown)} of {len(judged)} slices: {named}", False
    elif worst is None or value is None:
        told, passed = "no slice is large enough to be judged", True
    else:
        passed = value <= gate.maximum_drop
        told = (
            f"{evaluation.metric} is {overall:.3f} on all rows and {describe(worst.candidate)} on "
            f"the worst of {len(judged)} slices, {worst.column}={worst.value} "
            f"({worst.n_rows:,} rows): a drop of {max(value, 0):.3f} is proven, "
            f"{gate.maximum_drop:g} allowed"
        )
    return GateResult(
        name="slices",
        passed=passed,
        value=value,
        threshold=gate.maximum_drop,
        reason="; ".join(filter(None, [told, not_judged])),
    )


def _proven_drop(evaluation: Evaluation, overall: float | None, part: SliceResult) -> float | None:
    """How far the better end of a slice's interval lies below the whole; below 0: not at all."""
    low, high = part.candidate.low, part.candidate.high
    if overall is None or low is None or high is None:
        return None
    return overall - high if direction(evaluation.metric) > 0 else low - overall


def _calibration(evaluation: Evaluation, gate: CalibrationGate) -> GateResult:
    found = evaluation.calibration
    if found.error is None or found.by_chance is None:
        value, reason = None, f"unknown: {found.reason}"
    else:
        value = max(0.0, found.error - found.by_chance)
        kind = (
            "the mean error in standard deviations of the target"
            if evaluation.task == "regression"
            else "the expected calibration error"
        )
        reason = (
            f"{kind} is {found.error:.3f} on {evaluation.n_rows:,} rows, {found.by_chance:.3f} of "
            f"it by chance: {value:.3f}, {gate.maximum_error:g} allowed"
        )
    return GateResult(
        name="calibration",
        passed=value is not None and value <= gate.maximum_error,
        value=value,
        threshold=gate.maximum_error,
        reason=reason,
    )


def _minimum_rows(evaluation: Evaluation, gate: RowsGate) -> GateResult:
    enough_training = evaluation.n_training >= gate.training
    short_of_training = not enough_training and evaluation.n_rows >= gate.validation
    return GateResult(
        name="minimum_rows",
        passed=enough_training and evaluation.n_rows >= gate.validation,
        value=evaluation.n_training if short_of_training else evaluation.n_rows,
        threshold=gate.training if short_of_training else gate.validation,
        reason=(
            f"{evaluation.n_training:,} rows train ({gate.training:,} needed), "
            f"{evaluation.n_rows:,} judge ({gate.validation:,} needed)"
        ),
    )
