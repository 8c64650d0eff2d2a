"""What the platform reads of MLflow's database itself: 1 ms, where MLflow needs 4 s to load.

Reads only, and only numbers; anything unexpected counts as nothing found. Whatever changes the
registry goes through `modeling/tracking.py`.
"""

import contextlib
import sqlite3

from mlops_assets.platform.home import Home


def count_running(home: Home) -> int:
    """How many MLflow runs say that they are running."""
    return _number(home, "SELECT count(*) FROM runs WHERE status = 'RUNNING'") or 0


def count_aliases(home: Home, registered_model: str) -> int:
    """How many aliases a registered model has."""
    query = "SELECT count(*) FROM registered_model_aliases WHERE name = ?"
    return _number(home, query, registered_model) or 0


def champion_version(home: Home, registered_model: str) -> int | None:
    """The version that the alias `champion` names; None when there is none."""
    query = "SELECT version FROM registered_model_aliases WHERE alias = 'champion' AND name = ?"
    return _number(home, query, registered_model)


def has_version(home: Home, registered_model: str, version: int) -> bool:
    """Whether the registry holds a version. MLflow keeps the row of one that was deleted."""
    query = (
        "SELECT count(*) FROM model_versions "
        "WHERE name = ? AND version = ? AND current_stage IS NOT 'Deleted_Internal'"
    )
    return bool(_number(home, query, registered_model, version))


def _number(home: Home, query: str, *parameters: str | int) -> int | None:
    if not home.mlflow_database.is_file():
        return None
    place = f"file:{home.mlflow_database}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(place, uri=True)) as opened:
            row = opened.execute(query, parameters).fetchone()
    except sqlite3.Error:  # no table yet
        return None
    return int(row[0]) if row is not None else None
