"""The flight chain from source to served answer, beside a plain script with the same libraries.

Both sides do the same work in a process that has imported everything ("warm"): read and join the
flights, keep them as Delta, build the frame, fit the same pipeline, save it to MLflow with metrics,
plots and ONNX, judge it, and answer one prediction over HTTP. The plain side is one script that
calls the libraries: no Dagster, no contract, no gates. Limits: 20 s; 1.3 times the plain script.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.update(DAGSTER_DISABLE_TELEMETRY="1", MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="1")

from rich.console import Console
from rich.table import Table

from mlops_assets.spec import ModelSpec

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
SECONDS_LIMIT, RATIO_LIMIT, ROUNDS = 20.0, 1.3, 3


@contextmanager
def gateway(home: Path) -> Iterator[None]:
    """A serving gateway of a home."""
    from mlops_assets_tests.serving.running import find_free_port, running_gateway

    with running_gateway(home, find_free_port()):
        yield


def run_chain(home: Path) -> None:
    """The shipped pipeline through Dagster, from nothing to a champion that answered."""
    import dagster as dg

    from mlops_assets.component import build_pipeline
    from mlops_assets.resources.environment import build_resources

    spec, folder = flight_document()
    (home / "dagster").mkdir(parents=True)
    definitions = dg.Definitions.merge(
        build_pipeline(spec, folder),
        dg.Definitions(resources=build_resources({"MLOPS_HOME": str(home)})),
    )
    with dg.DagsterInstance.local_temp(
        str(home / "dagster"), overrides={"telemetry": {"enabled": False}}
    ) as instance:
        job = definitions.resolve_job_def("flight_delay_pipeline")
        assert job.execute_in_process(instance=instance).success


def run_plain(home: Path) -> None:
    """The same work by calls from one script."""
    from datetime import UTC, datetime

    import polars as pl
    from mlflow import MlflowClient

    from mlops_assets.defs.flight_delay.source import load_flights
    from mlops_assets.kserve.manifest import build_inference_service
    from mlops_assets.modeling.contestants import load_contestant
    from mlops_assets.modeling.evaluation import evaluate
    from mlops_assets.modeling.features import BuiltFrame, build_frame
    from mlops_assets.modeling.package import write_package
    from mlops_assets.modeling.plots import draw_plots
    from mlops_assets.modeling.signing import SIGNING_KEY, ensure_key_pair, sign_package
    from mlops_assets.modeling.training import train
    from mlops_assets.serving.embedded import EmbeddedServing

    spec, _ = flight_document()
    frame = load_flights(until="2013-02-01").frame.collect()
    home.mkdir(parents=True, exist_ok=True)
    frame.write_delta(str(home / "flights"))
    built = build_frame(pl.scan_delta(str(home / "flights")), spec)
    built.frame.write_delta(str(home / "frame"))
    built = BuiltFrame(pl.read_delta(str(home / "frame")), built.facts)
    fitted = train(spec, built)
    package = home / "package"
    manifest = write_package(package, fitted, built, spec)
    ensure_key_pair(home / "keys")
    sign_package(package, home / "keys" / SIGNING_KEY)
    client = MlflowClient(f"sqlite:///{home}/mlflow.db", f"sqlite:///{home}/mlflow.db")
    experiment = client.create_experiment("flights", artifact_location=f"file://{home}/artifacts")
    run = client.create_run(experiment)
    contestant = load_contestant(package, built.facts.split, spec)
    found = evaluate(spec, built, contestant, None, datetime.now(UTC))
    for name, estimate in found.metrics["candidate"].items():
        client.log_metric(run.info.run_id, name, estimate.value or 0.0)
    for name, content in draw_plots(spec, built, contestant).items():
        (home / name).write_bytes(content)
        client.log_artifact(run.info.run_id, str(home / name))
    client.log_artifacts(run.info.run_id, str(package), "model")
    client.create_registered_model("flights")
    client.create_model_version("flights", f"file://{package}", run.info.run_id)
    serving = EmbeddedServing(home)
    serving.apply(
        build_inference_service(
            spec, version=1, storage_uri=f"file://{package}", model_digest=manifest.model_digest,
            mlflow_run_id=run.info.run_id,
        )
    )  # fmt: skip
    serving.wait_ready(spec.service, 1, 60)
    serving.predict(spec.service, manifest.example)


def flight_document() -> tuple[ModelSpec, Path]:
    """The shipped document and its folder."""
    from mlops_assets.spec.reading import read_document

    folder = ROOT / "mlops_assets" / "defs" / "flight_delay"
    return read_document(folder / "defs.yaml"), folder


def measure(run: Callable[[Path], None], scratch: Path, name: str) -> float:
    """Seconds of the best round; round 0 warms up and does not count."""
    seconds = []
    for i in range(ROUNDS + 1):
        home = scratch / f"{name}{i}"
        home.mkdir()
        with gateway(home):
            start = time.perf_counter()
            run(home)
            seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def main() -> int:
    """Measures, prints the table, and says by the exit code whether the limits hold."""
    with tempfile.TemporaryDirectory() as scratch:
        plain = measure(run_plain, Path(scratch), "plain")
        chain = measure(run_chain, Path(scratch), "chain")
    table = Table("side", "seconds", "limit", title="flight chain, warm, best of 3")
    table.add_row("plain script", f"{plain:.2f}", "–")
    table.add_row("mlops_assets", f"{chain:.2f}", f"{SECONDS_LIMIT:.0f}")
    table.add_row("ratio", f"{chain / plain:.2f}", f"{RATIO_LIMIT}")
    Console().print(table)
    return int(chain > SECONDS_LIMIT or chain > RATIO_LIMIT * plain)


if __name__ == "__main__":
    raise SystemExit(main())
