from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.errors import ServingError
from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.timeline import Timeline, read_timeline, write_timeline

PAST = datetime(2013, 2, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
REAL = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
TIMELINE = (
    Timeline()
    .followed_by(PAST, PAST + HOUR, speed=1800.0, real_ns=REAL)
    .followed_by(PAST + HOUR, PAST + 2 * HOUR, speed=1800.0, real_ns=REAL + 10 * SECOND)
)


@pytest.mark.parametrize(
    ("seconds", "past"),
    [
        pytest.param(0, timedelta(0), id="a_stretch_begins_at_its_moment"),
        pytest.param(1, HOUR / 2, id="and_runs_at_its_speed"),
        pytest.param(2, HOUR - timedelta(microseconds=1), id="it_never_reaches_its_end"),
        pytest.param(9.99, HOUR - timedelta(microseconds=1), id="it_waits_for_the_next"),
        pytest.param(10, HOUR, id="which_begins_where_it_ended"),
        pytest.param(-5, timedelta(0), id="before_the_first_it_has_not_begun"),
        pytest.param(1e6, 2 * HOUR - timedelta(microseconds=1), id="after_the_last_it_stands"),
    ],
)
def test_a_real_moment_stands_for_one_of_the_past(seconds: float, past: timedelta) -> None:
    found = TIMELINE.past_ns(REAL + int(seconds * SECOND))
    assert datetime.fromtimestamp(found / 1e9, UTC) - PAST == past


def test_without_a_stretch_it_is_real_time() -> None:
    assert Timeline().past_ns(REAL) == REAL


def test_old_stretches_go() -> None:
    timeline = Timeline()
    for number in range(600):
        timeline = timeline.followed_by(PAST, PAST + HOUR, speed=1.0, real_ns=REAL + number)
    assert len(timeline.stretches) == 500
    assert timeline.stretches[-1].real_ns == REAL + 599


def test_it_is_kept_and_removed(tmp_path: Path) -> None:
    home = ServingHome.under(tmp_path)
    assert read_timeline(home, "toy") == Timeline()
    write_timeline(home, "toy", TIMELINE)
    assert read_timeline(home, "toy") == TIMELINE
    write_timeline(home, "toy", Timeline())
    assert read_timeline(home, "toy") == Timeline()
    write_timeline(home, "toy", Timeline())  # twice does no harm


def test_a_broken_file_is_told(tmp_path: Path) -> None:
    home = ServingHome.under(tmp_path)
    (home.root / "timelines").mkdir(parents=True)
    (home.root / "timelines" / "toy.json").write_text("[{}]")
    with pytest.raises(ServingError, match="timeline cannot be read"):
        read_timeline(home, "toy")
