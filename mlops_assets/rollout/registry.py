"""What a rollout reads and writes of the registry: versions, packages, and who has which role.

Here: `VersionRegistry`, and `TrackingRegistry` over MLflow. Reading aliases is asked for on every
tick: from a local SQLite file it takes 1 ms without MLflow, which takes 3 s and 150 MB to load.
Not here: when an alias moves (`decision.py`).
"""

import contextlib
import sqlite3
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from mlops_assets.errors import MlopsError, RegistryError
from mlops_assets.modeling.manifest import ModelManifest, read_manifest
from mlops_assets.modeling.mlflow_registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    RegisteredVersion,
)
from mlops_assets.modeling.tracking import Tracking

_OURS = (CHALLENGER, CHAMPION, PREVIOUS)
_SQLITE = "sqlite:///"


class VersionRegistry(Protocol):
    """Versions and their roles. Every method is safe to call twice and raises `RegistryError`."""

    def aliases(self, name: str) -> Mapping[str, int]:
        """Version by alias, of the aliases that are ours."""

    def set_aliases(self, name: str, wanted: Mapping[str, int]) -> None:
        """Make aliases name these versions; others stay. A champion is no challenger any more."""

    def version(self, name: str, number: int) -> RegisteredVersion:
        """One version."""

    def package_manifest(self, uri: str) -> ModelManifest:
        """What a package says of its model."""


class TrackingRegistry:
    """`VersionRegistry` of MLflow."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking

    def aliases(self, name: str) -> Mapping[str, int]:
        """Version by alias."""
        uri = self._tracking.uri
        if uri.startswith(_SQLITE):
            return _read_sqlite(Path(uri.removeprefix(_SQLITE)), name)
        found = {alias: self._tracking.version_of_alias(name, alias) for alias in _OURS}
        return {alias: each.version for alias, each in found.items() if each is not None}

    def tag(self, name: str, number: int, key: str) -> str | None:
        """A tag of a version; None when it has none."""
        uri = self._tracking.uri
        if uri.startswith(_SQLITE):
            return _read_tag(Path(uri.removeprefix(_SQLITE)), name, number, key)
        return self._tracking.version(name, number).tags.get(key)

    def set_aliases(self, name: str, wanted: Mapping[str, int]) -> None:
        """Make aliases name these versions, `champion` last: before it, nothing has changed."""
        now = self.aliases(name)
        moved = [alias for alias in wanted if now.get(alias) != wanted[alias]]
        champion, challenger = wanted.get(CHAMPION), now.get(CHALLENGER)
        is_over = CHALLENGER not in wanted and champion is not None and challenger == champion
        if not moved and not is_over:
            return  # and MLflow need not be loaded
        from mlflow.exceptions import MlflowException

        client = self._tracking.client
        try:
            for alias in sorted(moved, key=lambda alias: alias == CHAMPION):
                client.set_registered_model_alias(name, alias, str(wanted[alias]))
            if is_over:
                client.delete_registered_model_alias(name, CHALLENGER)
        except MlflowException as error:
            raise RegistryError(f"{name}: {self._tracking.uri}: {error}") from error

    def version(self, name: str, number: int) -> RegisteredVersion:
        """One version."""
        return self._tracking.version(name, number)

    def package_manifest(self, uri: str) -> ModelManifest:
        """What a package says; packages never change, so each is fetched once per process."""
        return _package_manifest(self._tracking, uri)


@lru_cache(maxsize=64)
def _package_manifest(tracking: Tracking, uri: str) -> ModelManifest:
    try:
        with tracking.package(uri) as directory:
            return read_manifest(directory)
    except (OSError, MlopsError) as error:
        raise RegistryError(f"{uri} cannot be read: {error}") from error


def _read_tag(database: Path, name: str, number: int, key: str) -> str | None:
    query = "SELECT value FROM model_version_tags WHERE name = ? AND version = ? AND key = ?"
    rows = _query(database, query, (name, number, key))
    return str(rows[0][0]) if rows else None


def _query(database: Path, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    if not database.is_file():
        return []
    place = f"file:{database}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(place, uri=True, timeout=10)) as opened:
            return opened.execute(query, values).fetchall()
    except sqlite3.Error as error:
        raise RegistryError(f"{database}: {error}") from error


def _read_sqlite(database: Path, name: str) -> Mapping[str, int]:
    query = "SELECT alias, version FROM registered_model_aliases WHERE name = ?"
    rows = _query(database, query, (name,))
    return {str(alias): int(version) for alias, version in rows if alias in _OURS}
