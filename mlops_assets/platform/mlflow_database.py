"""The SQLite file behind MLflow: made whole or not at all.

MLflow makes its tables in some fifty steps, each committed alone. A kill between two of them leaves
a file that MLflow refuses for ever, and two processes that begin together disturb each other. So
the first file is made aside, by whoever gets the lock, and then put in place at once.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.errors import PlatformError
from mlops_assets.platform.home import Home


def ensure_database(home: Home) -> None:
    """Makes MLflow's database when there is none. Safe from several processes at once.

    Raises:
        PlatformError: the file that is there is no SQLite database.
    """
    path = home.mlflow_database
    if is_whole(path):
        return
    with _locked(path.with_name(f".{path.name}.lock")):
        if is_whole(path):
            return
        if path.exists() and path.stat().st_size:
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            path.rename(path.with_name(f"{path.name}.half-written-{stamp}"))
        for suffix in ("-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        _create(path)


def is_whole(path: Path) -> bool:
    """Whether the database's first making came to its end.

    Raises:
        PlatformError: the file is something else.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as opened:
            rows = opened.execute(
                "SELECT (SELECT count(*) FROM alembic_version), (SELECT count(*) FROM experiments)"
            ).fetchone()
        return all(rows)  # the default experiment is the last that MLflow makes
    except sqlite3.OperationalError:  # a table is missing
        return False
    except sqlite3.DatabaseError as error:
        raise PlatformError(
            f"{path} is no SQLite database ({error}); put a backup in its place, or move it away "
            "to begin with an empty registry"
        ) from error


def _create(path: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    aside = path.with_name(f".{path.name}.new")
    for leftover in path.parent.glob(f"{aside.name}*"):
        leftover.unlink()
    store = SqlAlchemyStore(f"sqlite:///{aside}", "mlflow-artifacts:/")
    store.engine.dispose()
    with contextlib.closing(sqlite3.connect(aside)) as opened:
        opened.execute("PRAGMA journal_mode=WAL")  # the pages read while a training writes
    aside.replace(path)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
