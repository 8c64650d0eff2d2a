"""What the sink takes and refuses, and that it stands in the tables."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.serving.prediction_log.completeness import summarize_halves
from mlops_assets.serving.prediction_log.sink import drain_home, open_store
from mlops_assets.serving.prediction_log.wire import PREDICTION
from mlops_assets.serving.sink.app import SinkApp
from mlops_assets.serving.sink.settings import SinkSettings
from mlops_assets_tests.serving.rsgi import Response, call
from mlops_assets_tests.serving.sink.events import BATCH, agent_headers, as_json, batch

FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def app(tmp_path: Path) -> Iterator[SinkApp]:
    found = SinkApp(SinkSettings(home=tmp_path, max_body_bytes=20_000))
    yield found
    found.close()


def post(app: SinkApp, body: bytes, headers: dict[str, str], path: str = "/") -> Response:
    return call(app, "POST", path, body, headers)


def logged(home: Path, service: str = "toy") -> list[dict[str, Any]]:
    drain_home(home)
    frame = open_store(home).scan_predictions(service).collect()
    return frame.sort("prediction_id", "row").to_dicts()


def test_a_batch_of_our_own_is_in_the_table_with_all_that_the_log_keeps(
    app: SinkApp, tmp_path: Path
) -> None:
    assert post(app, batch("a", "b"), BATCH).json() == {"accepted": 2}
    assert post(app, batch("b", "c"), BATCH).status == 200  # shipped again after a lost answer
    one = json.loads(batch("d"))[0]
    structured = {"content-type": "application/cloudevents+json; charset=utf-8"}
    assert post(app, as_json(one), structured, "/v1/events").status == 200
    data = one.pop("data")
    data["prediction"]["prediction_id"] = "e f"
    binary = {f"ce-{name}": value for name, value in one.items()} | {"ce-id": "e%20f"}
    assert post(app, as_json(data), {"content-type": "application/json", **binary}).status == 200
    rows = logged(tmp_path)
    assert [row["prediction_id"] for row in rows] == ["a", "b", "c", "d", "e f"]
    first = rows[0]
    assert (first["revision"], first["model_version"], first["probability"]) == ("v1", "1", 0.75)
    assert (first["feature__hours"], first["feature__genre"]) == (1.5, "jazz")
    assert (first["latency_ms"], str(first["day"])) == (2.0, "2026-03-04")


V1 = ({"instances": [[1.5, "jazz"], [None, "folk"]]}, {"predictions": [1, 0]})
V2 = (
    {"inputs": [
        {"name": "hours", "shape": [2], "datatype": "FP64", "data": [1.5, None]},
        {"name": "more", "shape": [2, 2], "datatype": "INT64", "data": [1, 2, 3, 4]},
    ]},
    {"outputs": [{"name": "output-0", "shape": [2], "datatype": "INT64", "data": [1, 0]}]},
)  # fmt: skip


@pytest.mark.parametrize(
    ("bodies", "features"),
    [
        pytest.param(V1, {"0": 1.5, "1": "jazz"}, id="v1"),
        pytest.param(V2, {"hours": 1.5, "more[0]": 1.0, "more[1]": 2.0}, id="v2"),
    ],
)
@pytest.mark.parametrize("first", ["request", "response"])
def test_the_halves_of_kserves_agent_make_one_prediction_in_either_order(
    app: SinkApp, tmp_path: Path, bodies: Any, features: dict[str, Any], first: str
) -> None:
    halves = dict(zip(("request", "response"), map(as_json, bodies), strict=True))
    later = {"time": "2026-03-04T12:00:00.125456789Z"}
    for kind in sorted(halves, reverse=first == "response"):
        headers = agent_headers(kind, "a", **(later if kind == "response" else {}))
        assert post(app, halves[kind], headers).status == 200
        before = logged(tmp_path, "stock")
    assert before == logged(tmp_path, "stock")
    assert [row["prediction"] for row in before] == ["1", "0"]
    row = before[0]
    assert {name: row[f"feature__{name}"] for name in features} == features
    assert (row["revision"], row["latency_ms"]) == ("unknown", 2.0)


def test_a_half_without_its_other_half_is_kept_and_told(app: SinkApp, tmp_path: Path) -> None:
    post(app, as_json(V1[0]), agent_headers("request", "asked"))
    post(app, as_json(V1[1]), agent_headers("response", "said", endpoint="v7"))
    for name, body in (("odd", b"\xff\x00"), ("half", b'{"instances": [["\xff"]]}')):
        post(app, body, agent_headers("request", name))
        post(app, as_json(V1[1]), agent_headers("response", name))
    assert logged(tmp_path, "stock") == []
    summary = summarize_halves(open_store(tmp_path), "stock")
    assert (summary.n_requests, summary.n_responses) == (3, 3)
    assert (summary.n_lone_requests, summary.n_lone_responses) == (1, 1)
    assert summary.n_unreadable == 2
    kept = open_store(tmp_path).scan_halves("stock").collect().to_dicts()
    assert b"\xff\x00" in [row["body"] for row in kept]


def test_the_agents_annotations_and_label_name_the_version(app: SinkApp, tmp_path: Path) -> None:
    told = {"endpoint": "v8", "annotations": '{"mlops-assets/model-version":"8"}'}
    post(app, as_json(V1[0]), agent_headers("request", "a", **told))
    post(app, as_json(V1[1]), agent_headers("response", "a", **told))
    (row, _) = logged(tmp_path, "stock")
    assert (row["revision"], row["model_version"]) == ("v8", "8")


def changed(**changes: Any) -> bytes:
    return as_json([json.loads(batch("a"))[0] | changes])


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        pytest.param(b"{}", {"content-type": "application/json"}, 415, "or the headers ce-specv",
                     id="no_event"),
        pytest.param(b"", BATCH | {"content-encoding": "gzip"}, 415, "content-encoding", id="gzip"),
        pytest.param(b"[{", BATCH, 400, "truncated", id="cut_json"),
        pytest.param(b"[]", BATCH, 400, "expected 1 to 20,000 events, found 0", id="empty"),
        pytest.param(b"[" * 9_000, BATCH, 400, "CloudEvents", id="deep"),
        pytest.param(b"x" * 20_001, BATCH, 413, "at most 20,000 bytes", id="long"),
        pytest.param(changed(specversion="0.3"), BATCH, 400, "event 0: specversion: expected 1.0",
                     id="old"),
        pytest.param(changed(type="ping"), BATCH, 400, "event 0: type: expected one of",
                     id="type"),
        pytest.param(changed(id=""), BATCH, 400, "event 0: id", id="no_id"),
        pytest.param(changed(id="b"), BATCH, 400, "expected service and id of the event",
                     id="another_id"),
        pytest.param(changed(inferenceservicename="../up"), BATCH, 400,
                     "event 0: inferenceservicename", id="path"),
        pytest.param(changed(time="0001-01-01T00:00:00Z"), BATCH, 400, "event 0: time",
                     id="year_1"),
        pytest.param(changed(component="?").replace(b"?", b"\xff"), BATCH, 400, "utf-8",
                     id="no_utf8"),
        pytest.param(changed(time="noon"), BATCH, 400, "$[0].time", id="time"),
        pytest.param(changed(data={"of": {}}), BATCH, 400, "event 0: data: Object missing",
                     id="data"),
        pytest.param(b"", agent_headers("request", "x" * 201), 400, "event 0: id", id="long_id"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_nothing_is_written(
    app: SinkApp, tmp_path: Path, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = post(app, body, headers)
    assert (answer.status, words in answer.json()["error"]) == (status, True), answer.body
    assert not list(tmp_path.rglob("*.segment"))


def test_features_of_an_unknown_kind_are_refused(app: SinkApp) -> None:
    (event,) = json.loads(batch("a"))
    event["data"]["of"]["features"] = [["hours", "complex"]]
    answer = post(app, as_json([event]), BATCH)
    assert (answer.status, "event 0: data: features" in answer.json()["error"]) == (400, True)


@FUZZ
@given(
    body=st.binary(max_size=100) | st.recursive(
        st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    ).map(as_json),
    mode=st.sampled_from(["structured", "batch", "binary"]),
    kind=st.sampled_from(["request", "response", PREDICTION]),
)  # fmt: skip
def test_no_body_gets_a_5xx(app: SinkApp, body: bytes, mode: str, kind: str) -> None:
    headers = {
        "structured": {"content-type": "application/cloudevents+json"},
        "batch": BATCH,
        "binary": agent_headers(kind, "a"),
    }[mode]
    assert post(app, body, headers).status < 500


def test_a_token_is_asked_of_events_and_of_truth(tmp_path: Path) -> None:
    app = SinkApp(SinkSettings(home=tmp_path, token="secret"))
    basic = "Basic " + base64.b64encode(b"agent:secret").decode()
    truth = as_json({"service": "toy", "id": "a", "value": 1})
    for given_, status in (
        ({}, 401),
        ({"authorization": "Bearer secre"}, 401),
        ({"authorization": "Basic !"}, 401),
        ({"authorization": "Bearer secret"}, 200),
        ({"authorization": basic}, 200),
    ):
        assert post(app, batch("a"), BATCH | given_).status == status
        assert post(app, truth, given_, "/v1/ground-truth").status == status
    assert call(app, "GET", "/health").status == call(app, "GET", "/metrics").status == 200
    app.close()


def test_truth_meets_the_prediction_that_came_through_the_sink(
    app: SinkApp, tmp_path: Path
) -> None:
    truths = {"items": [{"service": "toy", "id": name, "value": 1} for name in ("a", "z")]}
    assert post(app, as_json(truths), {}, "/v1/ground-truth").json() == {"accepted": 2}
    wrong = as_json({"service": "../up", "id": "a", "value": 1})
    assert post(app, wrong, {}, "/v1/ground-truth").status == 400
    post(app, batch("a"), BATCH)
    drain_home(tmp_path)
    store = open_store(tmp_path)
    assert store.scan_judged("toy").collect()["truth"].to_list() == ["1"]
    assert sorted(store.scan_truth("toy").collect()["prediction_id"]) == ["a", "z"]


def test_events_of_another_namespace_are_refused(tmp_path: Path) -> None:
    app = SinkApp(SinkSettings(home=tmp_path, namespaces=("prod",)))
    answer = post(app, batch("a"), BATCH)
    assert (answer.status, "namespace: expected prod" in answer.json()["error"]) == (400, True)
    app.close()


def test_metrics_tell_what_came_and_what_is_not_in_the_tables(app: SinkApp, tmp_path: Path) -> None:
    post(app, batch("a", "b"), BATCH)
    post(app, b"", BATCH)

    def value(name: str) -> float:
        lines = call(app, "GET", "/metrics").body.decode().splitlines()
        return float(next(line for line in lines if line.startswith(name)).split()[-1])

    assert value('mlops_sink_events_total{type="mlops-assets.prediction"}') == 2
    assert value('mlops_sink_refused_total{code="400"}') == 1
    assert value("mlops_sink_segment_bytes") > 0
    assert (tmp_path / "serving" / "segments").stat().st_mtime > 0
    drain_home(tmp_path)
    assert value("mlops_sink_lag_seconds") == 0


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [("GET", "/", 405, "POST"), ("PUT", "/v1/events", 405, "POST"),
     ("GET", "/v1/ground-truth", 405, "POST"), ("POST", "/health", 405, "GET"),
     ("GET", "/no", 404, None), ("POST", "/no", 404, None), ("HEAD", "/health", 200, None)],
)  # fmt: skip
def test_paths_and_methods(
    app: SinkApp, method: str, path: str, status: int, allowed: str | None
) -> None:
    answer = call(app, method, path)
    assert (answer.status, answer.headers.get("allow")) == (status, allowed)


def test_events_that_no_folder_can_be_made_for_are_sent_again(app: SinkApp, tmp_path: Path) -> None:
    predictions = tmp_path / "serving" / "segments" / "predictions"
    predictions.parent.mkdir(parents=True)
    predictions.touch()  # as a full disk, no folder can be made there
    answer = post(app, batch("a"), BATCH)
    assert (answer.status, answer.headers.get("retry-after")) == (503, "10")
    predictions.unlink()
    assert post(app, batch("a"), BATCH).status == 200
