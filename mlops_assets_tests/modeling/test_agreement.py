import numpy as np
import pytest

from mlops_assets.modeling.agreement import check_agreement, judge_numbers, judge_probabilities
from mlops_assets.modeling.metrics import Floats
from mlops_assets_tests.modeling.conftest import PackagedModel

N = 1_000


def pair(first: float) -> list[float]:
    return [first, 1 - first]


def answers(n_changed: int, before: float, after: float) -> tuple[Floats, Floats]:
    """Expected and found probabilities of N rows, of which some differ."""
    expected = np.array([pair(before)] * N)
    found = expected.copy()
    found[:n_changed] = pair(after)
    return expected, found


@pytest.mark.parametrize(
    ("n_changed", "before", "after", "usable"),
    [
        pytest.param(N, 0.7, 0.700009, True, id="all_rows_within_tolerance"),
        pytest.param(5, 0.7, 0.715, True, id="half_a_percent_beyond"),
        pytest.param(6, 0.7, 0.715, False, id="more_than_half_a_percent_beyond"),
        pytest.param(1, 0.7, 0.7199, True, id="largest_difference"),
        pytest.param(1, 0.7, 0.7201, False, id="beyond_the_largest_difference"),
        pytest.param(1, 0.50001, 0.49999, False, id="a_label_that_differs"),
        pytest.param(N, 0.500004, 0.499996, True, id="a_tie_has_no_label"),
        pytest.param(1, 0.7, float("nan"), False, id="no_number"),
    ],
)
def test_probabilities_agree_within_limits(
    n_changed: int, before: float, after: float, usable: bool
) -> None:
    verdict = judge_probabilities(*answers(n_changed, before, after))
    assert verdict.usable is usable, verdict.reason
    assert verdict.n_rows == N
    assert ("answers as scikit-learn does" in verdict.reason) is usable


def test_numbers_agree_relative_to_their_size() -> None:
    expected = np.array([1e6, 2e6, 0.0])
    assert judge_numbers(expected, expected + np.array([5, 5, 5])).usable
    assert not judge_numbers(expected, expected + np.array([0, 0, 5e4])).usable


def test_a_graph_that_cannot_run_is_not_usable(boosted: PackagedModel) -> None:
    fitted = boosted.fitted
    found = check_agreement(
        fitted.pipeline, b"no graph", boosted.built.frame, fitted.features, fitted.task
    )
    assert not found.usable
    assert found.reason.startswith("onnxruntime cannot run it")
