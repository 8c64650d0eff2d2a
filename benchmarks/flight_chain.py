"""The flight chain from source to served answer, beside a plain script with the same libraries.

Both sides do the same work in a process that has imported everything, beside a gateway and with
databases that are there ("warm"): read and join the flights, keep them as Delta, build the frame,
fit the same pipeline, save it to MLflow with metrics, plots and ONNX, judge it, keep what its
monitoring will compare with, and answer one prediction over HTTP. The plain side is one script that
calls the libraries: no Dagster, no contract, no gates. Limits: 20 s; 1.3 times the plain script.
"""

import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

os.environ.update(DAGSTER_DISABLE_TELEMETRY="1", MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="1")

import dagster as dg
from rich.console import Console
from rich.table import Table

from mlops_assets.spec import ModelSpec

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
SECONDS_LIMIT, RATIO_LIMIT, ROUNDS = 20.0, 1.3, 8
Side = Callable[[Path, dg.DagsterInstance], None]


@contextmanager
def running_home(home: Path) -> Iterator[dg.DagsterInstance]:
    """A home as `mlops-assets up` has it: gateway, MLflow's database and Dagster's."""
    from mlops_assets.modeling.mlflow_database import ensure_database
    from mlops_assets_tests.serving.running import find_free_port, running_gateway

    (home / "dagster").mkdir(parents=True)
    ensure_database(home / "mlflow.db")
    settings = {"telemetry": {"enabled": False}}
    with (
        running_gateway(home, find_free_port()),
        dg.DagsterInstance.local_temp(str(home / "dagster"), overrides=settings) as instance,
    ):
        instance.get_runs(limit=1)
        yield instance


def run_chain(home: Path, instance: dg.DagsterInstance) -> None:
    """The shipped pipeline through Dagster, from nothing to a champion that answered."""
    from mlops_assets.component import build_pipeline
    from mlops_assets.resources.environment import build_resources

    spec, folder = flight_document()
    definitions = dg.Definitions.merge(
        build_pipeline(spec, folder),
        dg.Definitions(resources=build_resources({"MLOPS_HOME": str(home)})),
    )
    job = definitions.resolve_job_def("flight_delay_pipeline")
    assert job.execute_in_process(instance=instance).success


def run_plain(home: Path, _: dg.DagsterInstance) -> None:
    """The same work by calls from one script."""
    from datetime import UTC, datetime

    import polars as pl
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    from mlops_assets.defs.flight_delay.source import load_flights
    from mlops_assets.kserve.manifest import build_inference_service
    from mlops_assets.modeling.contestants import load_contestant
    from mlops_assets.modeling.evaluation import evaluate
    from mlops_assets.modeling.features import BuiltFrame, build_frame
    from mlops_assets.modeling.importance import estimate_importance
    from mlops_assets.modeling.package import write_package
    from mlops_assets.modeling.plots import draw_plots
    from mlops_assets.modeling.signing import SIGNING_KEY, ensure_key_pair, sign_package
    from mlops_assets.modeling.training import train
    from mlops_assets.monitoring.at_evaluation import Judged, build_reference_files
    from mlops_assets.serving.embedded import EmbeddedServing

    spec = flight_document()[0]
    frame = load_flights(until="2013-02-01").frame.collect()
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
    contestant = load_contestant(package, built.facts.split, spec, trusted=None)
    found = evaluate(spec, built, contestant, None, datetime.now(UTC))
    run_id = run.info.run_id
    now = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[
            Metric(f"{who}_{name}", estimate.value or 0.0, now, 0)
            for who, metrics in found.metrics.items()
            for name, estimate in metrics.items()
        ],
        params=[Param(name, str(value)) for name, value in fitted.parameters.items()],
        tags=[RunTag("model_digest", manifest.model_digest)],
    )
    importances = estimate_importance(spec, built, contestant)
    judged = Judged(built, contestant, datetime.now(UTC), None, importances)
    files = dict(draw_plots(spec, built, contestant, importances))
    files |= build_reference_files(spec, judged)
    files["evaluation.json"] = found.model_dump_json(indent=1).encode()
    for name, content in files.items():
        (home / name).write_bytes(content)
        client.log_artifact(run_id, str(home / name))
    client.log_artifacts(run_id, str(package), "model")
    client.set_terminated(run_id)
    client.create_registered_model("flights")
    tags = {"model_digest": manifest.model_digest, "simulated": "no"}
    client.create_model_version("flights", f"file://{package}", run_id, tags)
    client.set_registered_model_alias("flights", "champion", "1")
    serving = EmbeddedServing(home)
    serving.apply(
        build_inference_service(
            spec, version=1, storage_uri=f"file://{package}", model_digest=manifest.model_digest,
            mlflow_run_id=run_id,
        )
    )  # fmt: skip
    serving.wait_ready(spec.service, 1, 60)
    serving.predict(spec.service, manifest.example)


def flight_document() -> tuple[ModelSpec, Path]:
    """The shipped document and its folder."""
    from mlops_assets.spec.reading import read_document

    folder = ROOT / "mlops_assets" / "defs" / "flight_delay"
    return read_document(folder / "defs.yaml"), folder


def measure(sides: Mapping[str, Side], scratch: Path) -> dict[str, float]:
    """Seconds of the best round of each; they take turns, and round 0 only warms up."""
    best = dict.fromkeys(sides, float("inf"))
    for i, name in itertools.product(range(ROUNDS + 1), sides):
        home = scratch / f"{name}{i}"
        with running_home(home) as instance:
            start = time.perf_counter()
            sides[name](home, instance)
            seconds = time.perf_counter() - start
        if i > 0:
            best[name] = min(best[name], seconds)
    return best


def main() -> int:
    """Measures, prints the table, and says by the exit code whether the limits hold."""
    with tempfile.TemporaryDirectory() as scratch:
        best = measure({"plain": run_plain, "chain": run_chain}, Path(scratch))
    plain, chain = best["plain"], best["chain"]
    table = Table("side", "seconds", "limit", title=f"flight chain, warm, best of {ROUNDS}")
    table.add_row("plain script", f"{plain:.2f}", "–")
    table.add_row("mlops_assets", f"{chain:.2f}", f"{SECONDS_LIMIT:.0f}")
    table.add_row("ratio", f"{chain / plain:.2f}", f"{RATIO_LIMIT}")
    Console().print(table)
    return int(chain > SECONDS_LIMIT or chain > RATIO_LIMIT * plain)


if __name__ == "__main__":
    raise SystemExit(main())
