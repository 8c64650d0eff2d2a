"""What the evidence says of each criterion, boundary by boundary."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from mlops_assets.rollout.assessment import Assessment, assess, kept_levels
from mlops_assets.rollout.evidence import Arm, ArmEvidence, Evidence, RevisionHealth, Traffic
from mlops_assets.rollout.measures import Counts, Histogram, Measure, Moments
from mlops_assets.rollout.split_check import split_problem
from mlops_assets_tests.rollout.scenes import READY, START, policy_of

RNG = np.random.default_rng(0)
SCORES = RNG.normal(0.5, 0.1, 4000)


def arm(
    measure: Measure | None,
    title: str,
    n: int | None = None,
    slices: Mapping[str, Moments] | None = None,
) -> ArmEvidence:
    """An arm with one measure."""
    count = n if n is not None else measure.n if measure is not None else 0
    return ArmEvidence(
        n_requests=count,
        n_units=count,
        measures={title: measure} if measure is not None else {},
        slices={title: slices} if slices else {},
    )


def judged(
    criterion: dict[str, Any],
    challenger: ArmEvidence | None = None,
    stable: ArmEvidence | None = None,
    **changes: Any,
) -> Assessment:
    """One criterion on two arms."""
    found: dict[Arm, ArmEvidence] = {}
    if challenger is not None:
        found["challenger"] = challenger
    if stable is not None:
        found["stable"] = stable
    fields: dict[str, Any] = {"arms": found} | changes
    phase, bounds = fields.pop("phase", "step"), fields.pop("bounds", {})
    evidence = Evidence(since=START, until=START, stable=READY, challenger=READY, **fields)
    return assess(evidence, policy_of(criteria=[criterion]), phase, bounds)


ERRORS = {"metric": "error_ratio", "margin": 0.05}
LATENCY = {"metric": "latency", "margin": 0.5}
SCORE = {"metric": "score_mean", "margin": 0.05, "required": True}


@pytest.mark.parametrize(
    ("n_errors", "verdict"),
    [(0, "healthy"), (26, "healthy"), (27, "undecided"), (60, "undecided"), (300, "harmful")],
)
def test_errors_beside_one_percent(n_errors: int, verdict: str) -> None:
    one = arm(Moments.of_flags(1000, n_errors), "error_ratio")
    other = arm(Moments.of_flags(5000, 50), "error_ratio")
    found = judged(ERRORS, one, other)
    assert found.verdict == verdict
    reading = found.readings[0]
    assert (reading.challenger, reading.stable) == (n_errors / 1000, 0.01)
    assert reading.limit == 0.05
    assert reading.low is not None
    assert reading.high is not None
    assert reading.low <= (reading.difference or 0) <= reading.high
    assert (reading.low > 0.05) == (verdict == "harmful")
    assert (reading.high <= 0.05) == (verdict == "healthy")


def test_fewer_errors_are_healthy() -> None:
    one = arm(Moments.of_flags(2000, 0), "error_ratio")
    other = arm(Moments.of_flags(2000, 400), "error_ratio")
    assert judged(ERRORS | {"margin": 0.0}, one, other).verdict == "healthy"


def test_a_relative_margin_is_a_share_of_the_serving_version() -> None:
    one = arm(Moments.of_flags(20_000, 3000), "error_ratio")
    other = arm(Moments.of_flags(20_000, 2000), "error_ratio")
    share = ERRORS | {"relative": True}
    assert judged(share | {"margin": 0.2}, one, other).verdict == "harmful"
    found = judged(share | {"margin": 0.8}, one, other)
    assert found.verdict == "healthy"
    assert found.readings[0].difference == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("shift", "better", "verdict"),
    [
        (0.3, "same", "harmful"),
        (-0.3, "same", "harmful"),
        (0.0, "same", "healthy"),
        (0.3, "higher", "healthy"),
        (-0.3, "higher", "harmful"),
        (0.3, "lower", "harmful"),
        (-0.3, "lower", "healthy"),
    ],
)
def test_a_score_that_moves(shift: float, better: str, verdict: str) -> None:
    one = arm(Moments.of(SCORES[:1000] + shift), "score_mean")
    other = arm(Moments.of(SCORES[1000:]), "score_mean")
    assert judged(SCORE | {"better": better}, one, other).verdict == verdict


def test_a_relative_margin_of_a_negative_score_is_a_share_of_its_size() -> None:
    one, other = SCORES[:1000] - 10, SCORES[1000:] - 10
    relative = SCORE | {"relative": True, "better": "same"}
    args = (arm(Moments.of(one), "score_mean"), arm(Moments.of(other), "score_mean"))
    assert judged(relative, *args).verdict == "healthy"
    moved = arm(Moments.of(one - 2), "score_mean")
    assert judged(relative, moved, args[1]).verdict == "harmful"


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "healthy"), (0.5, "healthy"), (1.4, "undecided"), (2, "harmful")]
)
def test_latency_beside_that_of_the_serving_version(factor: float, verdict: str) -> None:
    values = np.random.default_rng(1).lognormal(-2, 0.3, 6000)
    one = arm(Histogram.of(values[:2000] * factor), "latency")
    other = arm(Histogram.of(values[2000:]), "latency")
    assert judged(LATENCY, one, other).verdict == verdict


def test_a_difference_below_ten_milliseconds_is_always_allowed() -> None:
    values = np.random.default_rng(1).lognormal(-7, 0.3, 6000)  # 1 ms
    one = arm(Histogram.of(values[:2000] * 3), "latency")
    other = arm(Histogram.of(values[2000:]), "latency")
    assert judged(LATENCY, one, other).verdict == "healthy"
    assert judged(LATENCY | {"margin_seconds": 0.0}, one, other).verdict == "harmful"


def test_coarse_bins_prove_harm_only_across_bins() -> None:
    """With the buckets of a predictor: twice as slow inside one bucket proves nothing."""
    edges = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25]
    slow, fast = (Histogram.of(np.full(3000, s), edges=edges) for s in (0.09, 0.06))
    slower = Histogram.of(np.full(3000, 0.2), edges=edges)
    other = arm(fast, "latency")
    tight = LATENCY | {"margin": 0.2, "margin_seconds": 0.0}
    assert judged(tight, arm(slow, "latency"), other).verdict != "harmful"
    assert judged(tight, arm(slower, "latency"), other).verdict == "undecided"
    slowest = Histogram.of(np.full(3000, 0.5), edges=edges)
    assert judged(tight, arm(slowest, "latency"), other).verdict == "harmful"


def test_another_distribution_asks_and_harms_nobody() -> None:
    criterion = {"metric": "prediction_distribution", "margin": 0.2}
    one = arm(Counts(counts={"a": 900, "b": 100}, n_units=1000), "prediction_distribution")
    other = arm(Counts(counts={"a": 100, "b": 900}, n_units=1000), "prediction_distribution")
    found = judged(criterion, one, other)
    assert (found.verdict, found.asking) == ("healthy", ("prediction_distribution",))


@pytest.mark.parametrize(
    ("n_errors", "verdict"), [(0, "healthy"), (200, "harmful"), (100, "undecided")]
)
def test_a_bound_is_judged_without_another_version(n_errors: int, verdict: str) -> None:
    criterion = {"metric": "error_ratio", "maximum": 0.1}
    found = judged(criterion, arm(Moments.of_flags(1000, n_errors), "error_ratio"))
    assert found.verdict == verdict
    assert found.readings[0].test == "maximum"


def test_a_minimum_is_the_same_from_below() -> None:
    criterion = {"metric": "quality", "quality": "accuracy", "minimum": 0.8, "required": True}
    good, bad = Moments.of_flags(1000, 900), Moments.of_flags(1000, 700)
    assert judged(criterion, arm(good, "quality")).verdict == "healthy"
    assert judged(criterion, arm(bad, "quality")).verdict == "harmful"


def test_a_margin_without_another_version_is_undecided() -> None:
    found = judged(ERRORS, arm(Moments.of_flags(1000, 0), "error_ratio"))
    assert found.verdict == "undecided"
    assert "nothing of stable to compare it with" in found.reason


def test_without_another_version_the_level_kept_before_counts() -> None:
    one = arm(Moments.of_flags(1000, 200), "error_ratio")
    found = judged(ERRORS, one, bounds={"error_ratio": 0.07}, phase="watching")
    assert found.verdict == "harmful"
    assert found.readings[0].test == "maximum"


def test_a_bound_and_the_level_kept_before_are_told_apart() -> None:
    one = arm(Moments.of_flags(1000, 0), "error_ratio")
    both = ERRORS | {"maximum": 0.3}
    kept, bound = judged(both, one, bounds={"error_ratio": 0.07}, phase="watching").readings
    assert "what the former version kept, with the margin, is 0.07: healthy" in kept.reason
    assert "the maximum is 0.3: healthy" in bound.reason


def test_no_request_is_undecided_and_no_number_is_unknown() -> None:
    other = arm(Moments.of_flags(1000, 0), "error_ratio")
    assert judged(ERRORS, arm(None, "error_ratio"), other).verdict == "undecided"
    assert judged(ERRORS, arm(None, "error_ratio", n=50), other).verdict == "unknown"


def test_truth_that_has_not_arrived_is_undecided_and_holds_nothing_up() -> None:
    criterion = {"metric": "quality", "quality": "accuracy"}
    found = judged(criterion, arm(None, "quality", n=50))
    assert found.readings[0].verdict == "undecided"
    assert found.verdict == "healthy"
    assert judged(criterion | {"required": True}, arm(None, "quality", n=50)).verdict == "undecided"


def test_a_silent_source_is_unknown_also_where_nothing_is_required() -> None:
    found = judged(ERRORS | {"required": False}, source_error="timeout")
    assert found.verdict == "unknown"
    assert "the source of metrics did not answer: timeout" in found.reason


def test_disagreement_is_judged_while_mirrored_only() -> None:
    criterion = {"metric": "disagreement", "maximum": 0.2}
    one = arm(Moments.of_flags(500, 400), "disagreement")
    assert judged(criterion, one, phase="shadow").asking == ("disagreement",)
    assert judged(criterion, one, phase="step").readings == ()


def test_harm_in_one_slice_is_harm() -> None:
    criterion = {"metric": "error_ratio", "margin": 0.05, "slice_by": "plan"}
    mine = {"basic": Moments.of_flags(9000, 0), "pro": Moments.of_flags(300, 200)}
    theirs = {"basic": Moments.of_flags(18_000, 18), "pro": Moments.of_flags(600, 2)}
    one = arm(Moments.of_flags(10_000, 200), "error_ratio", slices=mine)
    other = arm(Moments.of_flags(20_000, 20), "error_ratio", slices=theirs)
    found = judged(criterion, one, other)
    assert found.verdict == "harmful"
    assert "error_ratio[pro]" in found.reason
    assert "error_ratio[basic]" not in found.reason


def test_a_small_slice_holds_nothing_up() -> None:
    criterion = {"metric": "error_ratio", "margin": 0.05, "slice_by": "plan"}
    one = arm(Moments.of_flags(10_000, 10), "error_ratio", slices={"pro": Moments.of_flags(3, 0)})
    other = arm(Moments.of_flags(20_000, 20), "error_ratio")
    found = judged(criterion, one, other)
    assert found.verdict == "healthy"
    assert {r.criterion: r.verdict for r in found.readings}["error_ratio[pro]"] == "undecided"


def test_the_ten_largest_slices_are_judged() -> None:
    criterion = {"metric": "error_ratio", "margin": 0.05, "slice_by": "city"}
    slices = {f"city {n:02d}": Moments.of_flags(100 + n, 0) for n in range(30)}
    found = judged(criterion, arm(Moments.of_flags(9000, 0), "error_ratio", slices=slices))
    judged_slices = [r.criterion for r in found.readings[1:]]
    assert judged_slices == [f"error_ratio[city {n}]" for n in range(29, 19, -1)]


def test_unlike_measures_cannot_be_compared() -> None:
    one = arm(Moments.of_flags(10, 0), "latency")
    with pytest.raises(TypeError, match="latency: Moments is compared with Histogram"):
        judged(LATENCY, one, arm(Histogram.of([0.1]), "latency"))


def test_levels_that_were_kept_have_the_margin_on_top() -> None:
    measures: dict[str, Measure] = {
        "error_ratio": Moments.of_flags(10_000, 100),
        "latency": Histogram.of(np.linspace(0.05, 0.1, 5000)),
        "score_mean": Moments.of(SCORES),
    }
    evidence = Evidence(
        since=START,
        until=START,
        arms={"stable": ArmEvidence(n_requests=10_000, n_units=10_000, measures=measures)},
        stable=READY,
        challenger=RevisionHealth(phase="ready"),
    )
    levels = kept_levels(evidence, policy_of(criteria=[ERRORS, LATENCY, SCORE]), "step")
    assert set(levels) == {"error_ratio", "latency"}
    assert 0.06 < levels["error_ratio"] < 0.07
    assert 0.14 < levels["latency"] < 0.17


def test_levels_of_a_version_that_nobody_asked_are_unknown() -> None:
    evidence = Evidence(since=START, until=START, stable=READY, challenger=READY)
    assert kept_levels(evidence, policy_of(criteria=[ERRORS]), "step") == {}


def test_callers_are_the_unit_of_a_split() -> None:
    few = ArmEvidence(n_requests=5000, n_units=50)
    many = ArmEvidence(n_requests=9000, n_units=55)
    evidence = Evidence(
        since=START,
        until=START,
        arms={"stable": many, "challenger": few},
        stable=READY,
        challenger=READY,
    )
    even = Traffic(stable=50, challenger=50)
    assert split_problem(evidence, even) is None
    alone = {
        name: did.model_copy(update={"n_units": did.n_requests})
        for name, did in evidence.arms.items()
    }
    problem = split_problem(evidence.model_copy(update={"arms": alone}), even)
    assert problem is not None
    assert "9,000 stable (50 %), 5,000 challenger (50 %)" in problem


def test_one_arm_alone_has_no_split_to_doubt() -> None:
    evidence = Evidence(
        since=START,
        until=START,
        arms={"challenger": arm(None, "x", n=900)},
        stable=READY,
        challenger=READY,
    )
    assert split_problem(evidence, Traffic(stable=0, challenger=100)) is None


def test_units_of_which_only_warm_up_was_seen_were_sent_all_the_same() -> None:
    """The first requests of each version count nowhere, also where one version gets few of all."""
    arms: dict[Arm, ArmEvidence] = {
        "stable": ArmEvidence(n_requests=340, n_units=340, n_units_warming=20),
        "challenger": ArmEvidence(n_requests=15, n_units=15, n_units_warming=20),
    }
    evidence = Evidence(since=START, until=START, arms=arms, stable=READY, challenger=READY)
    tenth = Traffic(stable=90, challenger=10)
    assert split_problem(evidence, tenth) is None
    forgotten = {name: did.model_copy(update={"n_units_warming": 0}) for name, did in arms.items()}
    assert split_problem(evidence.model_copy(update={"arms": forgotten}), tenth) is not None


def test_copies_are_compared_with_what_callers_got_also_where_there_is_a_baseline() -> None:
    """A baseline has no share while requests are mirrored."""
    flags = Moments.of_flags(1000, 0)
    arms: dict[Arm, ArmEvidence] = {
        "stable": arm(flags, "error_ratio"),
        "challenger": arm(flags, "error_ratio"),
        "baseline": ArmEvidence(n_requests=0, n_units=0),
    }
    evidence = Evidence(since=START, until=START, arms=arms, stable=READY, challenger=READY)
    policy = policy_of(criteria=[ERRORS], baseline=True, steps=[10])
    for phase, verdict in (("shadow", "healthy"), ("awaiting_approval", "healthy")):
        assert assess(evidence, policy, phase, {}).verdict == verdict  # type: ignore[arg-type]
    assert assess(evidence, policy, "step", {}).verdict == "undecided"


def test_where_nothing_is_required_and_nothing_was_measured_nothing_is_known() -> None:
    optional = {**ERRORS, "required": False}
    unmeasured = arm(None, "error_ratio", n=500)
    assert judged(optional, unmeasured, unmeasured).verdict == "unknown"
    few = arm(Moments.of_flags(30, 0), "error_ratio")
    assert judged(optional, few, few).verdict == "healthy"  # measured, and no harm
