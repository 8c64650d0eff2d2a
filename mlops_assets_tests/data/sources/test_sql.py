import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops_assets.data.source_rows import SourceRows
from mlops_assets.data.sources import sql
from mlops_assets.data.sources.sql import open_sql
from mlops_assets.errors import SourceError
from mlops_assets.spec.data import SqlSpec


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sqlite3.Connection:
    monkeypatch.setenv("VISITS_URL", f"sqlite:///{tmp_path}/visits.db")
    connection = sqlite3.connect(tmp_path / "visits.db", isolation_level=None)
    connection.execute("create table visits (id, value)")
    return connection


def query(text: str = "select * from visits order by id") -> SourceRows:
    return open_sql(SqlSpec(url_variable="VISITS_URL", query=text))


@pytest.mark.parametrize(
    ("values", "dtype", "read"),
    [
        pytest.param([1, None], pl.Int64(), [1, None], id="integers"),
        pytest.param([1, 2.5], pl.Float64(), [1.0, 2.5], id="integers_and_numbers"),
        pytest.param([1, "x"], pl.String(), ["1", "x"], id="mixed_types_are_text"),
        pytest.param([None, None], pl.Null(), [None, None], id="no_value_at_all"),
        pytest.param([b"x"], pl.Binary(), [b"x"], id="bytes"),
    ],
)
@pytest.mark.parametrize("chunk_rows", [1, 50_000])
def test_the_type_of_a_column_holds_all_its_values(
    values: list[Any],
    dtype: pl.DataType,
    read: list[Any],
    chunk_rows: int,
    database: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sql, "_CHUNK_ROWS", chunk_rows)
    database.executemany("insert into visits values (?, ?)", enumerate(values))
    rows = query().frame.collect()
    assert (rows.schema["value"], rows["value"].to_list()) == (dtype, read)
    assert rows["id"].to_list() == list(range(len(values)))


@pytest.mark.parametrize(
    ("values", "read"),
    [
        pytest.param([Decimal("1.5"), 2], [1.5, 2.0], id="decimals_are_numbers"),
        pytest.param([Decimal("NaN"), Decimal(1)], [None, 1.0], id="nan_is_a_number"),
        pytest.param(
            [Decimal(2**53 + 1), Decimal(2**53)], [str(2**53 + 1), str(2**53)], id="long_ids"
        ),
        pytest.param([2**53 + 1, 0.5], [str(2**53 + 1), "0.5"], id="long_integers_and_numbers"),
        pytest.param([memoryview(b"x"), None], [b"x", None], id="bytes_of_postgresql"),
    ],
)
def test_what_drivers_answer_keeps_its_digits(values: list[Any], read: list[Any]) -> None:
    """Identifiers of NUMERIC(20) were rounded, and two of them became one."""
    column = sql._column("x", values)
    assert (column.fill_nan(None) if column.dtype.is_float() else column).to_list() == read


def test_a_query_without_rows_has_its_columns(database: sqlite3.Connection) -> None:
    assert query().frame.collect().columns == ["id", "value"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("select * from nowhere", "no such table: nowhere", id="no_such_table"),
        pytest.param("selct", "syntax error", id="no_sql"),
        pytest.param("select id, id from visits", "columns named alike: id", id="names_twice"),
    ],
)
def test_a_query_that_fails_says_what_the_database_said(
    text: str, message: str, database: sqlite3.Connection
) -> None:
    with pytest.raises(SourceError, match=rf"source.sql.query: .*{message}"):
        query(text)


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISITS_URL", raising=False)
    with pytest.raises(SourceError, match="environment variable VISITS_URL is not set"):
        query()


@pytest.mark.parametrize(
    "url", ["secret", "nosuch://me:secret@host/db", "sqlite:////nowhere/secret/visits.db"]
)
def test_a_url_that_fails_is_never_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISITS_URL", url)
    with pytest.raises(SourceError) as refused:
        query()
    assert "secret" not in str(refused.value)
