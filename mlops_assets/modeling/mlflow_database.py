"""The SQLite file behind MLflow: made whole or not at all.

MLflow makes its tables in some fifty steps, each committed alone. A kill between two of them leaves
a file that MLflow refuses for ever, and two processes that begin together disturb each other. So
the first file is made aside, by whoever gets the lock, and then put in place at once.
"""

import contextlib
import sqlite3
from pathlib import Path

from mlops_assets.half_written import has_rows, put_aside
from mlops_assets.whole_files import alone


def ensure_database(path: Path) -> None:
    """Makes MLflow's database when there is none. Safe from several processes at once.

    Args:
        path: The file; its folder is made too.

    Raises:
        PlatformError: the file that is there is no SQLite database.
    """
    if is_whole(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with alone(path.with_name(f".{path.name}.lock")):
        if is_whole(path):
            return
        if path.exists():
            put_aside(path)
        for suffix in ("-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        _create(path)


def is_whole(path: Path) -> bool:
    """Whether the database's first making came to its end: the default experiment is made last."""
    return has_rows(path, ("alembic_version", "experiments"))


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
