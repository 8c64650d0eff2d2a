from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from mlops_assets.modeling.features import VALIDATES
from mlops_assets.modeling.split import TIME
from mlops_assets.modeling.training_window import choose_training_window, trained_rows
from mlops_assets.spec.retraining import TrainingWindowSpec

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 100
FRAME = pl.DataFrame(
    {
        TIME: [START + timedelta(days=i) for i in range(DAYS)],
        VALIDATES: [i >= 90 for i in range(DAYS)],  # the ten newest
    }
)


def choose(champion_until: datetime | None = None, **declared: Any) -> tuple[int, datetime | None]:
    spec = TrainingWindowSpec(minimum_rows=declared.pop("minimum_rows", 2), **declared)
    window = choose_training_window(FRAME, spec, champion_until)
    rows = trained_rows(FRAME, window)
    assert rows.height == window.n_rows == 90 - window.n_left_out
    assert not rows[VALIDATES].any()
    return window.n_rows, window.oldest_at


@pytest.mark.parametrize(
    ("declared", "n_rows", "oldest"),
    [
        pytest.param({"keep": "all"}, 90, None, id="all"),
        pytest.param({"keep": "duration", "duration": "7d"}, 7, 83, id="seven_days_are_seven_rows"),
        pytest.param({"keep": "rows", "rows": 30}, 30, 60, id="the_newest_rows"),
        pytest.param({"keep": "rows", "rows": 500}, 90, 0, id="more_than_there_are"),
        pytest.param({"keep": "duration", "duration": "7d", "minimum_rows": 20}, 20, 70,
                     id="older_ones_are_added"),
    ],
)  # fmt: skip
def test_which_rows_train(declared: dict[str, Any], n_rows: int, oldest: int | None) -> None:
    at = None if oldest is None else START + timedelta(days=oldest)
    assert choose(**declared) == (n_rows, at)


def test_since_the_champion_only_newer_rows_train() -> None:
    until = START + timedelta(days=79)
    assert choose(until, keep="since_champion") == (10, START + timedelta(days=80))
    assert choose(None, keep="since_champion") == (90, START)
    assert choose(START + timedelta(days=400), keep="since_champion", minimum_rows=15)[0] == 15


def test_the_reason_tells_how_many_rows_there_are_when_fewer_than_the_minimum() -> None:
    declared = TrainingWindowSpec.model_validate({"keep": "duration", "duration": "7d"})
    window = choose_training_window(FRAME, declared, None)
    assert (window.n_rows, window.n_left_out) == (90, 0)
    assert window.reason.endswith("which leaves 7; so many that there are 90")


def test_without_a_document_or_a_time_all_rows_train() -> None:
    assert choose_training_window(FRAME, None, None).n_rows == 90
    timeless = choose_training_window(FRAME.drop(TIME), None, None)
    assert (timeless.n_rows, timeless.newest_at) == (90, None)
