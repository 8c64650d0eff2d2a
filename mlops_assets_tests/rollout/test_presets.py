from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from mlops_assets.rollout.evidence import Traffic
from mlops_assets.rollout.policy import Freeze
from mlops_assets.rollout.presets import PRESETS, build_policy, resolve_policy
from mlops_assets.spec.rollout import RolloutSpec
from mlops_assets_tests.documents import churn_spec


def policy_of(**fields: Any) -> Any:
    return resolve_policy(RolloutSpec.model_validate(fields))


@pytest.mark.parametrize("strategy", list(PRESETS))
def test_a_strategy_alone_gives_a_whole_policy(strategy: str) -> None:
    policy = policy_of(strategy=strategy)
    assert policy.watch <= policy.warm_standby
    assert policy.interval < policy.maximum_duration
    assert policy.steps or policy.shadow or policy.verify
    assert policy.minimum_samples >= 1


@pytest.mark.parametrize("strategy", list(PRESETS))
def test_all_comparisons_of_all_stages_share_one_alpha(strategy: str) -> None:
    policy = policy_of(strategy=strategy, alpha=0.1)
    n_tests = sum(criterion.n_tests for criterion in policy.criteria)
    assert policy.alpha_each * n_tests * policy.n_stages == pytest.approx(0.1)


def test_bounds_and_slices_take_their_part_of_alpha() -> None:
    one = {"metric": "error_ratio", "margin": 0.01}
    assert policy_of(criteria=[one]).criteria[0].n_tests == 1
    assert policy_of(criteria=[one | {"maximum": 0.05}]).criteria[0].n_tests == 2
    assert policy_of(criteria=[one | {"slice_by": "plan"}]).criteria[0].n_tests == 11


def test_a_bound_alone_is_judged_alone() -> None:
    criterion = policy_of(criteria=[{"metric": "latency", "maximum": 0.2}]).criteria[0]
    assert (criterion.margin, criterion.maximum) == (None, 0.2)


def test_the_document_outranks_the_preset() -> None:
    policy = policy_of(strategy="canary", steps=[1, 2], interval="5s", bake_time="0s")
    assert (policy.steps, policy.interval) == ((1, 2), timedelta(seconds=5))
    assert policy.bake_time == timedelta(0)


def test_a_longer_watch_keeps_the_former_version_longer() -> None:
    policy = policy_of(strategy="canary", watch={"duration": "3h"})
    assert policy.warm_standby == timedelta(hours=3)


def test_what_is_never_split_is_verified() -> None:
    assert policy_of(strategy="canary", steps=[]).verify
    assert not policy_of(strategy="shadow", steps=[]).verify
    assert not policy_of(strategy="canary").verify


def test_a_shadow_needs_its_own_samples() -> None:
    assert policy_of(strategy="shadow").shadow.minimum_samples == 500
    assert policy_of(strategy="shadow", minimum_samples=7).shadow.minimum_samples == 7
    assert policy_of(strategy="canary", shadow={}).shadow.minimum_samples == 100


@pytest.mark.parametrize(
    ("step", "traffic"),
    [
        (0, Traffic(stable=90, challenger=5, baseline=5)),
        (1, Traffic(stable=2, challenger=49, baseline=49)),
        (7, Traffic(stable=2, challenger=49, baseline=49)),
    ],
)
def test_the_split_of_a_step(step: int, traffic: Traffic) -> None:
    assert policy_of(steps=[5, 49], baseline=True).traffic_at(step) == traffic


def test_a_preset_is_cut_down_to_make_room_for_a_baseline() -> None:
    assert policy_of(strategy="rolling", baseline=True).steps == (25, 49)


def test_the_task_decides_what_quality_means() -> None:
    spec = RolloutSpec.model_validate({"criteria": [{"metric": "quality"}]})
    assert resolve_policy(spec, "binary").criteria[0].quality == "brier_score"
    assert resolve_policy(spec, "regression").criteria[0].quality == "mean_absolute_error"


def test_accuracy_is_better_when_higher() -> None:
    criterion = policy_of(criteria=[{"metric": "quality", "quality": "accuracy"}]).criteria[0]
    assert (criterion.better, criterion.relative, criterion.margin) == ("higher", True, 0.1)


def test_the_sticky_key_is_the_documents_entity() -> None:
    assert build_policy(churn_spec(rollout={"strategy": "canary"})).sticky_key == "customer"
    other = churn_spec(rollout={"strategy": "canary", "sticky_key": "household"})
    assert build_policy(other).sticky_key == "household"


def test_no_rollout_no_policy() -> None:
    with pytest.raises(ValueError, match="churn has no rollout"):
        build_policy(churn_spec())


@pytest.mark.parametrize(
    ("moment", "holds"),
    [
        (datetime(2024, 12, 24, 22, 59, tzinfo=UTC), False),
        (datetime(2024, 12, 24, 23, 0, tzinfo=UTC), True),  # midnight in Berlin
        (datetime(2024, 12, 26, 22, 59, tzinfo=UTC), True),
        (datetime(2024, 12, 26, 23, 0, tzinfo=UTC), False),
    ],
)
def test_a_freeze_holds_from_its_first_to_its_last_day_where_it_is(
    moment: datetime, holds: bool
) -> None:
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    freeze = Freeze(
        reason="holidays",
        days=days,
        start="00:00",
        end="24:00",
        first=date(2024, 12, 25),
        last=date(2024, 12, 26),
        timezone="Europe/Berlin",
    )
    assert freeze.holds_at(moment) == holds
