"""Through a running gateway: every answered prediction is logged exactly once."""

import time
from pathlib import Path

import httpx

from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets.serving.prediction_log.sink import drain_home, open_store
from mlops_assets_tests.serving.running import (
    find_free_port,
    running_gateway,
    toy_manifest,
    with_canary,
)

ROW = {"x0": 3.0, "x1": -1.0, "hours per day": 0.5}


def test_a_prediction_and_its_truth_meet_in_the_tables(
    tmp_path: Path, positive_model: Path
) -> None:
    backend = EmbeddedServing(tmp_path)
    backend.apply(toy_manifest(positive_model))
    with running_gateway(tmp_path, find_free_port()):
        backend.wait_ready("toy", 1, 60.0)
        answer = backend.predict("toy", [ROW, ROW])
        url = f"{backend.url}/v1/ground-truth"
        one = {"service": "toy", "id": answer["id"], "value": 1, "row": 1}
        assert httpx.post(url, json=one, trust_env=False).json() == {"accepted": 1}
        wrong = httpx.post(url, json={**one, "service": "no"}, trust_env=False)
        assert (wrong.status_code, "items[0].service" in wrong.text) == (400, True)
    drain_home(tmp_path)
    judged = open_store(tmp_path).scan_judged("toy").sort("row").collect()
    assert judged["truth"].to_list() == [None, "1"]
    assert judged["feature__hours per day"].to_list() == [0.5, 0.5]
    assert not list((tmp_path / "serving" / "segments").rglob("*.segment"))


def test_the_id_of_a_v2_body_is_that_of_the_log(tmp_path: Path, positive_model: Path) -> None:
    """KServe's own client sends its id there, and nowhere else."""
    backend = EmbeddedServing(tmp_path)
    backend.apply(toy_manifest(positive_model))
    tensor = {"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [1, 2, 3]}
    with running_gateway(tmp_path, find_free_port()):
        backend.wait_ready("toy", 1, 60.0)
        with httpx.Client(base_url=str(backend.url), trust_env=False) as client:
            body = {"id": "mine", "inputs": [tensor]}
            answer = client.post("/v2/models/toy/infer", json=body)
            assert (answer.json()["id"], answer.headers["x-request-id"]) == ("mine", "mine")
            truth = {"service": "toy", "id": "mine", "value": 1}
            assert client.post("/v1/ground-truth", json=truth).status_code == 200
    drain_home(tmp_path)
    judged = open_store(tmp_path).scan_judged("toy").collect()
    assert judged.select("prediction_id", "truth").rows() == [("mine", "1")]


def test_a_shadow_answers_into_the_log_and_to_nobody(
    tmp_path: Path, positive_model: Path, negative_model: Path
) -> None:
    backend = EmbeddedServing(tmp_path)
    shadow = toy_manifest(negative_model, 2, digest="b" * 64)
    backend.apply(with_canary(toy_manifest(positive_model), shadow))
    backend.set_traffic("toy", {"v1": 100}, shadow="v2")
    store = open_store(tmp_path)
    with running_gateway(tmp_path, find_free_port()):
        backend.wait_ready("toy", 1, 60.0)
        answers = [backend.predict("toy", [ROW]) for _ in range(20)]
        deadline = time.monotonic() + 10
        while store.scan_predictions("toy", shadow=True).collect().height < 20:
            assert time.monotonic() < deadline
            drain_home(tmp_path)
    assert all(answer["predictions"] == [1] for answer in answers)
    told, mirrored = (
        store.scan_predictions("toy", shadow=flag).collect() for flag in (False, True)
    )
    assert (set(told["revision"]), set(told["prediction"])) == ({"v1"}, {"1"})
    assert (set(mirrored["revision"]), set(mirrored["prediction"])) == ({"v2"}, {"0"})
    ids = {answer["id"] for answer in answers}
    assert set(told["prediction_id"]) == set(mirrored["prediction_id"]) == ids


def test_a_policy_holds_from_the_request_to_the_table(tmp_path: Path, positive_model: Path) -> None:
    backend = EmbeddedServing(tmp_path)
    manifest = toy_manifest(positive_model)
    model = manifest["spec"]["predictor"]["model"]
    model["args"] += ["--log-leave-out=x1", "--log-hash=hours per day"]
    backend.apply(manifest)
    with running_gateway(tmp_path, find_free_port()):
        backend.wait_ready("toy", 1, 60.0)
        assert backend.predict("toy", [{**ROW, "x1": -77.25}])["predictions"] == [1]
        segments = list((tmp_path / "serving" / "segments" / "predictions").rglob("*.segment"))
        assert segments
        assert not any(b"77.25" in path.read_bytes() for path in segments)
    drain_home(tmp_path)
    (row,) = open_store(tmp_path).scan_predictions("toy").collect().to_dicts()
    features = {name: value for name, value in row.items() if name.startswith("feature__")}
    assert set(features) == {"feature__x0", "feature__hours per day__sha256"}
    assert len(features["feature__hours per day__sha256"]) == 64
