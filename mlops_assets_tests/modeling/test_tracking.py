import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlops_assets.errors import RegistryError, SigningKeyError
from mlops_assets.modeling.manifest import file_digest
from mlops_assets.modeling.mlflow_registry import RegisteredVersion
from mlops_assets.modeling.mlflow_runs import RunIdentity
from mlops_assets.modeling.signing import read_signed_manifest, read_trusted_keys
from mlops_assets.modeling.tracking import Tracking
from mlops_assets_tests.serving.keys import signing_key, trusted_keys
from mlops_assets_tests.serving.packages import write_binary_model

IDENTITY = RunIdentity("dagster-1", "churn/trained_model")


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables; making them takes 2.6 s, so it is copied for each test."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    Tracking(f"sqlite:///{path}").client.search_experiments()
    return path


@pytest.fixture
def tracking(empty_database: Path, tmp_path: Path) -> Tracking:
    database = shutil.copy(empty_database, tmp_path / "mlflow.db")
    return Tracking(
        f"sqlite:///{database}",
        f"file://{tmp_path}/artifacts",
        "http://127.0.0.1:5000",
        signing_key(),
    )


def register(tracking: Tracking, digest: str, **tags: str) -> RegisteredVersion:
    return tracking.register(
        "churn", model_digest=digest, uri=f"file:///{digest}", mlflow_run_id="", tags=tags
    )


def aliases(tracking: Tracking) -> dict[str, int | None]:
    found = {
        a: tracking.version_of_alias("churn", a) for a in ("champion", "challenger", "previous")
    }
    return {alias: version.version for alias, version in found.items() if version is not None}


def test_a_run_ends_as_its_block_does(tracking: Tracking) -> None:
    with tracking.run("churn", IDENTITY, "training") as run_id:
        assert tracking.client.get_run(run_id).info.status == "RUNNING"
    assert tracking.client.get_run(run_id).info.status == "FINISHED"

    with pytest.raises(ValueError, match="broken"), tracking.resumed(run_id):
        raise ValueError("broken")
    assert tracking.client.get_run(run_id).info.status == "FAILED"

    with pytest.raises(KeyboardInterrupt), tracking.resumed(run_id):
        raise KeyboardInterrupt
    assert tracking.client.get_run(run_id).info.status == "KILLED"


def test_a_retry_resumes_the_run_of_its_step(tracking: Tracking) -> None:
    with pytest.raises(ValueError, match="once"), tracking.run("churn", IDENTITY, "x") as first:
        raise ValueError("once")
    with tracking.run("churn", IDENTITY, "x") as second:
        pass
    with tracking.run("churn", RunIdentity("dagster-2", IDENTITY.asset), "x") as other:
        pass
    assert first == second != other
    assert tracking.client.get_run(second).info.status == "FINISHED"


def test_only_runs_of_dead_dagster_runs_are_killed(tracking: Tracking) -> None:
    with (
        tracking.run("churn", IDENTITY, "x") as alive,
        tracking.run("churn", RunIdentity("dagster-2", "churn/trained_model"), "x") as dead,
    ):
        assert tracking.kill_abandoned_runs(alive=["dagster-1"]) == [dead]
        assert tracking.client.get_run(alive).info.status == "RUNNING"
        assert tracking.client.get_run(dead).info.status == "KILLED"


def test_more_parameters_than_one_request_takes_are_all_logged_once(tracking: Tracking) -> None:
    parameters = {f"p{i}": i for i in range(250)}
    with tracking.run("churn", IDENTITY, "x") as run_id:
        tracking.log_parameters(run_id, parameters)
        tracking.log_parameters(run_id, parameters)
        assert len(tracking.client.get_run(run_id).data.params) == 250


def test_the_same_digest_gives_the_same_version(tracking: Tracking) -> None:
    first = register(tracking, "aa", reason="schedule")
    again = register(tracking, "aa", reason="drift")
    other = register(tracking, "bb")
    assert (first.version, again.version, other.version) == (1, 1, 2)
    assert again.tags["reason"] == "drift"
    assert aliases(tracking) == {"challenger": 2}


def test_a_long_tag_of_a_version_is_kept_whole(tracking: Tracking) -> None:
    """The split rule of a wide model is one, and is read again at each later evaluation."""
    split = json.dumps([f"column_{i}" for i in range(1_500)])
    assert register(tracking, "aa", split=split).tags["split"] == split


def test_a_server_that_does_not_answer_is_no_missing_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryError, match=r"churn version 1: http://127\.0\.0\.1:9 answered"):
        Tracking("http://127.0.0.1:9").version("churn", 1)


def test_promotion_moves_the_aliases_and_repeats_without_harm(tracking: Tracking) -> None:
    register(tracking, "aa")
    tracking.promote("churn", 1)
    register(tracking, "bb")
    for _ in range(2):
        tracking.promote("churn", 2)
        assert aliases(tracking) == {"champion": 2, "previous": 1}
    register(tracking, "bb")  # the champion itself, trained again
    assert aliases(tracking) == {"champion": 2, "previous": 1}


def test_a_promotion_killed_half_way_is_finished_by_the_next(tracking: Tracking) -> None:
    register(tracking, "aa")
    tracking.promote("churn", 1)
    register(tracking, "bb")
    tracking.client.set_registered_model_alias("churn", "previous", "1")  # killed after this
    tracking.promote("churn", 2)
    assert aliases(tracking) == {"champion": 2, "previous": 1}


def test_removing_aliases_keeps_the_versions(tracking: Tracking) -> None:
    register(tracking, "aa")
    tracking.promote("churn", 1)
    for _ in range(2):
        tracking.remove_aliases("churn")
    assert aliases(tracking) == {}
    assert tracking.version("churn", 1).model_digest == "aa"


def test_a_version_that_is_not_there_is_named(tracking: Tracking) -> None:
    register(tracking, "aa")
    with pytest.raises(RegistryError, match="churn version 7"):
        tracking.version("churn", 7)
    assert tracking.version_of_alias("unknown", "champion") is None


def test_a_logged_package_keeps_its_place(tracking: Tracking, tmp_path: Path) -> None:
    package = write_binary_model(tmp_path / "package")
    with tracking.run("churn", IDENTITY, "x") as run_id:
        model_id, uri = tracking.log_package(run_id, package, "aa")
        tracking.log_metrics(run_id, {"roc_auc": 0.7}, model_id)
        tracking.log_dataset(run_id, "churn", "d" * 64, 'file:///the "lake"', "{}")
        tracking.log_files(run_id, {"card.md": b"# card", "plots/roc.png": b"png"})
    with tracking.package(uri) as directory:
        signed = read_signed_manifest(directory, read_trusted_keys(trusted_keys()))
    assert signed.files == {"model.onnx": file_digest(package / "model.onnx")}
    run = tracking.client.get_run(run_id)
    assert run.data.metrics == {"roc_auc": 0.7}
    dataset = run.inputs.dataset_inputs[0].dataset
    assert dataset.digest == "d" * 36
    assert json.loads(dataset.source) == {"uri": 'file:///the "lake"'}
    assert {f.path for f in tracking.client.list_artifacts(run_id)} == {"card.md", "plots"}
    assert tracking.run_url(run_id) == (
        f"http://127.0.0.1:5000/#/experiments/{run.info.experiment_id}/runs/{run_id}"
    )


def test_of_a_folder_of_a_run_the_newest_files_are_kept(tracking: Tracking) -> None:
    with tracking.run("churn", IDENTITY, "x") as run_id:
        tracking.log_files(run_id, {f"pages/{day}.html": b"" for day in ("03", "01", "02")})
        for most in (3, 2, 2):
            tracking.keep_newest(run_id, "pages", most)
        kept = [entry.path for entry in tracking.client.list_artifacts(run_id, "pages")]
    assert kept == ["pages/02.html", "pages/03.html"]


def test_files_are_removed_through_the_server_that_keeps_them() -> None:
    with proxying_server("01.html", "02.html", "03.html") as (url, removed):
        Tracking(url).keep_newest("r1", "pages", 1)
    assert removed == [
        f"/api/2.0/mlflow-artifacts/artifacts/7/r1/artifacts/pages/{day}.html"
        for day in ("01", "02")
    ]


@contextlib.contextmanager
def proxying_server(*files: str) -> Iterator[tuple[str, list[str]]]:
    """An MLflow server that keeps the artifacts of its runs: its URL, and what was deleted."""
    info = {"run_id": "r1", "status": "RUNNING", "artifact_uri": "mlflow-artifacts:/7/r1/artifacts"}
    removed: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listed = [{"path": name, "is_dir": False, "file_size": 1} for name in files]
            of_run = self.path.startswith("/api/2.0/mlflow/runs/get?")
            self.reply(json.dumps({"run": {"info": info}} if of_run else {"files": listed}))

        def do_POST(self) -> None:
            self.reply("{}")  # the run has no logged models

        def do_DELETE(self) -> None:
            removed.append(self.path)
            self.reply("{}")

        def reply(self, text: str) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing: the test reads what was removed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", removed
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_no_model_is_stored_unsigned(tracking: Tracking, tmp_path: Path) -> None:
    package = write_binary_model(tmp_path / "package")
    unsigned = Tracking(tracking.uri, tracking.artifact_root)
    with unsigned.run("churn", IDENTITY, "x") as run_id:
        with pytest.raises(SigningKeyError, match="no signing key; MLOPS_SIGNING_KEY"):
            unsigned.log_package(run_id, package, "aa")
        with pytest.raises(SigningKeyError, match="no signing key; MLOPS_SIGNING_KEY"):
            unsigned.read_trusted()
        assert unsigned.client.search_logged_models(experiment_ids=["1"]) == []
