"""Whether a step whose worker died runs again, and with how much memory."""

import pytest

from mlops_assets.kubernetes_runs.retrying import RetryPolicy, decide_retry
from mlops_assets.kubernetes_runs.worker import Outcome, WorkerVerdict

GROWS = RetryPolicy("1Gi", "3Gi", 0)


@pytest.mark.parametrize(
    ("outcome", "former", "policy", "again", "words"),
    [
        pytest.param(
            "out_of_memory", [], GROWS, True, "it runs again with 2Gi", id="doubles_its_memory"
        ),
        pytest.param(
            "out_of_memory", ["out_of_memory"], GROWS, True, "with 3Gi", id="up_to_the_maximum"
        ),
        pytest.param(
            "out_of_memory", ["out_of_memory"] * 2, GROWS, False, "not have more than 3Gi",
            id="and_no_further",
        ),
        pytest.param(
            "out_of_memory", ["evicted"], GROWS, True, "with 2Gi", id="evictions_cost_no_memory"
        ),
        pytest.param(
            "out_of_memory", [], RetryPolicy("1Gi", None, 5), False, "more than 1Gi",
            id="only_if_the_document_allows",
        ),
        pytest.param(
            "out_of_memory", [], RetryPolicy("4Gi", "2Gi", 0), False, "more than 4Gi",
            id="a_maximum_below_its_memory",
        ),
        pytest.param(
            "out_of_memory", [], RetryPolicy(None, "8Gi", 0), False, "no limit that could be",
            id="not_without_a_limit",
        ),
        pytest.param("evicted", [], GROWS, False, "eviction 1, allowed: 0", id="not_by_default"),
        pytest.param(
            "evicted", ["evicted"], RetryPolicy(None, None, 2), True, "eviction 2, allowed: 2",
            id="as_often_as_allowed",
        ),
        pytest.param(
            "evicted", ["evicted"] * 2, RetryPolicy(None, None, 2), False, "eviction 3",
            id="not_more_often",
        ),
        pytest.param("failed", [], GROWS, False, "why", id="its_own_failure_is_not_ours_to_retry"),
        pytest.param("never_started", [], GROWS, False, "why", id="what_never_started_is_given_up"),
    ],
)  # fmt: skip
def test_who_runs_again(
    outcome: Outcome, former: list[Outcome], policy: RetryPolicy, again: bool, words: str
) -> None:
    decision = decide_retry(WorkerVerdict(outcome, "why"), former, policy)
    assert (decision.again, words in decision.reason) == (again, True), decision.reason
