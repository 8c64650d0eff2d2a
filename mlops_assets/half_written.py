"""Whether a kill has left something half-made, and how it is put aside."""

import contextlib
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.errors import PlatformError


def has_rows(database: Path, tables: Sequence[str]) -> bool:
    """Whether each table is there and holds a row. Takes a millisecond.

    What a killed writer left in the database's journal is taken back first, as every opening does.

    Raises:
        PlatformError: the file is no SQLite database at all, or cannot be looked into now.
    """
    if not database.is_file() or database.stat().st_size == 0:
        return False
    queries = [f"SELECT 1 FROM {table} LIMIT 1" for table in tables]
    try:
        uri = f"{database.absolute().as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as opened:
            return all(opened.execute(query).fetchone() for query in queries)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:  # a table is missing
            return False
        raise PlatformError(f"{database} cannot be read now ({error}); try again") from error
    except sqlite3.DatabaseError as error:
        raise PlatformError(
            f"{database} is no SQLite database ({error}); put a backup in its place, or move it "
            "away to begin with an empty one"
        ) from error


def put_aside(path: Path) -> Path:
    """Renames what is half-made, for people to look at; returns where it lies now."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.half-written-{stamp}")
    path.rename(aside)
    return aside
