from itertools import cycle, islice

import pytest

from mlops_assets.modeling.evaluation import Estimate
from mlops_assets.monitoring.trust import EstimateError, assess_trust, error_of
from mlops_assets.spec.model import Metric


def errors(*off: float, noise: float = 0.0, metric: Metric = "roc_auc") -> list[EstimateError]:
    return [
        EstimateError(metric=metric, estimated=0.7 + o, realised=0.7, standard_error=noise)
        for o in off
    ]


def alternating(off: float, n: int, noise: float) -> list[EstimateError]:
    return errors(*islice(cycle([off, -off]), n), noise=noise)


@pytest.mark.parametrize(
    ("found", "state"),
    [
        pytest.param([], "unproven", id="no_comparison"),
        pytest.param(errors(0, 0), "unproven", id="two_comparisons"),
        pytest.param(errors(0, 0, 0), "trusted", id="three_good_ones"),
        pytest.param(errors(0.0499, -0.0499, 0.0499), "trusted", id="just_within_the_tolerance"),
        pytest.param(errors(0.0501, -0.0501, 0.0501), "untrusted", id="just_beyond_it"),
        pytest.param(alternating(0.10, 10, noise=0.08), "trusted", id="chance_is_taken_off"),
        pytest.param(alternating(0.20, 10, noise=0.08), "untrusted", id="more_than_chance"),
        pytest.param(errors(0, 0, 0, noise=0.2), "unproven", id="chance_hides_everything"),
        pytest.param(
            errors(*[0.3] * 10, *[0.0] * 10), "trusted", id="what_is_long_ago_is_forgotten"
        ),
        pytest.param(errors(0, 0, 0, metric="f1"), "unproven", id="another_metric"),
    ],
)
def test_when_an_estimate_is_believed(found: list[EstimateError], state: str) -> None:
    trust = assess_trust(found, "roc_auc", 0.05)
    assert trust.state == state
    assert trust.reason


def test_an_error_is_measured_in_standard_errors_of_truth() -> None:
    realised = Estimate(value=0.7, low=0.7 - 1.96 * 0.02, high=0.7 + 1.96 * 0.02)
    found = error_of("roc_auc", Estimate(value=0.75, low=0.74, high=0.76), realised)
    assert found is not None
    assert found.error == pytest.approx(0.05)
    assert found.standard_error == pytest.approx(0.02, rel=1e-3)


def test_nothing_is_compared_with_an_unknown_number() -> None:
    unknown = Estimate(value=None, low=None, high=None)
    known = Estimate(value=0.7, low=0.6, high=0.8)
    assert error_of("roc_auc", unknown, known) is None
    assert error_of("roc_auc", known, unknown) is None
