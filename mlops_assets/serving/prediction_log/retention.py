"""Forgets predictions and truths that are older than their model's policy allows.

The policy that a service declared last is remembered, so that the tables of a service that was
deleted go on to lose their days, until they are empty.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from mlops_assets.errors import ServingError
from mlops_assets.kserve.manifest import LOG_RETENTION
from mlops_assets.serving.home import ServingHome, read_json, write_json
from mlops_assets.serving.prediction_log.store import PredictionStore
from mlops_assets.serving.prediction_log.tables import FAILURES, HALVES, PREDICTIONS, TRUTH

_LOG = logging.getLogger(__name__)


def retention_seconds(manifest: Mapping[str, Any]) -> int | None:
    """How long a service keeps its log; None: for ever.

    >>> retention_seconds({"metadata": {"annotations": {LOG_RETENTION: "86400"}}})
    86400
    """
    text = (manifest.get("metadata", {}).get("annotations") or {}).get(LOG_RETENTION)
    try:
        return None if text is None else int(text)
    except ValueError as error:
        raise ServingError(f"{LOG_RETENTION}: expected seconds, found {text!r}") from error


def oldest_day(seconds: int, now: datetime) -> date:
    """The oldest day (UTC) that is kept.

    Whole days go: a prediction is kept for its retention at least and a day more at most.

    >>> oldest_day(86_400, datetime(2013, 3, 5, 12, tzinfo=UTC))
    datetime.date(2013, 3, 4)
    """
    try:
        return (now.astimezone(UTC) - timedelta(seconds=seconds)).date()
    except OverflowError as error:
        raise ServingError(f"{LOG_RETENTION}: {seconds:,} seconds are too many") from error


def forget_old(home: ServingHome, store: PredictionStore, now: datetime) -> int:
    """Apply each service's retention; returns how many tables lost days.

    A service that cannot be treated is logged and tried again the next time.
    """
    declared = {path.stem for path in home.manifests.glob("*.json")}
    deleted = {path.stem for path in home.retention("*").parent.glob("*.json")} - declared
    n_changed = 0
    for service in sorted(declared | deleted):
        try:
            seconds = _policy(home, service)
            if seconds is None:
                continue
            oldest = oldest_day(seconds, now)
            for table in (PREDICTIONS, HALVES, FAILURES, TRUTH):
                n_changed += store.forget_before(service, table, oldest)
        except ServingError as error:
            _LOG.error("%s: its retention was not applied: %s", service, error)
    return n_changed


def _policy(home: ServingHome, service: str) -> int | None:
    """What a service declares, and remember it; of a deleted one, what it declared last."""
    remembered = read_json(home.retention(service))
    manifest = read_json(home.manifest(service))
    if manifest is None:
        return None if remembered is None else int(remembered["seconds"])
    seconds = retention_seconds(manifest)
    if seconds is None:
        home.retention(service).unlink(missing_ok=True)
    elif remembered != {"seconds": seconds}:
        write_json(home.retention(service), {"seconds": seconds})
    return seconds
