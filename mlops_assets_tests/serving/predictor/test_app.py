"""The predictor's answers, and that no request whatever gets a 5xx."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlops_assets.serving.predictor.app import PredictorApp
from mlops_assets.serving.predictor.execution import Execution
from mlops_assets.serving.predictor.metrics import Metrics
from mlops_assets.serving.predictor.model import load_model
from mlops_assets.serving.predictor.settings import PredictorSettings
from mlops_assets_tests.serving.effort import fuzzing
from mlops_assets_tests.serving.rsgi import Response, call

V1, V2 = "/v1/models/toy:predict", "/v2/models/toy/infer"
FUZZ = fuzzing(400, 10_000)


@pytest.fixture(scope="module")
def app(positive_model: Path) -> PredictorApp:
    model = load_model(positive_model)
    execution = Execution(model.scorer, max_waiting=4, max_wait_seconds=1)
    execution.warm_up(model)
    limits = PredictorSettings(
        model_name="toy", model_dir=positive_model, model_version="3", max_body_bytes=10_000
    )
    return PredictorApp(limits, model, execution, Metrics(1))


def post(app: PredictorApp, path: str, content: Any, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(app, "POST", path, json.dumps(content).encode(), named)


def test_both_protocols_give_the_same_answer_and_say_who_gave_it(app: PredictorApp) -> None:
    one = post(app, V1, {"instances": [[3, -1, 0.5]]}, ce_id="mine").json()
    tensor = {"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [3, -1, 0.5]}
    two = post(app, V2, {"inputs": [tensor]}).json()
    assert one["predictions"] == two["outputs"][0]["data"] == [1]
    assert one["probabilities"][0] == two["outputs"][1]["data"]
    assert (one["model_name"], one["model_version"], one["id"]) == ("toy", "3", "mine")
    assert (two["model_name"], two["model_version"]) == ("toy", "3")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"ce-id": "a", "x-request-id": "b"}, "a", id="ce_id_wins"),
        pytest.param({"x-request-id": "b"}, "b", id="x_request_id"),
        pytest.param({}, None, id="made"),
    ],
)
def test_the_prediction_id_is_the_callers(
    app: PredictorApp, headers: dict[str, str], expected: str | None
) -> None:
    answer = call(app, "POST", V1, b'{"instances":[[1,2,3]]}', headers)
    assert answer.headers["x-request-id"] == answer.json()["id"]
    assert answer.json()["id"] == expected or expected is None


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/v1/models", 200),
        ("GET", "/v1/models/toy", 200),
        ("GET", "/v1/models/other", 404),
        ("POST", "/v1/models/other:predict", 404),
        ("GET", V1, 405),
        ("DELETE", V2, 405),
        ("POST", "/v2", 405),
        ("GET", "/v2", 200),
        ("GET", "/v2/health/live", 200),
        ("GET", "/v2/health/ready", 200),
        ("GET", "/v2/models/toy", 200),
        ("GET", "/v2/models/toy/ready", 200),
        ("GET", "/v2/models/toy/versions/3/ready", 200),
        ("GET", "/v2/models/toy/versions/4/ready", 404),
        ("POST", "/v2/repository/models/toy/unload", 404),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/nothing", 404),
    ],
)
def test_paths_and_methods(app: PredictorApp, method: str, path: str, status: int) -> None:
    assert call(app, method, path).status == status


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        pytest.param({"content-type": "text/plain"}, b"{}", 415, id="content_type"),
        pytest.param({"content-encoding": "gzip"}, b"{}", 415, id="encoding"),
        pytest.param({"content-length": "10001"}, b"", 413, id="declared_too_long"),
        pytest.param({"ce-id": "x" * 201}, b"", 400, id="long_id"),
        pytest.param({"ce-id": "x", "x-request-id": "y" * 201}, b"", 400, id="long_other_id"),
        pytest.param({"inference-header-content-length": "x"}, b"{}", 400, id="json_length"),
        pytest.param({"inference-header-content-length": "99"}, b"{}", 400, id="json_beyond"),
    ],
)
def test_wrong_headers_get_4xx(
    app: PredictorApp, headers: dict[str, str], body: bytes, status: int
) -> None:
    assert call(app, "POST", V2, body, headers).status == status


def test_a_missing_value_that_the_model_does_not_take_is_the_callers_mistake(
    app: PredictorApp,
) -> None:
    answer = post(app, V1, {"instances": [[1, 2, 3], [1, None, 3]]})
    assert (answer.status, answer.json()["error"][:6]) == (400, "row 1:")


def test_draining_tells_clients_to_leave_and_still_answers(app: PredictorApp) -> None:
    app.draining = True
    try:
        assert call(app, "GET", "/v2/health/ready").status == 503
        answer = post(app, V1, {"instances": [[1, 2, 3]]})
        assert (answer.status, answer.headers["connection"]) == (200, "close")
    finally:
        app.draining = False


def test_metrics_count_by_protocol_and_class_of_status(app: PredictorApp) -> None:
    def total() -> int:
        lines = call(app, "GET", "/metrics").body.decode().splitlines()
        return int(next(x for x in lines if 'protocol="v1",code="4xx"' in x).split()[-1])

    before = total()
    post(app, V1, {"instances": []})
    assert total() == before + 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
VALUES = st.none() | st.floats() | st.integers() | st.text(max_size=3)
ROWS = st.lists(st.lists(VALUES, max_size=4), max_size=4)
TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["x0", "x1", "hours per day", "z"]) | JSON,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | JSON,
        "datatype": st.sampled_from(["FP64", "FP16", "INT64", "BYTES", "BOOL", "?"]) | JSON,
        "data": st.lists(VALUES, max_size=6) | ROWS | JSON,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": JSON}) | JSON,
    },
)


@FUZZ
@given(body=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
@example(body=b'{"instances":[[1,2,1e400]]}')
@example(body=b'\xff\xfe{"instances":[]}')
def test_no_body_gets_a_5xx(app: PredictorApp, body: bytes) -> None:
    for path in (V1, V2):
        assert call(app, "POST", path, body).status < 500


@FUZZ
@given(rows=ROWS | JSON, key=st.sampled_from(["instances", "inputs"]))
def test_no_v1_rows_get_a_5xx(app: PredictorApp, rows: Any, key: str) -> None:
    assert post(app, V1, {key: rows}).status < 500


@FUZZ
@given(
    inputs=st.lists(TENSOR, max_size=4) | JSON,
    more=st.fixed_dictionaries({}, optional={"outputs": JSON, "parameters": JSON, "id": JSON}),
    tail=st.binary(max_size=64),
    has_tail=st.booleans(),
)
def test_no_v2_tensors_get_a_5xx(
    app: PredictorApp, inputs: Any, more: dict[str, Any], tail: bytes, has_tail: bool
) -> None:
    text = json.dumps({"inputs": inputs, **more}).encode()
    headers = {"inference-header-content-length": str(len(text))} if has_tail else {}
    body = text + tail if has_tail else text
    assert call(app, "POST", V2, body, headers).status < 500
