"""How long one tick of the retraining sensor takes: 200 documents, each with judged windows.

One code location with 200 models that serve, 30 judged windows, a state and a prediction log each;
the sensor's own function is called as Dagster's code server calls it, the first time (everything is
read) and again (only what changed is). Also printed: the heavy libraries that it loaded, which must
be none. Limit: 2 s of processor time a tick.
"""

import argparse
import sqlite3
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from rich.console import Console
from rich.table import Table

from mlops_assets.automation.retraining import retraining_sensor
from mlops_assets.component import build_pipeline
from mlops_assets.data.documents import ModelDocuments
from mlops_assets.monitoring.store import RECENT
from mlops_assets.monitoring.verdict import (
    DriftSignal,
    PerformanceSignal,
    QualitySignal,
    Signals,
    WindowFacts,
    judge_window,
)
from mlops_assets.monitoring.window_record import RecentWindow, RecentWindows
from mlops_assets.monitoring.windows import floor_to, window_at
from mlops_assets.resources.environment import build_resources
from mlops_assets.spec import ModelSpec

LIMIT_SECONDS = 2.0  # of the processor
N_WINDOWS = 30
DAY = timedelta(days=1)
HEAVY = ("mlflow", "evidently", "kserve", "sklearn", "pandas", "matplotlib", "scipy", "deltalake")


def document(name: str) -> ModelSpec:
    """A model that is watched day by day and trained again by the shipped policy."""
    return ModelSpec.model_validate(
        {
            "name": name,
            "description": "Will a customer leave?",
            "owners": ["team:growth"],
            "source": {"path": "churn.csv"},
            "features": {"numeric": ["months", "spend"], "categorical": ["plan"]},
            "target": {"column": "churned", "task": "binary", "positive": "yes"},
            "entity_key": "customer",
            "model": {"estimator": "sklearn.linear_model.LogisticRegression"},
            "retraining": {},
        }
    )


def judged(model: str, now: datetime) -> RecentWindows:
    """The last windows of a model, every fourth of them with drift."""
    windows = []
    for back in range(N_WINDOWS, 0, -1):
        window = window_at(now - back * DAY, "day")
        moved = back % 4 == 0
        told = "roc_auc 0.81 against 0.82 at the evaluation, 0.01 worse (-0.02 to +0.04)"
        signals = Signals(
            quality=QualitySignal(state="sound", reason="5,000 rows as in training"),
            drift=DriftSignal(state="found" if moved else "none", reason="1 of 3 columns moved"),
            estimated=PerformanceSignal(state="held", reason=told),
            realised=PerformanceSignal(state="held", reason=told),
        )
        facts = WindowFacts(
            model=model, model_version="1", start=window.start, end=window.end,
            n_rows=5_000, n_with_truth=5_000,
        )  # fmt: skip
        verdict = judge_window(facts, signals, minimum_rows=30)
        windows.append(RecentWindow(window=window, verdict=verdict, judged_at=window.end))
    return RecentWindows(windows=tuple(windows))


def prepare(home: Path, names: list[str]) -> None:
    """What each model left: a champion in the registry, windows, days in the log."""
    now = datetime.now(UTC)
    with sqlite3.connect(home / "mlflow.db") as registry:
        registry.execute("CREATE TABLE registered_model_aliases (name, alias, version)")
        registry.execute("CREATE TABLE model_version_tags (name, version, key, value)")
        rows = [(name, "champion", 1) for name in names]
        registry.executemany("INSERT INTO registered_model_aliases VALUES (?, ?, ?)", rows)
    documents = ModelDocuments(str(home / "monitoring"))
    for name in names:
        documents.write(name, RECENT, judged(name, now).model_dump_json(exclude_defaults=True))
        table = home / "lake" / "serving" / name.replace("_", "-") / "prediction_log"
        for back in range(1, N_WINDOWS):
            (table / f"day={floor_to(now - back * DAY, 'day'):%Y-%m-%d}").mkdir(parents=True)


def main() -> None:
    """Prepare, tick, print; exit 1 when the limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--ticks", type=int, default=5)
    arguments = parser.parse_args()
    names = [f"model_{number:03d}" for number in range(arguments.models)]
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        prepare(home, names)
        resources = build_resources({"MLOPS_HOME": scratch})
        definitions = dg.Definitions.merge(
            *[build_pipeline(document(name), home) for name in names],
            dg.Definitions(resources=resources),
        )
        sensor = retraining_sensor()
        needed = {name: resources[name] for name in sensor.required_resource_keys}
        (home / "dagster").mkdir()
        seconds, cursor = [], None
        with dg.DagsterInstance.local_temp(str(home / "dagster")) as instance:
            for _ in range(arguments.ticks):
                with dg.build_sensor_context(
                    instance=instance, cursor=cursor, definitions=definitions, resources=needed
                ) as context:
                    context.repository_def  # noqa: B018 - built once, as in a code server
                    began, cpu = time.perf_counter(), time.process_time()
                    result = sensor(context)
                    assert isinstance(result, dg.SensorResult)
                    seconds.append((time.perf_counter() - began, time.process_time() - cpu))
                cursor = result.cursor
    loaded = [name for name in HEAVY if name in sys.modules]
    table = Table(title=f"{arguments.models} models, {N_WINDOWS} judged windows each")
    for column in ("tick", "seconds", "CPU seconds"):
        table.add_column(column, justify="right")
    for number, (wall, cpu) in enumerate(seconds, start=1):
        table.add_row(str(number), f"{wall:.2f}", f"{cpu:.2f}")
    console = Console()
    console.print(table)
    console.print(f"decided for {str(cursor).count('reason')} models; heavy libraries: {loaded}")
    slowest = max(cpu for _, cpu in seconds)
    sys.exit(0 if slowest <= LIMIT_SECONDS and not loaded else 1)


if __name__ == "__main__":
    main()
