from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops_assets.data.snapshots import DatasetSnapshot, Lake
from mlops_assets.data.source_rows import SourceRows
from mlops_assets.errors import SourceError
from mlops_assets.spec import ModelSpec
from mlops_assets_tests.data.documents import model

START = datetime(2013, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=60)
ROWS = pl.DataFrame(
    {
        "id": range(48),
        "at": [START + timedelta(hours=12 * number) for number in range(48)],
        "a": [number % 7 for number in range(48)],
    }
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


def by_day(contract: dict[str, Any] | None = None) -> ModelSpec:
    partitions = {"every": "day", "start": "2013-01-01"}
    return model(contract, source={"path": "x", "partitions": partitions}, time_column="at")


def write(
    lake: Lake,
    days: tuple[int, int] | None,
    rows: pl.DataFrame = ROWS,
    contract: dict[str, Any] | None = None,
) -> DatasetSnapshot:
    window = (START + timedelta(days=days[0]), START + timedelta(days=days[1])) if days else None
    source = SourceRows(rows.lazy())
    return lake.write_snapshot(by_day(contract), source, now=NOW, partition=window)


def test_windows_in_any_order_end_in_what_one_run_gives(lake: Lake, tmp_path: Path) -> None:
    for days in ((3, 24), (0, 1), (1, 3)):
        snapshot = write(lake, days)
    at_once = write(Lake(str(tmp_path / "other")), None)
    assert snapshot.digest == at_once.digest
    assert snapshot.uri.endswith("/visits/dataset_by_day")
    assert snapshot.partition == "2013-01-02/2013-01-04"
    assert (snapshot.n_rows, snapshot.null_counts) == (48, dict.fromkeys(ROWS.columns, 0))
    assert lake.read_snapshot(snapshot).collect().equals(ROWS)


def test_a_window_replaces_its_own_rows_only(lake: Lake) -> None:
    first = write(lake, (0, 24))
    changed = ROWS.with_columns(a=pl.col("a") + 100)
    second = write(lake, (2, 3), changed)
    rows = lake.read_snapshot(second).collect()
    assert rows["a"].to_list() == [*ROWS["a"][:4], *changed["a"][4:6], *ROWS["a"][6:]]
    assert second.contract.n_rows == 2
    assert lake.read_snapshot(first).collect().equals(ROWS)


def test_the_same_window_again_writes_nothing(lake: Lake) -> None:
    write(lake, (0, 2))
    versions = [write(lake, days).version for days in ((2, 4), (2, 4), (0, 4), (0, 2))]
    assert versions == [1, 1, 1, 1]


def test_a_window_that_goes_back_is_put_into_the_newest_rows(lake: Lake) -> None:
    changed = ROWS.with_columns(a=pl.col("a") + 100)
    digests = [write(lake, (0, 2), rows).digest for rows in (ROWS, changed, ROWS)]
    assert digests[0] == digests[2] != digests[1]
    final = lake.read_snapshot(write(lake, (2, 24))).collect()
    assert final.equals(ROWS)


def test_a_window_without_rows_is_refused_and_nothing_goes(lake: Lake) -> None:
    first = write(lake, (0, 2))
    with pytest.raises(SourceError, match="no rows in 2013-01-01/2013-01-02"):
        write(lake, (0, 1), ROWS.tail(4))
    assert write(lake, (0, 2)).version == first.version


def test_rows_without_time_do_not_stand_for_those_of_a_window(lake: Lake) -> None:
    write(lake, (0, 2))
    timeless = ROWS.head(1).with_columns(at=pl.lit(None, pl.Datetime("us", "UTC")))
    with pytest.raises(SourceError, match="no rows in 2013-01-01/2013-01-02"):
        write(lake, (0, 1), timeless)


def test_a_day_that_lost_its_rows_within_a_window_is_emptied(lake: Lake) -> None:
    write(lake, (0, 3))
    snapshot = write(lake, (0, 3), ROWS.filter(pl.col("at").dt.day() != 2))
    assert lake.read_snapshot(snapshot).collect()["id"].to_list() == [0, 1, 4, 5]


def test_a_row_without_time_is_shown_and_in_no_partition(lake: Lake) -> None:
    rows = ROWS.with_columns(at=pl.when(pl.col("id") != 3).then(pl.col("at").dt.to_string()))
    snapshot = write(lake, (0, 2), rows)
    [broken] = snapshot.contract.columns
    assert (broken.column, broken.rule, broken.count) == ("at", "nullable", 1)
    assert broken.examples[0].row == 4
    assert lake.read_snapshot(snapshot).collect()["id"].to_list() == [0, 1, 2]


def test_examples_carry_the_row_of_the_source_not_of_the_window(lake: Lake) -> None:
    contract = {"columns": {"a": {"type": "integer", "maximum": 5}}}
    snapshot = write(lake, (5, 7), contract=contract)
    assert [example.row for example in snapshot.contract.columns[0].examples] == [14]


def test_a_value_of_another_partition_is_no_first(lake: Lake) -> None:
    contract = {"columns": {"a": {"type": "integer", "unique": True}}}
    rows = ROWS.with_columns(a=pl.Series([0, 1, 2, 0, *range(4, 48)]))
    assert write(lake, (0, 1), rows, contract).contract.passed
    again = write(lake, (1, 2), rows, contract)
    assert [example.row for example in again.contract.columns[0].examples] == [4]
    assert write(lake, (0, 1), rows, contract).contract.n_violating_rows == 1


def test_an_old_partition_is_as_old_as_at_its_end(lake: Lake) -> None:
    contract = {"maximum_age": "1d"}
    assert write(lake, (0, 2), contract=contract).contract.age_seconds == 12 * 3600
    stale = write(lake, (0, 24), ROWS.head(2), contract)
    assert not stale.contract.passed


def test_other_columns_need_all_partitions_at_once(lake: Lake) -> None:
    write(lake, (0, 2))
    other = ROWS.with_columns(b=pl.lit("x"))
    with pytest.raises(SourceError, match="b from None to String; backfill all partitions"):
        write(lake, (1, 2), other)
    assert write(lake, (0, 2), other).columns["b"] == "string"


def test_a_window_needs_partitions_in_the_document(lake: Lake) -> None:
    window = (START, START + timedelta(days=1))
    with pytest.raises(ValueError, match="visits has no partitions"):
        lake.write_snapshot(model(), SourceRows(ROWS.lazy()), now=NOW, partition=window)


def test_partitions_need_the_time_column_in_the_source(lake: Lake) -> None:
    with pytest.raises(SourceError, match="no column 'at' to partition by"):
        write(lake, (0, 1), ROWS.drop("at"))
