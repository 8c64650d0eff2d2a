"""When a server that ended is started again."""

import pytest

from mlops_assets.platform.restarts import MOST_DEATHS, WINDOW_SECONDS, decide_restart


@pytest.mark.parametrize(
    ("was_ready", "deaths", "action", "delay_seconds"),
    [
        pytest.param(False, [10.0], "give_up", 0, id="it_never_answered"),
        pytest.param(True, [10.0], "restart", 1, id="first_time"),
        pytest.param(True, [10.0, 20.0, 30.0], "restart", 4, id="doubles"),
        pytest.param(True, [1.0, 2.0, 3.0, 4.0, 5.0], "restart", 16, id="most_deaths"),
        pytest.param(True, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "give_up", 0, id="one_too_many"),
        pytest.param(
            True,
            [0.0, 1.0, 2.0, 3.0, 4.0, WINDOW_SECONDS],
            "restart",
            16,
            id="old_ones_are_forgotten",
        ),
    ],
)
def test_restart_table(
    was_ready: bool, deaths: list[float], action: str, delay_seconds: float
) -> None:
    decision = decide_restart(1, was_ready=was_ready, deaths=deaths)
    assert (decision.action, decision.delay_seconds) == (action, delay_seconds)
    assert "code 1" in decision.reason


def test_the_reason_names_the_signal() -> None:
    assert "signal 9" in decide_restart(-9, was_ready=True, deaths=[1.0]).reason
    assert MOST_DEATHS == 5
