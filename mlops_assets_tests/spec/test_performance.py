"""Which metric windows compare."""

import pytest
from pydantic import ValidationError

from mlops_assets.spec.monitoring import QualitySpec
from mlops_assets_tests.documents import churn_spec

REGRESSION = {
    "target": {"column": "spend", "task": "regression"},
    "features": {"numeric": ["months"], "categorical": ["plan"]},
}


def test_windows_compare_what_the_gates_compare() -> None:
    assert churn_spec().monitored_metric == "roc_auc"
    assert churn_spec(evaluation={"metric": "f1"}).monitored_metric == "f1"


def test_a_regression_is_watched_by_its_error() -> None:
    spec = churn_spec(**REGRESSION)
    assert (spec.metric, spec.monitored_metric) == ("r2", "mean_absolute_error")


def test_another_metric_may_be_watched() -> None:
    spec = churn_spec(monitoring={"performance": {"metric": "brier_score"}})
    assert (spec.metric, spec.monitored_metric) == ("roc_auc", "brier_score")


def test_a_metric_of_another_task_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"monitoring.performance.metric: found 'r2'"):
        churn_spec(monitoring={"performance": {"metric": "r2"}})


@pytest.mark.parametrize(("ratio", "allowed"), [(0.0, False), (1.0, True), (1.1, False)])
def test_limits_are_shares(ratio: float, allowed: bool) -> None:
    fields = {"maximum_missing_rise": ratio}
    if allowed:
        assert QualitySpec.model_validate(fields).maximum_missing_rise == ratio
        return
    with pytest.raises(ValidationError):
        QualitySpec.model_validate(fields)
