"""Parquet files and Delta tables: typed by themselves, and cheap to slice."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import polars as pl

from mlops_assets.data.column_types import common_schema, type_name
from mlops_assets.data.source_rows import SourceRows
from mlops_assets.data.sources.files import SourceFile, address_of, local_copies
from mlops_assets.errors import SourceError
from mlops_assets.spec import SourceSpec

if TYPE_CHECKING:
    from deltalake import DeltaTable

_SLICED_FILES = 100  # each slice reads the footers of all files before it


def open_parquet(files: list[SourceFile]) -> SourceRows:
    """The rows of Parquet files, in the order of their names.

    Columns whose types differ between files get one that holds both. Folders named
    `<column>=<value>` give a column.

    Raises:
        SourceError: a file is no Parquet file, or lacks a column that another one has.
    """
    frames = {
        file.name: _scan(file, path) for file, path in zip(files, local_copies(files), strict=True)
    }
    schemas = {name: dict(frame.collect_schema()) for name, frame in frames.items()}
    schema = common_schema(schemas)
    alike = all(found == schema and [*found] == [*schema] for found in schemas.values())
    if not alike:
        casts = [pl.col(name).cast(dtype) for name, dtype in schema.items()]
        frames = {name: frame.select(casts) for name, frame in frames.items()}
    return SourceRows(pl.concat(frames.values()), sliceable=len(files) <= _SLICED_FILES)


def parquet_columns(files: list[SourceFile]) -> dict[str, str]:
    """Names and types of the columns of the first file."""
    [path] = local_copies(files[:1])
    schema = _scan(files[0], path).collect_schema()
    return {name: type_name(dtype) for name, dtype in schema.items()}


def open_delta(spec: SourceSpec, *, base: Path) -> SourceRows:
    """The newest version of a Delta table.

    Raises:
        SourceError: there is no such table, or it is unreachable.
    """
    table = delta_table(spec, base=base)
    version = table.version()

    def is_unchanged() -> bool:
        return True  # a version of a Delta table never changes

    return SourceRows(
        pl.scan_delta(table),
        {"delta_version": str(version)},
        sliceable=len(table.file_uris()) <= _SLICED_FILES,
        is_unchanged=is_unchanged,
    )


def delta_columns(spec: SourceSpec, *, base: Path) -> dict[str, str]:
    """Names and types of a Delta table's columns."""
    schema = pl.scan_delta(delta_table(spec, base=base)).collect_schema()
    return {name: type_name(dtype) for name, dtype in schema.items()}


def delta_table(spec: SourceSpec, *, base: Path) -> "DeltaTable":
    """The table at a source's path.

    Raises:
        SourceError: there is no such table, or it is unreachable.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    address = address_of(spec, base=base)
    try:
        return DeltaTable(address)
    except TableNotFoundError as error:
        raise SourceError(f"source.path: there is no Delta table at {address}") from error
    except (DeltaError, OSError) as error:
        raise SourceError(f"source.path: {address} cannot be read: {error}") from error


def _scan(file: SourceFile, path: Path) -> pl.LazyFrame:
    """One file, with the columns that the folders above it name."""
    if path.stat().st_size == 0:
        raise SourceError(f"{file.name} is empty; check what wrote it")
    try:
        frame = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        columns = frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(f"{file.name} cannot be read as Parquet: {error}") from error
    parts = [part.split("=", 1) for part in PurePosixPath(file.name).parent.parts if "=" in part]
    named = {name: value for name, value in parts if name not in columns}
    return frame.with_columns(**{name: pl.lit(value) for name, value in named.items()})
