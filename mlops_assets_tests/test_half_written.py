"""What is whole is told from what a kill left, and nothing whole is taken for half-made."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.errors import PlatformError
from mlops_assets.half_written import has_rows, put_aside

WRITES_AND_DIES = """
import os, sqlite3, sys
opened = sqlite3.connect(sys.argv[1], isolation_level=None)
opened.execute("PRAGMA cache_size=5")  # so that it writes before it commits
opened.execute("BEGIN IMMEDIATE")
opened.executemany("INSERT INTO made VALUES (?)", [("x" * 500,)] * 1_000)
os.kill(os.getpid(), 9)
"""


def write_database(path: Path, *, journal: str = "delete", n_rows: int = 1) -> None:
    path.parent.mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as opened, opened:
        opened.execute(f"PRAGMA journal_mode={journal}")
        opened.execute("CREATE TABLE made (x)")
        opened.executemany("INSERT INTO made VALUES (?)", [("one",)] * n_rows)


@pytest.mark.parametrize("folder", ["plain", "with blank", "a#b", "a?b", "a%41b"])
def test_a_whole_database_is_told_wherever_it_stands(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "it.db"
    assert not has_rows(path, ("made",))
    write_database(path)
    assert has_rows(path, ("made",))
    assert not has_rows(path, ("made", "missing"))


def test_a_table_without_rows_is_not_whole(tmp_path: Path) -> None:
    write_database(tmp_path / "it.db", n_rows=0)
    assert not has_rows(tmp_path / "it.db", ("made",))


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_database_whose_writer_was_killed_is_whole(tmp_path: Path, journal: str) -> None:
    """Read-only, a journal cannot be taken back: the whole file counted as half-made."""
    path = tmp_path / "it.db"
    write_database(path, journal=journal)
    subprocess.run([sys.executable, "-c", WRITES_AND_DIES, str(path)], check=False)
    assert list(tmp_path.glob("it.db-*"))
    assert has_rows(path, ("made",))


def test_a_database_that_is_locked_is_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "it.db"
    write_database(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(PlatformError, match="cannot be read now"):
            has_rows(path, ("made",))


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "it.db"
    path.write_text("no database, and longer than the head of one would be" * 10)
    with pytest.raises(PlatformError, match="no SQLite database"):
        has_rows(path, ("made",))


def test_what_is_put_aside_keeps_its_content(tmp_path: Path) -> None:
    path = tmp_path / "it.db"
    path.write_text("half")
    aside = put_aside(path)
    assert (path.exists(), aside.read_text()) == (False, "half")
    assert aside.name.startswith("it.db.half-written-")
