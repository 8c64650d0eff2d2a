"""The same requests to a stock `kserve.ModelServer` and to us: the same answers, or a difference
that `docs/serving.md` lists. Its table is read here: a row that no request shows fails, and so does
a difference without a row."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from mlops_assets_tests.serving.packages import NUMBERS
from mlops_assets_tests.serving.running import running_predictor, wait_for

_DOCS = Path(__file__).parents[2] / "docs" / "serving.md"
_JSON = {"content-type": "application/json"}
_YES, _NO = [3.0, -1.0, 0.5], [-9.0, -1.0, 0.5]
_MORE_FIELDS = {"probabilities", "classes", "model_name", "model_version", "id"}


@dataclass(frozen=True)
class Case:
    """One request; `difference` names the row of the documented table, None expects the same."""

    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    difference: str | None = None


def v1(content: object, difference: str | None = None, **headers: str) -> Case:
    body = content if isinstance(content, bytes) else json.dumps({"instances": content}).encode()
    sent = tuple({**_JSON, **{k.replace("_", "-"): v for k, v in headers.items()}}.items())
    return Case("POST", "/v1/models/toy:predict", body, sent, difference)


def v2(content: object, difference: str | None = None, **headers: str) -> Case:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    sent = tuple({**_JSON, **{k.replace("_", "-"): v for k, v in headers.items()}}.items())
    return Case("POST", "/v2/models/toy/infer", body, sent, difference)


def tensor(
    data: object = None, shape: tuple[int, ...] = (2, 3), datatype: str = "FP64", **more: object
) -> dict[str, object]:
    values = [*_YES, *_NO] if data is None else data
    one = {"name": "x", "shape": shape, "datatype": datatype, "data": values}
    return {"inputs": [one], **more}


def binary(tail: bytes) -> Case:
    parameters = {"binary_data_size": 24}
    one = {"name": "x", "shape": [1, 3], "datatype": "FP64", "parameters": parameters}
    head = json.dumps({"inputs": [one]}).encode()
    length = str(len(head))
    octets = "application/octet-stream"
    wrong = None if len(tail) == 24 else "wrong tensors"
    return v2(head + tail, wrong, content_type=octets, inference_header_content_length=length)


def get(path: str, difference: str | None = None) -> Case:
    return Case("GET", path, difference=difference)


def post(path: str, difference: str) -> Case:
    return Case("POST", path, difference=difference)


COLUMNS = [
    {"name": name, "shape": [2], "datatype": "FP64", "data": values}
    for name, values in zip(NUMBERS, zip(_YES, _NO, strict=True), strict=True)
]
ROW = dict(zip(NUMBERS, _YES, strict=True))

CASES = {
    "v1_rows": v1([_YES, _NO]),
    "v1_one_row": v1([_YES]),
    "v1_under_inputs": v1(json.dumps({"inputs": [_YES]}).encode()),
    "v1_truncated": v1(b'{"instances":[[1,'),
    "v1_nan": v1(b'{"instances":[[NaN,1,2]]}'),
    "v1_infinity": v1(b'{"instances":[[Infinity,1,2]]}'),
    "v1_no_body": v1(b""),
    "v1_unknown_model": Case("POST", "/v1/models/other:predict", v1([_YES]).body, v1([]).headers),
    "v1_row_objects": v1([ROW], "rows as objects"),
    "v1_single_row": v1(_YES, "a row without a list around it"),
    "v1_columns": v1([{k: [v] for k, v in ROW.items()}], "columns in an object"),
    "v1_no_rows": v1([], "wrong rows"),
    "v1_short_row": v1([_YES[:2]], "wrong rows"),
    "v1_long_row": v1([[*_YES, 1.0]], "wrong rows"),
    "v1_ragged": v1([_YES, _YES[:2]], "wrong rows"),
    "v1_text": v1([["a", 1.0, 2.0]], "wrong rows"),
    "v1_null": v1([[None, 1.0, 2.0]], "wrong rows"),
    "v1_no_instances": v1(b'{"rows": 1}', "wrong rows"),
    "v1_no_object": v1(b"[1]", "wrong rows"),
    "v1_both": v1(
        json.dumps({"instances": [_YES], "inputs": [_YES]}).encode(),
        "`instances` and `inputs` at once",
    ),
    "v1_text_type": v1([_YES], "V1 with another content type", content_type="text/plain"),
    "v1_cloud_event": v1(
        [_YES], "CloudEvents", ce_id="7", ce_type="t", ce_source="s", ce_specversion="1.0"
    ),
    "v1_get_predict": get("/v1/models/toy:predict", "GET of `:predict`"),
    "v1_explain": Case(
        "POST", "/v1/models/toy:explain", v1([_YES]).body, v1([]).headers, "`:explain`"
    ),
    "v2_matrix": v2(tensor(id="7")),
    "v2_no_id": v2(tensor()),
    "v2_integers": v2(tensor([3, -1, 0, -9, -1, 0], datatype="INT64")),
    "v2_floats": v2(tensor(datatype="FP32")),
    "v2_nested": v2(tensor([_YES, _NO])),
    "v2_binary": binary(np.array(_YES).astype("<f8").tobytes()),
    "v2_unknown_output": v2(tensor(outputs=[{"name": "nope"}])),
    "v2_unknown_model": Case("POST", "/v2/models/other/infer", v2(tensor()).body, v1([]).headers),
    "v2_columns": v2({"inputs": COLUMNS}, "one tensor for each feature"),
    "v2_wrong_shape": v2(tensor(shape=(2, 2)), "wrong tensors"),
    "v2_text": v2(tensor(["a", "b", "c"], (1, 3), "BYTES"), "wrong tensors"),
    "v2_wrong_type": v2(tensor(datatype="FOO"), "wrong tensors"),
    "v2_no_tensor": v2({"inputs": []}, "wrong tensors"),
    "v2_no_rows": v2(tensor([], (0, 3)), "wrong tensors"),
    "v2_too_narrow": v2(tensor([1.0, 2.0], (1, 2)), "wrong tensors"),
    "v2_short_binary": binary(b"123"),
    "v2_no_inputs": v2({}, "V2 that is no request"),
    "v2_truncated": v2(b'{"inputs":[', "V2 that is no request"),
    "v2_text_type": v2(tensor(), "V2 with another content type", content_type="text/plain"),
    "v2_get_infer": get("/v2/models/toy/infer", "no such path or method"),
    "root": get("/"),
    "v1_models": get("/v1/models"),
    "v1_model": get("/v1/models/toy"),
    "v1_other_model": get("/v1/models/other"),
    "v1_post_model": post("/v1/models/toy", "no such path or method"),
    "v2_server": get("/v2", "server metadata"),
    "v2_live": get("/v2/health/live"),
    "v2_ready": get("/v2/health/ready"),
    "v2_models": get("/v2/models"),
    "v2_model": get("/v2/models/toy", "model metadata"),
    "v2_other_model": get("/v2/models/other"),
    "v2_model_ready": get("/v2/models/toy/ready"),
    "v2_other_model_ready": get("/v2/models/other/ready"),
    "v2_version_ready": get("/v2/models/toy/versions/1/ready", "another version"),
    "no_path": get("/nope", "no such path or method"),
    "openapi": get("/openapi.json", "OpenAPI and metrics"),
    "metrics": get("/metrics", "OpenAPI and metrics"),
    "load": post("/v2/repository/models/toy/load", "the repository extension"),
    "unload": post("/v2/repository/models/nobody/unload", "unloading what is not there"),
}


@pytest.fixture(scope="module")
def servers(positive_model: Path) -> Iterator[tuple[str, str]]:
    """URLs of the stock server and of ours."""
    command = [sys.executable, "-m", "mlops_assets_tests.serving.stock_server"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as stock:
        try:
            assert stock.stdout is not None
            url = f"http://127.0.0.1:{int(stock.stdout.readline())}"
            wait_for(f"{url}/", stock)
            with running_predictor(positive_model, "--model-version=3") as ours:
                yield url, ours
        finally:
            stock.kill()  # it may not heed SIGTERM, and leaving the block waits for its end


def documented() -> dict[str, tuple[int | None, int | None]]:
    """Status that each documented difference has, stock and here; None: both the same."""
    text = _DOCS.read_text("utf-8").split("| difference | stock | here |")[1].split("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines()[2:]]
    return {name: (_status(stock), _status(here)) for name, stock, here in rows}


def _status(cell: str) -> int | None:
    found = re.match(r"\d{3}\b", cell)
    return int(found[0]) if found else None


def test_each_documented_difference_is_shown_by_a_request() -> None:
    always = {"fields of a V1 answer", "V2 outputs"}
    assert set(documented()) == always | {c.difference for c in CASES.values() if c.difference}


@pytest.mark.parametrize("name", CASES)
def test_the_same_request_gets_the_same_answer(servers: tuple[str, str], name: str) -> None:
    case = CASES[name]
    stock, ours = (_ask(url, case) for url in servers)
    if case.difference is None:
        assert ours.status_code == stock.status_code, (stock.text, ours.text)
        _require_same(stock, ours)
        return
    status = documented()[case.difference]
    if status == (None, None):
        assert ours.status_code == stock.status_code
        assert ours.text != stock.text or ours.headers != stock.headers
    else:
        assert (stock.status_code, ours.status_code) == status, (stock.text, ours.text)
    if ours.status_code >= 400:
        assert set(ours.json()) == {"error"}


def test_what_only_we_answer_is_what_the_stock_server_says_of_the_same_rows(
    servers: tuple[str, str],
) -> None:
    stock = _ask(servers[0], CASES["v1_one_row"]).json()["predictions"]
    for name in ("v1_row_objects", "v1_single_row", "v1_cloud_event"):
        assert _ask(servers[1], CASES[name]).json()["predictions"] == stock == [1]
    columns = _ask(servers[1], CASES["v2_columns"]).json()["outputs"][0]["data"]
    assert columns == _ask(servers[0], CASES["v2_matrix"]).json()["outputs"][0]["data"]


def test_only_the_stock_server_answers_a_cloud_event_with_one(servers: tuple[str, str]) -> None:
    stock, ours = (_ask(url, CASES["v1_cloud_event"]) for url in servers)
    assert "ce-id" in stock.headers
    assert "ce-id" not in ours.headers
    assert (ours.headers["x-request-id"], ours.json()["id"]) == ("7", "7")


def _ask(url: str, case: Case) -> httpx.Response:
    return httpx.request(
        case.method, url + case.path, headers=dict(case.headers), content=case.body,
        trust_env=False, timeout=10,
    )  # fmt: skip


def _require_same(stock: httpx.Response, ours: httpx.Response) -> None:
    """The bodies say the same, but for the two differences that every answer shows."""
    theirs, found = stock.json(), ours.json()
    if stock.status_code >= 400:
        assert set(theirs) == set(found) == {"error"}
    elif "outputs" in theirs:
        assert _plain_output(theirs, "output-0") == _plain_output(found, "predict")
        assert theirs["model_name"] == found["model_name"]
        assert [output["name"] for output in found["outputs"]] == ["predict", "predict_proba"]
        assert bool(theirs["id"]) is bool(found["id"])
        if theirs["id"] == "7":
            assert found["id"] == "7"
    elif "predictions" in theirs:
        assert {"predictions": found.pop("predictions")} == theirs
        assert set(found) == _MORE_FIELDS
    else:
        assert found == theirs


def _plain_output(answer: dict[str, Any], name: str) -> dict[str, Any]:
    output = answer["outputs"][0]
    assert output["name"] == name
    return {key: output[key] for key in ("shape", "datatype", "data")}
