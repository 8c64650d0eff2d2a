"""From a document's `source` to rows, a fingerprint or column types: which kind of source it is."""

from dataclasses import replace
from pathlib import Path

from mlops_assets.data.source_rows import SourceRows
from mlops_assets.data.sources.csv_files import csv_columns, open_csv
from mlops_assets.data.sources.files import find_files, fingerprint_of, format_of
from mlops_assets.data.sources.parquet_files import (
    delta_columns,
    delta_table,
    open_delta,
    open_parquet,
    parquet_columns,
)
from mlops_assets.data.sources.python_function import open_python, python_fingerprint
from mlops_assets.data.sources.sql import open_sql
from mlops_assets.spec import SourceSpec


def open_source(spec: SourceSpec, *, base: Path) -> SourceRows:
    """The rows of a source, checked for structure and not yet read.

    CSV stays text (`SourceRows.is_text`); `typed_rows` of `inference.py` gives it types.

    Args:
        spec: The document's `source`.
        base: Folder that relative paths start from: the document's.

    Raises:
        SourceError: missing, empty, malformed or unreachable; names the file and what to do.
    """
    if spec.sql is not None:
        return open_sql(spec.sql)
    if spec.python is not None:
        return open_python(spec.python)
    facts = {"source": spec.path or ""}
    kind = format_of(spec, base=base)
    if kind == "delta":
        rows = open_delta(spec, base=base)
        return replace(rows, facts={**facts, **rows.facts})
    files = find_files(spec, base=base)
    before = fingerprint_of(spec, files)
    rows = open_csv(spec, files) if kind == "csv" else open_parquet(files)
    return replace(
        rows,
        facts={**facts, **({"n_files": str(len(files))} if len(files) > 1 else {}), **rows.facts},
        is_unchanged=lambda: fingerprint_of(spec, find_files(spec, base=base)) == before,
    )


def source_fingerprint(spec: SourceSpec, *, base: Path) -> str | None:
    """A text that changes when the source does, found without reading rows.

    Made of path, size and modification time of files, or the version of a Delta table. A Python
    function answers through its attribute `fingerprint`, a callable that takes the same arguments.

    Returns:
        None when only reading the rows would tell (SQL; functions without that attribute; URLs
        whose server tells no time).

    Raises:
        SourceError: the source is missing or unreachable.
    """
    if spec.sql is not None:
        return None
    if spec.python is not None:
        return python_fingerprint(spec.python)
    if format_of(spec, base=base) == "delta":
        table = delta_table(spec, base=base)
        return f"{table.metadata().id} version {table.version()}"
    return fingerprint_of(spec, find_files(spec, base=base))


def source_columns(spec: SourceSpec, *, base: Path) -> dict[str, str] | None:
    """Names and types of the columns, found without reading all rows.

    Types are those of a contract (`string`, `integer`, `number`, `boolean`, `datetime`, `date`);
    types of CSV columns are guessed from the first 1,000 rows.

    Returns:
        None when only reading the rows would tell (SQL, Python functions).

    Raises:
        SourceError: the source is missing, unreachable or has no readable header.
    """
    if spec.path is None:
        return None
    match format_of(spec, base=base):
        case "delta":
            return delta_columns(spec, base=base)
        case "csv":
            return csv_columns(spec, find_files(spec, base=base))
        case "parquet":
            return parquet_columns(find_files(spec, base=base))
