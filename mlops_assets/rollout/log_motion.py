"""Whether the prediction log moves: numbers of a table that records do not reach are no numbers."""

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import ServingError
from mlops_assets.rollout.log_cursor import LogCursor
from mlops_assets.serving.prediction_log.segments import list_segments, read_first

if TYPE_CHECKING:
    from deltalake import DeltaTable

STUCK_AFTER = timedelta(seconds=60)
"""How long records may wait for the table before the log counts as broken. Usual are 2 to 20 s."""


def require_moving(
    table: "DeltaTable | None", uri: str, waiting: str | None, cursor: LogCursor, now: datetime
) -> None:
    """Refuse a table that was there and is gone, or that records have waited for too long.

    Args:
        table: The table of predictions; None: there is none.
        uri: Where it stands, or should.
        waiting: How far it is, when records wait for it; None: none do, or nobody knows.
        cursor: What was seen before; it is changed.
        now: When.

    Raises:
        ServingError: the log is broken.
    """
    if table is None and cursor.existed:
        raise ServingError(f"{uri} was there and is gone")
    cursor.existed = table is not None
    if waiting is None:
        cursor.waiting = []
        return
    if not cursor.waiting or cursor.waiting[0] != waiting:
        cursor.waiting = [waiting, now.isoformat()]
    since = datetime.fromisoformat(cursor.waiting[1])
    if now - since > STUCK_AFTER:
        raise ServingError(
            f"records wait for {uri} since {since:%H:%M:%S} (UTC) and nobody moves them; is the "
            "gateway's sink alive?"
        )


def find_waiting(segments: Path, table: "DeltaTable | None") -> str | None:
    """How far the table is, when records of a service's segments wait for it; None when none do."""
    committed, waits = [], False
    for path in list_segments(segments):
        try:
            size, first = path.stat().st_size, read_first(path)[1]
        except FileNotFoundError:
            continue  # moved meanwhile
        offset = 0 if table is None else table.transaction_version(path.name) or 0
        committed.append([path.name, offset])
        waits = waits or size > max(first, offset)
    return digest(committed) if waits else None


def digest(content: object) -> str:
    """A short name for some content."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
