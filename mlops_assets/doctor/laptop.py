"""Examines this machine and one home: asks, and has `laptop_judgement.py` judge.

Changes nothing, needs nothing to run, and takes a second or two.
"""

import contextlib
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.doctor import laptop_judgement as judgement
from mlops_assets.doctor.finding import Finding, Unanswered
from mlops_assets.errors import MlopsError, PlatformError, SpecError
from mlops_assets.modeling.signing import SIGNING_KEY, TRUSTED, read_trusted_keys, signing_key_id
from mlops_assets.platform.home import Home
from mlops_assets.platform.lock import current_holder
from mlops_assets.serving.process import require_free_port

_PORTS = (3000, 5000, 8080)


def examine_laptop(home: Home, project: Path, now: datetime | None = None) -> list[Finding]:
    """All findings of this machine, in the order in which they matter."""
    running = home.root.is_dir() and current_holder(home.lock) is not None
    found = [
        judgement.judge_python(sys.version_info[:2]),
        judgement.judge_packages(list(_wrong_packages())),
        judgement.judge_place(_read_place(home)),
        judgement.judge_memory(_available_bytes()),
        judgement.judge_clock(_newest(home), now or datetime.now(UTC)),
        judgement.judge_keys(_read_keys(home)),
        judgement.judge_ports({} if running else _busy_ports(), running),
        judgement.judge_database("mlflow database", _check_sqlite(home.mlflow_database)),
        judgement.judge_database("dagster database", _check_sqlite(_dagster_database(home))),
        judgement.judge_documents(_document_problems(project)),
    ]
    if running:
        found.append(judgement.judge_services(_silent_services(home, project)))
    return found


def _wrong_packages() -> Iterator[str]:
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    for text in requires("mlops-assets") or []:
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            yield f"{needed.name} is not installed"
            continue
        if found not in needed.specifier:
            yield f"{needed.name} {found} is installed, needed: {needed.specifier}"


def _read_place(home: Home) -> judgement.Place:
    there = next(path for path in (home.root, *home.root.parents) if path.exists())
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return judgement.Place(home.root, writable, shutil.disk_usage(there).free)


def _available_bytes() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


def _newest(home: Home) -> datetime | None:
    seconds = [path.stat().st_mtime for path in home.root.glob("*") if path.is_file()]
    return datetime.fromtimestamp(max(seconds), UTC) if seconds else None


def _read_keys(home: Home) -> judgement.Keys | Unanswered:
    signing = home.keys / SIGNING_KEY
    if not home.keys.exists():
        return judgement.Keys(None, frozenset(), open_to_others=False)
    try:
        return judgement.Keys(
            signing_key_id(signing),
            frozenset(read_trusted_keys(home.keys / TRUSTED).keys),
            open_to_others=bool(signing.stat().st_mode & 0o077),
        )
    except MlopsError as error:
        return Unanswered(str(error))


def _busy_ports() -> dict[int, str]:
    busy = {}
    for port in _PORTS:
        try:
            require_free_port("127.0.0.1", port)
        except PlatformError as error:
            busy[port] = str(error)
    return busy


def _dagster_database(home: Home) -> Path:
    return home.dagster / "history" / "runs.db"


def _check_sqlite(path: Path) -> str | Unanswered | None:
    if not path.is_file():
        return None
    try:
        address = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as opened:
            return str(opened.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # without details
        is_damaged = code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        words = f"{path}: {error}"
        return words if is_damaged else Unanswered(words)  # locked by its writer, or not ours


def _document_problems(project: Path) -> list[str]:
    from mlops_assets.modeling.checking import check_documents
    from mlops_assets.platform.models import defs_folder

    try:
        return [str(problem) for problem in check_documents(defs_folder(project))]
    except SpecError as error:
        return [str(error)]


def _silent_services(home: Home, project: Path) -> dict[str, str]:
    from mlops_assets.platform.status import read_status

    models = read_status(home, project).models
    return {each.model: each.reason for each in models if each.state in ("silent", "stopped")}
