"""SQL queries through SQLAlchemy, read in chunks and kept in scratch Parquet files.

One query is one reading, so the rows are those of one moment as far as the database promises it.
Types are those of the values: a column in which they differ gets one that holds all, text at worst.
"""

import json
import os
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl

from mlops_assets.data.casting import LARGEST_WHOLE
from mlops_assets.data.column_types import common_schema
from mlops_assets.data.scratch import new_scratch_folder
from mlops_assets.data.source_rows import SourceRows
from mlops_assets.errors import SourceError
from mlops_assets.spec.data import SqlSpec

_CHUNK_ROWS = 50_000


def open_sql(spec: SqlSpec) -> SourceRows:
    """The rows of a query.

    Raises:
        SourceError: the variable is not set, the database is unreachable, the query fails, or it
            names two columns alike. The URL, which may hold a password, is never shown.
    """
    folder = new_scratch_folder()
    files = [
        _write(folder / f"{number:06d}.parquet", chunk)
        for number, chunk in enumerate(_chunks(spec, _url(spec)))
    ]
    scans = [pl.scan_parquet(file, glob=False) for file in files]
    schemas = {
        str(file): dict(scan.collect_schema()) for file, scan in zip(files, scans, strict=True)
    }
    casts = [pl.col(name).cast(dtype) for name, dtype in common_schema(schemas).items()]
    frame = pl.concat([scan.select(casts) for scan in scans])
    return SourceRows(frame, {"source": f"SQL, database of ${spec.url_variable}"}, sliceable=True)


def _url(spec: SqlSpec) -> str:
    url = os.environ.get(spec.url_variable)
    if not url:
        raise SourceError(
            f"source.sql.url_variable: the environment variable {spec.url_variable} is not set; "
            "it must hold the SQLAlchemy URL of the database"
        )
    return url


def _chunks(spec: SqlSpec, url: str) -> Iterator[pl.DataFrame]:
    """The rows, one chunk at least."""
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(url)
    except (sqlalchemy.exc.ArgumentError, ImportError) as error:
        reason = type(error).__name__  # the text of the error may repeat the URL
        raise SourceError(
            f"source.sql: the URL in {spec.url_variable} cannot be used ({reason}); "
            "it must be dialect://user:password@host/database, its driver installed"
        ) from None
    try:
        with engine.connect() as connection:
            options = {"stream_results": True, "yield_per": _CHUNK_ROWS}
            statement = sqlalchemy.text(spec.query)
            result = connection.execute(statement, execution_options=options)
            names = list(result.keys())
            _require_names(names)
            yield _frame(names, result.fetchmany(_CHUNK_ROWS))
            while rows := result.fetchmany(_CHUNK_ROWS):
                yield _frame(names, rows)
    except sqlalchemy.exc.SQLAlchemyError as error:
        original = getattr(error, "orig", None) or error
        raise SourceError(f"source.sql.query: the database answers: {original}") from error
    finally:
        engine.dispose()


def _require_names(names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(
            f"source.sql.query: columns named alike: {', '.join(twice)}; rename them with AS"
        )


def _frame(names: Sequence[str], rows: Sequence[Sequence[object]]) -> pl.DataFrame:
    values = zip(*rows, strict=True) if rows else ([] for _ in names)
    return pl.DataFrame(
        [_column(name, list(column)) for name, column in zip(names, values, strict=True)]
    )


def _column(name: str, values: list[object]) -> pl.Series:
    values = [bytes(value) if isinstance(value, memoryview) else value for value in values]
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return pl.Series(name, values, pl.Null)
    if kinds <= {float, int, Decimal} and kinds != {int} and not any(map(_is_rounded, values)):
        numbers = [None if value is None else float(value) for value in values]  # type: ignore[arg-type]
        return pl.Series(name, numbers, pl.Float64)
    for plain in ({str}, {bool}, {int}, {datetime}, {date}, {bytes}):
        if kinds == plain:
            return _plain(name, values)
    return pl.Series(name, [_text(value) for value in values], pl.String)


def _is_rounded(value: object) -> bool:
    """Whether floating point would change digits of a number before its point."""
    if isinstance(value, Decimal) and not value.is_finite():
        return False
    return isinstance(value, int | Decimal) and not -LARGEST_WHOLE <= value <= LARGEST_WHOLE


def _plain(name: str, values: list[object]) -> pl.Series:
    try:
        return pl.Series(name, values, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):  # zones differ, 128-bit integers
        return pl.Series(name, [_text(value) for value in values], pl.String)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    return json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)


def _write(file: Path, chunk: pl.DataFrame) -> Path:
    chunk.write_parquet(file, compression="lz4")
    return file
