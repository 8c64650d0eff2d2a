"""When the sink moves records again."""

import pytest

from mlops_assets.serving.prediction_log.sink import pause_after


@pytest.mark.parametrize(
    ("pass_seconds", "pause_seconds"),
    [(0.0, 1.0), (0.1, 1.0), (0.5, 4.5), (1.5, 13.5), (60.0, 15.0)],
)
def test_moving_takes_a_tenth_of_a_processor_and_no_record_waits_for_long(
    pass_seconds: float, pause_seconds: float
) -> None:
    assert pause_after(pass_seconds) == pause_seconds
