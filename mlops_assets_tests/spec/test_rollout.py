from datetime import timedelta

import pytest
from pydantic import ValidationError

from mlops_assets.spec.criterion import CriterionSpec
from mlops_assets.spec.rollout import FreezeSpec, RolloutSpec
from mlops_assets_tests.spec.conftest import SHORTEST, Write, problems_of


def refused(**fields: object) -> str:
    """What is said of a rollout part that cannot be used."""
    with pytest.raises(ValidationError) as found:
        RolloutSpec.model_validate(fields)
    return str(found.value)


def test_a_strategy_is_enough() -> None:
    assert RolloutSpec.model_validate({"strategy": "canary"}).steps is None


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ([5, 25, 5], "a whole percent above 25 (steps[1]) and at most 99"),
        ([0, 50], "a whole percent above 0 and at most 99"),
        ([50, 100], "a whole percent above 50 (steps[0]) and at most 99"),
        ([10, 10], "a whole percent above 10 (steps[0])"),
    ],
)
def test_steps_grow_between_1_and_99(steps: list[int], problem: str) -> None:
    assert problem in refused(steps=steps)


@pytest.mark.parametrize(("percent", "fits"), [(49, True), (50, False)])
def test_a_baseline_needs_as_much_again(percent: int, fits: bool) -> None:
    fields = {"baseline": True, "steps": [percent]}
    if fits:
        assert RolloutSpec.model_validate(fields).steps == [percent]
    else:
        assert "at most 49" in refused(**fields)


def test_problems_are_told_all_at_once_with_their_lines(write: Write) -> None:
    text = SHORTEST + (
        "  rollout:\n"
        "    strategy: canary\n"
        "    steps: [50, 20]\n"
        "    interval: 0s\n"
        "    bandit: {criterion: errors}\n"
    )
    problems = problems_of(write(text))
    assert [problem.split(": found")[0] for problem in problems] == [
        "17: rollout.steps[1]",
        "18: rollout.interval",
        "19: rollout.bandit",
    ]


def test_an_unknown_strategy_gets_a_suggestion(write: Write) -> None:
    problems = problems_of(write(f"{SHORTEST}  rollout:\n    strategy: canarry\n"))
    assert "did you mean 'canary'?" in problems[0]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"metric": "function", "margin": 1.0, "better": "lower"}, "an import path"),
        ({"metric": "latency", "function": "a.b:c"}, "an import path"),
        ({"metric": "function", "function": "a.b:c", "margin": 1.0}, "lower, higher or same"),
        ({"metric": "function", "function": "a.b:c", "better": "lower"}, "a margin, a minimum"),
        ({"metric": "latency", "better": "higher"}, "lower with metric latency"),
        ({"metric": "latency", "quality": "accuracy"}, "only with metric quality"),
        ({"metric": "latency", "slice_by": "plan"}, "only with metric error_ratio"),
        (
            {"metric": "prediction_distribution", "maximum": 0.5},
            "maximum: found 0.5.*only a margin",
        ),
        (
            {"metric": "prediction_distribution", "minimum": 0.5},
            "minimum: found 0.5.*only a margin",
        ),
        ({"metric": "prediction_distribution", "on_harm": "roll_back"}, "a better model differs"),
        ({"metric": "disagreement", "margin": 0.1}, "only a maximum"),
        ({"metric": "score_mean", "minimum": 2.0, "maximum": 1.0}, "at most the maximum, 1"),
    ],
)
def test_a_criterion_that_means_nothing_is_refused(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        CriterionSpec.model_validate(fields)


def test_a_metric_may_stand_twice_under_names_of_its_own() -> None:
    twice: list[dict[str, object]] = [{"metric": "latency"}, {"metric": "latency", "quantile": 0.5}]
    assert "a name of its own" in refused(criteria=twice)
    named = [twice[0], {**twice[1], "name": "median"}]
    spec = RolloutSpec.model_validate({"criteria": named})
    assert [criterion.title for criterion in spec.criteria or []] == ["latency", "median"]


def test_nothing_to_judge_by_is_refused() -> None:
    assert "at least one criterion" in refused(criteria=[])


def test_the_former_version_outlives_the_watch() -> None:
    short = {"watch": {"duration": "2h"}, "warm_standby": "1h"}
    assert "warm_standby: found '1h'" in refused(**short)
    assert "there is nothing to revert to" in refused(**short)
    assert RolloutSpec.model_validate(short | {"warm_standby": "2h"}).warm_standby == timedelta(
        hours=2
    )


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"strategy": "canary", "bandit": {"criterion": "quality"}}, "only with strategy ab_test"),
        ({"strategy": "ab_test", "bandit": {"criterion": "nothing"}}, "with a mean and a direct"),
        (
            {
                "strategy": "ab_test",
                "bandit": {"criterion": "latency"},
                "criteria": [{"metric": "latency"}],
            },
            "with a mean and a direct",
        ),
        (
            {
                "strategy": "ab_test",
                "bandit": {"criterion": "score_mean"},
                "criteria": [{"metric": "score_mean"}],  # same by default: taken for lower
            },
            "with a mean and a direct",
        ),
        ({"strategy": "ab_test", "steps": []}, "at least one step"),
    ],
)
def test_what_does_not_go_with_a_strategy_is_refused(
    fields: dict[str, object], problem: str
) -> None:
    assert problem in refused(**fields)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"start": "9:00"}, "a time of day"),
        ({"end": "24:01"}, "a time of day"),
        ({"start": "18:00", "end": "06:00"}, "a time after 18:00"),
        ({"first": "2024-12-24", "last": "2024-12-23"}, "2024-12-24 or later"),
        ({"timezone": "Middle Earth"}, "an IANA time zone"),
        ({"days": []}, "at least 1"),
    ],
)
def test_a_freeze_that_never_holds_is_refused(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        FreezeSpec.model_validate({"reason": "holidays", **fields})
