"""Where the embedded platform keeps everything: one folder, `MLOPS_HOME`.

| path under the home | what lies there | who writes it |
|---|---|---|
| `lake/`, `records/` | datasets and training frames; what the assets made | the pipelines |
| `mlflow.db`, `mlartifacts/` | runs, registry, packages | the pipelines, the MLflow server |
| `keys/` | the key pair that signs models | `up`, `keys` |
| `serving/` | InferenceService manifests and their status | the pipelines, the gateway |
| `monitoring/` | verdicts on windows, state of retraining, clocks | the sensor's runs, `retrain` |
| `replays/`, `backtests/` | how far a past was played; results | `replay`, `backtest` |
| `dagster/` | DAGSTER_HOME: runs, events, schedules | Dagster |
| `logs/` | one file for each process, the former ones as `.1` to `.3` | `up` |
| `platform.lock` | who runs here | `up` |
| `results.json`, `retired.json` | last results, retired models | `up`, `retire` |
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.errors import PlatformError


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one home. `root` is absolute."""

    root: Path

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME."""
        return self.root / "dagster"

    @property
    def mlflow_database(self) -> Path:
        """The SQLite file behind the MLflow server and the registry."""
        return self.root / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """Where MLflow keeps artifacts."""
        return self.root / "mlartifacts"

    @property
    def keys(self) -> Path:
        """The key pair that signs models."""
        return self.root / "keys"

    @property
    def logs(self) -> Path:
        """One log file for each process."""
        return self.root / "logs"

    @property
    def lock(self) -> Path:
        """The file that a running platform holds a lock on."""
        return self.root / "platform.lock"

    @property
    def results(self) -> Path:
        """What the last `up` found out about each model."""
        return self.root / "results.json"

    @property
    def retired(self) -> Path:
        """The models that `retire` has taken out of service."""
        return self.root / "retired.json"


def project_folder(environment: Mapping[str, str]) -> Path:
    """The folder with `dagster.yaml` and `workspace.yaml`.

    `MLOPS_PROJECT` names it for a project that brings its own; else it is the one that this package
    stands in.

    Raises:
        PlatformError: it lacks one of the two files.
    """
    default = Path(__file__).parents[2]
    folder = Path(environment.get("MLOPS_PROJECT") or default).resolve()
    for name in ("dagster.yaml", "workspace.yaml"):
        if not (folder / name).is_file():
            raise PlatformError(
                f"{folder} has no {name}; run from a checkout, or set MLOPS_PROJECT to a folder "
                "with dagster.yaml and workspace.yaml"
            )
    return folder


def home_at(root: Path | None, environment: Mapping[str, str], project: Path) -> Home:
    """The home in force: the one asked for, else `MLOPS_HOME`, else `.mlops` in the project."""
    declared = environment.get("MLOPS_HOME")
    chosen = root or (Path(declared) if declared else project / ".mlops")
    return Home(Path(os.path.abspath(chosen)))  # noqa: PTH100 - keeps links as the user wrote them


def prepare_home(home: Home) -> None:
    """Creates the folders that are missing. Safe to repeat.

    Raises:
        PlatformError: something else stands in the way, or it cannot be written.
    """
    folders = (home.root, home.logs, home.mlflow_artifacts)
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PlatformError(
                f"{folder} cannot be the platform's folder ({error.strerror}); choose another with "
                "--home or MLOPS_HOME"
            ) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PlatformError(f"{folder} cannot be written; its owner must be able to")
