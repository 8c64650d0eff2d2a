from datetime import UTC, datetime
from typing import Any

import pytest

from mlops_assets.modeling.calibration import Calibration
from mlops_assets.modeling.evaluation import Estimate, Evaluation, SliceResult
from mlops_assets.modeling.gates import GateResult, describe, judge
from mlops_assets.spec import GatesSpec

UNKNOWN = Estimate(value=None, low=None, high=None, reason="one class")


def near(value: float, half: float = 0.02) -> Estimate:
    return Estimate(value=value, low=round(value - half, 6), high=round(value + half, 6))


def evidence(**changes: Any) -> Evaluation:
    """A candidate with AUC 0.70 against 0.50, no champion, calibrated, on 500 rows."""
    parts: dict[str, Any] = {
        "model": "toy",
        "task": "binary",
        "metric": "roc_auc",
        "confidence": 0.95,
        "bootstrap_samples": 500,
        "n_training": 2_000,
        "n_rows": 500,
        "rows": "500 rows",
        "oldest_at": None,
        "newest_at": None,
        "decided_at": datetime(2024, 1, 1, tzinfo=UTC),
        "metrics": {"candidate": {"roc_auc": near(0.7)}, "baseline": {"roc_auc": near(0.5, 0)}},
        "gains": {"baseline": {"roc_auc": near(0.2)}},
        "champion": "none",
        "champion_version": None,
        "champion_reason": "there is no champion yet",
        "slices": [],
        "calibration": Calibration(error=0.05, by_chance=0.02, bins=[]),
        "latency": {},
        "candidate_digest": "c" * 64,
        "frame_digest": "f" * 64,
    }
    return Evaluation.model_validate(parts | changes)


def with_gain(gain: Estimate) -> Evaluation:
    return evidence(gains={"baseline": {"roc_auc": gain}})


def with_champion(gain: Estimate, **changes: Any) -> Evaluation:
    base = evidence()
    return evidence(
        champion="judged",
        champion_version="3",
        champion_reason="",
        metrics={**base.metrics, "champion": {"roc_auc": near(0.7)}},
        gains={**base.gains, "champion": {"roc_auc": gain}},
        **changes,
    )


def with_slices(*slices: tuple[str, int, Estimate], **changes: Any) -> Evaluation:
    parts = [
        SliceResult(column="genre", value=value, n_rows=n_rows, candidate=candidate)
        for value, n_rows, candidate in slices
    ]
    return evidence(slices=parts, **changes)


def with_calibration(error: float | None, by_chance: float | None) -> Evaluation:
    reason = "" if error is not None else "too few rows"
    calibration = Calibration(error=error, by_chance=by_chance, bins=[], reason=reason)
    return evidence(calibration=calibration)


def gate(evaluation: Evaluation, name: str, spec: GatesSpec | None = None) -> GateResult:
    return next(g for g in judge(evaluation, spec or GatesSpec()) if g.name == name)


LOSS: dict[str, Any] = {
    "metric": "log_loss",
    "metrics": {"candidate": {"log_loss": near(0.5)}, "baseline": {"log_loss": near(0.6)}},
    "gains": {"baseline": {"log_loss": near(0.1)}},
}


@pytest.mark.parametrize(
    ("name", "evaluation", "passed", "value", "told"),
    [
        pytest.param(
            "beats_baseline", evidence(), True, 0.18, "0.700 (0.680 to 0.720)", id="beats"
        ),
        pytest.param(
            "beats_baseline", with_gain(near(0.02)), False, 0.0, "must exceed 0", id="touches_zero"
        ),
        pytest.param(
            "beats_baseline",
            with_gain(near(0.03)),
            True,
            0.01,
            "gain is 0.030 (0.010 to 0.050) on 500 rows with 95% confidence",
            id="just_beats",
        ),
        pytest.param(
            "beats_baseline", with_gain(UNKNOWN), False, None, "unknown: one class", id="unknown"
        ),
        pytest.param(
            "not_worse_than_champion",
            evidence(),
            True,
            None,
            "there is no champion yet",
            id="no_champion",
        ),
        pytest.param(
            "not_worse_than_champion",
            with_champion(near(0.0, 0.009)),
            True,
            -0.009,
            "must exceed -0.01",
            id="within_the_margin",
        ),
        pytest.param(
            "not_worse_than_champion",
            with_champion(near(0.0, 0.01)),
            False,
            -0.01,
            "champion's 0.700",
            id="at_the_margin",
        ),
        pytest.param(
            "not_worse_than_champion",
            with_champion(UNKNOWN),
            False,
            None,
            "unknown: one class",
            id="gain_unknown",
        ),
        pytest.param(
            "not_worse_than_champion",
            evidence(champion="not_judged", champion_reason="no row can judge both: 0 rows"),
            False,
            None,
            "unknown: no row can judge both",
            id="not_judged",
        ),
        pytest.param("slices", evidence(), True, None, "no slices are declared", id="no_slices"),
        pytest.param(
            "slices", evidence(n_rows=0), False, None, "unknown: no row judges", id="no_rows"
        ),
        pytest.param(
            "beats_baseline", evidence(confidence=0.995), True, 0.18, "with 99.5%", id="confidence"
        ),
        pytest.param(
            "slices",
            with_slices(("rock", 100, near(0.58)), ("jazz", 300, near(0.7))),
            True,
            0.1,
            "worst of 2 slices, genre=rock (100 rows): a drop of 0.100 is proven",
            id="drop_at_the_limit",
        ),
        pytest.param(
            "slices", with_slices(("rock", 100, near(0.57))), False, 0.11, "0.1 allowed", id="drop"
        ),
        pytest.param(
            "slices",
            with_slices(("rock", 99, near(0.1)), ("jazz", 100, near(0.7))),
            True,
            -0.02,
            "1 smaller than 100 rows not judged",
            id="small_slices_are_not_judged",
        ),
        pytest.param(
            "slices",
            with_slices(("rock", 99, near(0.1))),
            True,
            None,
            "no slice is large enough",
            id="all_small",
        ),
        pytest.param(
            "slices",
            with_slices(("rock", 100, UNKNOWN), ("jazz", 100, near(0.7))),
            False,
            -0.02,
            "unknown on 1 of 2 slices: genre=rock",
            id="slice_unknown",
        ),
        pytest.param(
            "slices",
            with_slices(("rock", 100, near(0.63)), **LOSS),
            False,
            0.11,
            "log_loss is 0.500",
            id="more_loss_is_worse",
        ),
        pytest.param(
            "slices",
            with_slices(("rock", 100, near(0.3)), **LOSS),
            True,
            -0.22,
            "drop of 0.000",
            id="less_loss_is_better",
        ),
        pytest.param(
            "calibration",
            with_calibration(0.12, 0.02),
            True,
            0.1,
            "0.120 on 500 rows, 0.020 of it by chance",
            id="at_the_limit",
        ),
        pytest.param(
            "calibration", with_calibration(0.13, 0.02), False, 0.11, "0.1 allowed", id="beyond"
        ),
        pytest.param(
            "calibration", with_calibration(0.01, 0.02), True, 0.0, "0.000", id="better_than_chance"
        ),
        pytest.param(
            "calibration",
            with_calibration(None, None),
            False,
            None,
            "unknown: too few rows",
            id="calibration_unknown",
        ),
        pytest.param(
            "minimum_rows",
            evidence(n_training=100, n_rows=50),
            True,
            50,
            "100 rows train (100 needed), 50 judge (50 needed)",
            id="just_enough",
        ),
        pytest.param(
            "minimum_rows", evidence(n_training=99), False, 99, "99 rows train", id="short_training"
        ),
        pytest.param(
            "minimum_rows", evidence(n_rows=49), False, 49, "49 judge", id="short_judging"
        ),
    ],
)
def test_gate_table(
    name: str, evaluation: Evaluation, passed: bool, value: float | None, told: str
) -> None:
    found = gate(evaluation, name)
    assert found.passed is passed, found.reason
    assert found.value == (None if value is None else pytest.approx(value))
    assert told in found.reason


def test_a_margin_of_the_baseline_must_be_exceeded() -> None:
    spec = GatesSpec.model_validate({"beats_baseline": {"margin": 0.18}})
    assert not gate(with_gain(near(0.2)), "beats_baseline", spec).passed
    assert gate(with_gain(near(0.201)), "beats_baseline", spec).passed


def test_gates_that_are_switched_off_say_nothing() -> None:
    off = GatesSpec.model_validate(dict.fromkeys(GatesSpec.model_fields))
    assert judge(evidence(), off) == []
    assert [found.name for found in judge(evidence(), GatesSpec())] == list(GatesSpec.model_fields)


def test_estimates_are_told_with_what_is_known() -> None:
    assert describe(UNKNOWN) == "unknown (one class)"
    assert describe(Estimate(value=0.5, low=None, high=None)) == "0.500 (interval unknown)"
