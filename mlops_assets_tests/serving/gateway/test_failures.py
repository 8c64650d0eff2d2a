"""Through a running gateway: what a revision failed is in the tables, and for whom."""

import time
from pathlib import Path

import httpx
import polars as pl

from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets.serving.gateway.routing import hash_unit
from mlops_assets.serving.prediction_log.sink import drain_home, open_store
from mlops_assets_tests.serving.running import (
    find_free_port,
    running_gateway,
    toy_manifest,
    with_canary,
)

ROW = {"x0": 3.0, "x1": -1.0, "hours per day": 0.5}


def test_failed_requests_and_callers_are_known_by_revision(
    tmp_path: Path, positive_model: Path, negative_model: Path
) -> None:
    backend = EmbeddedServing(tmp_path)
    both = with_canary(
        toy_manifest(positive_model), toy_manifest(negative_model, 2, digest="b" * 64)
    )
    both["metadata"]["annotations"]["mlops-assets/entity-key"] = "customer"
    backend.apply(both)
    with running_gateway(tmp_path, find_free_port()):
        backend.wait_ready("toy", 1, 60.0)
        url = f"{backend.url}/v1/models/toy:predict"
        backend.set_traffic("toy", {"v1": 100}, shadow="v2")
        deadline = time.monotonic() + 10
        while (status := backend.status("toy")) is None or status.shadow != "v2":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        headers = {"x-request-id": "broken"}
        body = {"instances": [{"x0": 1.0}], "customer": 7}
        assert httpx.post(url, json=body, headers=headers, trust_env=False).status_code == 400
        assert httpx.get(url, trust_env=False).status_code == 405  # a caller's own mistake
        body = {"instances": [ROW], "customer": 7}
        assert httpx.post(url, json=body, trust_env=False).status_code == 200
        store = open_store(tmp_path)
        while store.scan_predictions("toy", shadow=True).collect().height < 1:
            assert time.monotonic() < deadline
            drain_home(tmp_path)
    drain_home(tmp_path)
    failures = store.scan_failures("toy").collect()
    assert failures.select("revision", "prediction_id", "status", "shadow").rows() == [
        ("v1", "broken", 400, False)
    ]
    logged = pl.concat([store.scan_predictions("toy", shadow=s) for s in (False, True)]).collect()
    assert logged["revision"].to_list() == ["v1", "v2"]
    unit = hash_unit("toy", "7")
    assert {*logged["unit"], *failures["unit"]} == {unit}
