"""A glance at a log's tables without opening them: which days there are, and what grew since when.

For sensors, which look every few seconds at many models: no Delta library, some file operations for
each model. Only tables on this machine are looked at so; of others nothing is known, and whoever
asks opens them.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from mlops_assets.serving.prediction_log.tables import PREDICTIONS, TRUTH

_DAY = "day="


@dataclass(frozen=True, slots=True)
class LogGlance:
    """What is known of a service's log. None: nobody can say from here.

    Attributes:
        days: Days (UTC) of which predictions are there.
        truth_changed_at: When truth came last; None with `is_known`: never.
        is_known: Whether the tables are on this machine.
    """

    days: frozenset[date] = frozenset()
    truth_changed_at: datetime | None = None
    is_known: bool = True


def glance(predictions_uri: str, truth_uri: str) -> LogGlance:
    """What is known of a log, by the places of its two tables."""
    if "://" in predictions_uri and not predictions_uri.startswith("file://"):
        return LogGlance(is_known=False)
    table, truth = _path(predictions_uri), _path(truth_uri)
    return LogGlance(frozenset(_days(table)), _changed_at(truth / "_delta_log"))


def rows_since(predictions_uri: str, version: int, enough: int) -> int:
    """Rows that were appended to a table after a version of it; counted no further than `enough`.

    Those of every version and shadow count, so it may say more than there is of one version. A gap
    in the table's history counts as enough, and so does a table elsewhere: look into it.
    """
    if "://" in predictions_uri and not predictions_uri.startswith("file://"):
        return enough
    folder = _path(predictions_uri) / "_delta_log"
    n_rows = 0
    while n_rows < enough:
        version += 1
        try:
            commit = (folder / f"{version:020d}.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return enough if _has_later(folder, version) else n_rows
        except OSError:
            return enough
        n_rows += sum(_added(commit))
    return n_rows


def _added(commit: str) -> Iterator[int]:
    """Rows of each file that a commit added; none of one that replaced files by others."""
    lines = commit.splitlines()
    if any(line.startswith('{"remove"') for line in lines):
        return
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            added = json.loads(line).get("add")
            if added is not None:
                yield int(json.loads(added["stats"])["numRecords"])


def _has_later(folder: Path, version: int) -> bool:
    """Whether commits after a missing one are there: the table's history was cut."""
    return any(path.stem > f"{version:020d}" for path in folder.glob("*.json"))


def _days(table: Path) -> Iterator[date]:
    for part in table.glob(f"{_DAY}*"):
        with contextlib.suppress(ValueError):
            yield date.fromisoformat(part.name.removeprefix(_DAY))


def _changed_at(folder: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    except OSError:
        return None


def _path(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


__all__ = ["PREDICTIONS", "TRUTH", "LogGlance", "glance", "rows_since"]
