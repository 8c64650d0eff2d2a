from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from mlops_assets.data.history import rows_as_known, truth_times
from mlops_assets.errors import HistoryError
from mlops_assets.spec import ModelSpec
from mlops_assets_tests.documents import churn_spec

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def spec(**history: Any) -> ModelSpec:
    return churn_spec(time_column="at", history=history)


def rows(*times: datetime, truths: list[datetime | None] | None = None) -> pl.LazyFrame:
    came: dict[str, Any] = {} if truths is None else {"told_at": truths}
    return pl.LazyFrame({"at": times, "churned": ["yes"] * len(times), **came})


def test_a_row_is_known_from_its_time_on_and_not_before() -> None:
    past = rows(NOON - HOUR, NOON, NOON + HOUR)
    assert rows_as_known(past, spec(), NOON).collect()["at"].to_list() == [NOON - HOUR]


def test_a_target_is_missing_until_its_truth_came() -> None:
    past = rows(*[NOON - 3 * HOUR] * 3, truths=[NOON - HOUR, NOON, None])
    found = rows_as_known(past, spec(truth_column="told_at"), NOON).collect()
    assert found["churned"].to_list() == ["yes", None, None]
    assert found["told_at"].to_list() == [NOON - HOUR, None, None]


def test_without_a_truth_column_every_truth_comes_after_the_same_delay() -> None:
    past = rows(NOON - 3 * HOUR, NOON - 2 * HOUR, NOON - HOUR)
    found = rows_as_known(past, spec(truth_delay="2h"), NOON).collect()
    assert found["churned"].to_list() == ["yes", None, None]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        pytest.param(pl.Series(["2024-03-01T12:00:00"]), NOON, id="text"),
        pytest.param(pl.Series([NOON.replace(tzinfo=None)]), NOON, id="without_a_zone_it_is_utc"),
        pytest.param(
            pl.Series([NOON]).dt.convert_time_zone("America/New_York"), NOON, id="of_another_zone"
        ),
        pytest.param(pl.Series([NOON.date()]), NOON - 12 * HOUR, id="a_date_begins_at_midnight"),
    ],
)
def test_times_are_read_from_any_column_of_times(column: pl.Series, expected: datetime) -> None:
    past = pl.LazyFrame({"at": column, "churned": ["yes"]})
    assert past.select(truth_times(past, spec())).collect().item() == expected


def test_times_in_text_are_read_as_the_snapshot_reads_them() -> None:
    """The first one told the format of all: rows with another one were left out without a word."""
    texts = ["01 10:00:00", "01T10:00:00Z", "01T12:00:00+02:00", "01", "01 10:00"]
    past = pl.LazyFrame({"at": [f"2024-03-{text}" for text in texts], "churned": ["yes"] * 5})
    assert rows_as_known(past, spec(), NOON).collect().height == 5


def test_what_has_no_times_cannot_be_played() -> None:
    with pytest.raises(HistoryError, match="only a model with time_column"):
        rows_as_known(rows(NOON), churn_spec(), NOON)
    with pytest.raises(HistoryError, match="no column told_at"):
        rows_as_known(rows(NOON), spec(truth_column="told_at"), NOON)
    with pytest.raises(HistoryError, match="Int64, where times are expected"):
        rows_as_known(pl.LazyFrame({"at": [1], "churned": ["yes"]}), spec(), NOON)
