"""What the log of Dagster's process holds for a person on call."""

import logging
import re
from collections.abc import Iterator

import pytest

from mlops_assets.platform.dagster_server import begin_log

SENSORS = "dagster.daemon.SensorDaemon"


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    before = (list(logger.handlers), logger.level)
    yield logger
    logger.handlers[:], level = before
    logger.setLevel(level)


def test_quiet_ticks_are_left_out_and_the_rest_has_its_time(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    begin_log()
    sensors = logging.getLogger(SENSORS)
    sensors.info("Checking for new runs for sensor: retraining")
    sensors.info("Sensor retraining skipped: churn: none: drift: 0 of 5 windows violate")
    sensors.info("Completed launch of run 0f0ecd30 for retraining")
    sensors.error("Sensor daemon skipped a beat")
    logging.getLogger("dagster.daemon.QueuedRunCoordinatorDaemon").info("Launched 1 runs.")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ", 1)[1] for line in lines] == [
        "Completed launch of run 0f0ecd30 for retraining",
        "Sensor daemon skipped a beat",
        "Launched 1 runs.",
    ]
    assert all(
        re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} [A-Z]+ dagster", x) for x in lines
    )
