from datetime import UTC, datetime, time

import polars as pl
import pytest

from mlops_assets.data.column_types import (
    UTC_MICROSECONDS,
    common_schema,
    common_type,
    stored_type,
    to_stored,
)
from mlops_assets.errors import SourceError


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        pytest.param(pl.Series([1], dtype=pl.UInt32), pl.Int64(), id="unsigned_becomes_signed"),
        pytest.param(pl.Series([1], dtype=pl.Int8), pl.Int8(), id="signed_stays"),
        pytest.param(pl.Series(["a"], dtype=pl.Categorical), pl.String(), id="categories_are_text"),
        pytest.param(pl.Series([None]), pl.String(), id="a_column_without_values_is_text"),
        pytest.param(pl.Series([[1]], dtype=pl.List(pl.UInt8)), pl.List(pl.Int16()), id="in_lists"),
    ],
)
def test_what_a_column_is_stored_as(values: pl.Series, stored: pl.DataType) -> None:
    assert stored_type("x", values.dtype) == stored
    assert to_stored(values, stored).dtype == stored


def test_datetimes_become_utc_whatever_their_zone() -> None:
    noon = datetime(2013, 7, 1, 12)  # noqa: DTZ001
    naive = pl.Series([noon]).dt.cast_time_unit("ns")
    zoned = pl.Series([noon]).dt.replace_time_zone("Europe/Berlin")
    assert to_stored(naive, UTC_MICROSECONDS).to_list() == [noon.replace(tzinfo=UTC)]
    assert to_stored(zoned, UTC_MICROSECONDS).to_list() == [datetime(2013, 7, 1, 10, tzinfo=UTC)]


def test_a_type_that_delta_lacks_is_refused_by_column() -> None:
    with pytest.raises(SourceError, match="column 'alarm' has the type Time"):
        stored_type("alarm", pl.Series([time(7)]).dtype)
    with pytest.raises(SourceError, match=r"column 'clock.alarm'"):
        stored_type("clock", pl.Struct({"alarm": pl.Time()}))


def test_an_unsigned_number_too_large_is_refused_by_column() -> None:
    values = pl.Series("id", [2**63], dtype=pl.UInt64)
    with pytest.raises(SourceError, match="column 'id' cannot be kept as Int64"):
        to_stored(values, pl.Int64())


@pytest.mark.parametrize(
    ("left", "right", "common"),
    [
        pytest.param(pl.Null(), pl.Date(), pl.Date(), id="nothing_and_dates"),
        pytest.param(pl.Int8(), pl.Int64(), pl.Int64(), id="integers"),
        pytest.param(pl.Boolean(), pl.Int64(), pl.Int64(), id="booleans_and_integers"),
        pytest.param(pl.Int64(), pl.Float32(), pl.Float64(), id="integers_and_numbers"),
        pytest.param(pl.Date(), pl.Datetime("us"), UTC_MICROSECONDS, id="dates_and_datetimes"),
        pytest.param(pl.Int64(), pl.String(), pl.String(), id="numbers_and_text"),
        pytest.param(pl.Boolean(), pl.Date(), pl.String(), id="nothing_in_common"),
    ],
)
def test_the_type_that_holds_both(
    left: pl.DataType, right: pl.DataType, common: pl.DataType
) -> None:
    assert common_type(left, right) == common
    assert common_type(right, left) == common


def test_a_file_with_other_columns_is_named() -> None:
    schemas = {"a.parquet": {"x": pl.Int64()}, "b.parquet": {"y": pl.Int64()}}
    with pytest.raises(SourceError, match=r"b.parquet lacks \['x'\] and also has \['y'\]"):
        common_schema(schemas)
