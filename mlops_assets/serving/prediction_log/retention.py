"""Forgets predictions and truths that are older than their model's policy allows."""

import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from mlops_assets.errors import ServingError
from mlops_assets.kserve.manifest import LOG_RETENTION
from mlops_assets.serving.home import ServingHome, read_json
from mlops_assets.serving.prediction_log.store import (
    FAILURES,
    PREDICTIONS,
    TRUTH,
    PredictionStore,
)

_LOG = logging.getLogger(__name__)


def oldest_day(manifest: Mapping[str, Any], now: datetime) -> date | None:
    """The oldest day (UTC) that a service keeps; None when it keeps all.

    Whole days go: a prediction is kept for its retention at least and a day more at most.

    >>> manifest = {"metadata": {"annotations": {LOG_RETENTION: "86400"}}}
    >>> oldest_day(manifest, datetime(2013, 3, 5, 12, tzinfo=UTC))
    datetime.date(2013, 3, 4)
    """
    text = (manifest.get("metadata", {}).get("annotations") or {}).get(LOG_RETENTION)
    if text is None:
        return None
    try:
        return (now.astimezone(UTC) - timedelta(seconds=int(text))).date()
    except (ValueError, OverflowError) as error:
        raise ServingError(f"{LOG_RETENTION}: expected seconds, found {text!r}") from error


def forget_old(home: ServingHome, store: PredictionStore, now: datetime) -> int:
    """Apply each declared service's retention; returns how many tables lost days.

    A service that cannot be treated is logged and tried again the next time.
    """
    n_changed = 0
    for path in sorted(home.manifests.glob("*.json")):
        try:
            oldest = oldest_day(read_json(path) or {}, now)
            if oldest is None:
                continue
            for table in (PREDICTIONS, FAILURES, TRUTH):
                n_changed += store.forget_before(path.stem, table, oldest)
        except ServingError as error:
            _LOG.error("%s: its retention was not applied: %s", path.stem, error)
    return n_changed
