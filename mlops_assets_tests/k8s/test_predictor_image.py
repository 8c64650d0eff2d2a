"""The image of predictors and of the sink: small, and all that they need."""

import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from mlops_assets.modeling.features import build_frame
from mlops_assets.modeling.package import write_package
from mlops_assets.modeling.signing import sign_package
from mlops_assets.modeling.training import train
from mlops_assets.serving.prediction_log.sink import open_store
from mlops_assets_tests.documents import churn_document, churn_rows, churn_spec
from mlops_assets_tests.k8s.image_environment import ImageEnvironment, make_environment
from mlops_assets_tests.serving.keys import signing_key, write_public_key
from mlops_assets_tests.serving.running import find_free_port, wait_for
from mlops_assets_tests.serving.sink.events import BATCH, batch

LIMIT_MB = 400
BASE_MB = 50  # python:3.11-slim as a registry stores it; 45 in 2026


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> ImageEnvironment:
    return make_environment("predictor", tmp_path_factory.mktemp("predictor"))


@contextmanager
def running(
    environment: ImageEnvironment, folder: Path, url: str, *arguments: str
) -> Iterator[subprocess.Popen[str]]:
    """A command of the image, once the URL answers."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [str(environment.python), "-m", *arguments, f"--parent-pid={os.getpid()}"],
            env=environment.variables, cwd=folder, stderr=log, text=True,
        )  # fmt: skip
    try:
        wait_for(url, process, 180)
        yield process
    finally:
        process.terminate()
        assert process.wait(180) == 0, (folder / "log").read_text()


def test_it_has_nothing_of_the_platform(environment: ImageEnvironment) -> None:
    names = {"dagster", "mlflow", "evidently", "pandas", "kserve", "pip", "pytest"}
    asked = f"import importlib.util as u; print([n for n in {names!r} if u.find_spec(n)])"
    done = environment.run(str(environment.python), "-c", asked)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_it_is_small_as_a_registry_stores_it(environment: ImageEnvironment) -> None:
    import pyarrow as pa

    counted = pa.MockOutputStream()
    with (
        pa.CompressedOutputStream(counted, "zstd") as stream,
        tarfile.open(mode="w|", fileobj=stream) as layer,
    ):
        layer.add(environment.folder / "lib", "lib")
    environment_mb = counted.size() / 1e6
    assert 100 < environment_mb < LIMIT_MB - BASE_MB


def write_churn_model(folder: Path, *, onnx: bool) -> Path:
    """A trained model, signed; with ONNX or for scikit-learn alone."""
    spec = churn_spec(model={**churn_document()["model"], "onnx": onnx})
    built = build_frame(churn_rows().lazy(), spec)
    write_package(folder, train(spec, built), built, spec)
    sign_package(folder, signing_key())
    return folder


@pytest.mark.parametrize("engine", ["onnxruntime", "scikit-learn"])
def test_a_predictor_starts_from_it_and_answers(
    environment: ImageEnvironment, tmp_path: Path, engine: str
) -> None:
    model = write_churn_model(tmp_path / "model", onnx=engine == "onnxruntime")
    write_public_key(tmp_path / "keys")
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = (
        "mlops_assets.serving.predictor", "--model-name=churn", f"--model-dir={model}",
        f"--port={port}", f"--require-signed={tmp_path / 'keys'}",
        f"--log-dir={tmp_path / 'prediction-log'}",
    )  # fmt: skip
    with running(environment, tmp_path, f"{url}/v2/health/ready", *arguments):
        row = {"months": 3, "spend": None, "plan": "unheard"}
        answer = httpx.post(f"{url}/v1/models/churn:predict", json={"instances": [row]}).json()
    assert len(answer["predictions"]) == 1
    assert f"is ready through {engine}" in (tmp_path / "log").read_text()


def test_the_sink_starts_from_it_and_moves_events_to_tables(
    environment: ImageEnvironment, tmp_path: Path
) -> None:
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    (tmp_path / "token").write_text("secret")
    arguments = (
        "mlops_assets.serving.sink", f"--home={tmp_path}", f"--port={port}",
        f"--token-file={tmp_path / 'token'}", "--drain-seconds=120",
    )  # fmt: skip
    with running(environment, tmp_path, f"{url}/health", *arguments):
        bearer = {"authorization": "Bearer secret"}
        assert httpx.post(url, content=batch("a", "b"), headers=BATCH).status_code == 401
        answer = httpx.post(url, content=batch("a", "b"), headers=BATCH | bearer)
        assert answer.json() == {"accepted": 2}
    logged = open_store(tmp_path, str(tmp_path / "lake")).scan_predictions("toy").collect()
    assert sorted(logged["prediction_id"]) == ["a", "b"]
