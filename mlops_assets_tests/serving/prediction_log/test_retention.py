"""Days that are older than a policy allows are forgotten, and no others."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.errors import ServingError
from mlops_assets.kserve.manifest import LOG_RETENTION
from mlops_assets.serving.home import ServingHome, write_json
from mlops_assets.serving.prediction_log.frames import build_frame
from mlops_assets.serving.prediction_log.retention import forget_old, retention_seconds
from mlops_assets.serving.prediction_log.store import PredictionStore
from mlops_assets.serving.prediction_log.tables import PREDICTIONS

NOW = datetime(2013, 3, 5, 12, tzinfo=UTC)


def declare(home: ServingHome, service: str, retention: str | None) -> None:
    annotations = {} if retention is None else {LOG_RETENTION: retention}
    write_json(home.manifest(service), {"metadata": {"annotations": annotations}})


def log(store: PredictionStore, service: str, at: datetime, offset: int) -> None:
    row = {
        "prediction_id": f"p{offset}", "row": 0, "event_us": int(at.timestamp() * 1e6),
        "revision": "v1", "model_version": "1", "protocol": "v1", "latency_ms": 1.0,
        "prediction": "1", "probability": None, "probabilities": None, "shadow": False, "unit": "",
    }  # fmt: skip
    store.append_predictions(service, build_frame([row], []), [], source="s", offset=offset)
    truth = {
        "prediction_id": f"p{offset}", "row": 0, "value": "1", "time": at, "received_at": at,
        "day": at.date(),
    }  # fmt: skip
    store.append_truth(service, [truth], source="s", offset=offset)


def test_the_oldest_day_is_kept_and_the_one_before_is_not(tmp_path: Path) -> None:
    home, store = ServingHome.under(tmp_path), PredictionStore(str(tmp_path / "tables"))
    for service, retention in (("kept", None), ("toy", "86400"), ("new", "86400")):
        declare(home, service, retention)
    midnight = datetime(2013, 3, 4, tzinfo=UTC)
    for service in ("kept", "toy"):
        log(store, service, midnight - timedelta(microseconds=1), 1)
        log(store, service, midnight, 2)
    assert forget_old(home, store, NOW) == 2
    for service, left in (("kept", {"p1", "p2"}), ("toy", {"p2"})):
        assert set(store.scan_predictions(service).collect()["prediction_id"]) == left
        assert set(store.scan_truth(service).collect()["prediction_id"]) == left
    assert store.committed_offset("toy", PREDICTIONS, "s") == 2  # nothing comes back
    assert forget_old(home, store, NOW) == 0


def test_a_senseless_retention_is_told_and_harms_no_other_service(tmp_path: Path) -> None:
    home, store = ServingHome.under(tmp_path), PredictionStore(str(tmp_path / "tables"))
    declare(home, "bad", "90d")
    declare(home, "toy", "86400")
    log(store, "toy", NOW - timedelta(days=9), 1)
    assert forget_old(home, store, NOW) == 2
    with pytest.raises(ServingError, match="90d"):
        retention_seconds({"metadata": {"annotations": {LOG_RETENTION: "90d"}}})


def test_the_tables_of_a_deleted_service_go_on_to_lose_their_days(tmp_path: Path) -> None:
    home, store = ServingHome.under(tmp_path), PredictionStore(str(tmp_path / "tables"))
    for service in ("gone", "changed"):
        declare(home, service, "86400")
        log(store, service, NOW, 1)
    assert forget_old(home, store, NOW) == 0
    declare(home, "changed", None)  # its owner wants to keep it
    assert forget_old(home, store, NOW) == 0
    for service in ("gone", "changed"):
        home.manifest(service).unlink()
    assert forget_old(home, store, NOW + timedelta(days=1)) == 0
    assert forget_old(home, store, NOW + timedelta(days=2)) == 2
    assert store.scan_predictions("gone").collect().is_empty()
    assert store.scan_predictions("changed").collect().height == 1
