"""Whether a kill has left something half-made, and how it is put aside."""

import contextlib
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.errors import PlatformError


def has_rows(database: Path, tables: Sequence[str]) -> bool:
    """Whether each table is there and holds a row. Takes a millisecond.

    Raises:
        PlatformError: the file is no SQLite database at all.
    """
    if not database.is_file() or database.stat().st_size == 0:
        return False
    queries = [f"SELECT 1 FROM {table} LIMIT 1" for table in tables]
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
            return all(opened.execute(query).fetchone() for query in queries)
    except sqlite3.OperationalError:  # a table is missing
        return False
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
