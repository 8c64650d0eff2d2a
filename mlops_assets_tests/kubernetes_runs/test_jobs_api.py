"""Calls that wait for an API server to be back."""

from collections.abc import Callable

import pytest

from mlops_assets.errors import ClusterApiError
from mlops_assets.kubernetes_runs.jobs_api import call_patiently


def fails(*statuses: int) -> Callable[[], str]:
    """A call that fails with each status in turn, and then answers."""
    left = list(statuses)

    def call() -> str:
        if left:
            raise ClusterApiError("no", left.pop(0))
        return "answer"

    return call


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_an_outage_is_waited_for() -> None:
    clock = Clock()
    call = fails(0, 503, 502, 504, 429, 401, 500, 0, 0)
    found = call_patiently(call, 90, clock=lambda: clock.now, sleep=clock.sleep)
    assert found == "answer"
    assert clock.now == 0.5 + 1 + 2 + 4 + 8 + 4 * 10


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_a_refusal_is_not_asked_again(status: int) -> None:
    clock = Clock()
    with pytest.raises(ClusterApiError):
        call_patiently(fails(status), 90, clock=lambda: clock.now, sleep=clock.sleep)
    assert clock.now == 0


def test_patience_ends() -> None:
    clock = Clock()
    with pytest.raises(ClusterApiError):
        call_patiently(fails(*[503] * 99), 60, clock=lambda: clock.now, sleep=clock.sleep)
    assert clock.now <= 60
