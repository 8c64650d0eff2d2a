"""MLflow as this platform uses it: one run per training, and the registry of versions.

Here: `Tracking`, the only caller of MLflow. It takes its server as an argument and touches none of
MLflow's global state, so several can live in one process.
Not here: what is logged (`training.py`, `evaluation.py`, `plots.py`, `card.py`) and when (assets).

Aliases: `challenger` is the newest registered version, `champion` the one that serves, `previous`
the champion before it. Stages are never used.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from pydantic import BaseModel, ConfigDict

from mlops_assets.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_DIGEST = "mlops.model_digest"
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
_PARAMETER_LIMIT = 100  # of MLflow's log_batch
_VALUE_LIMIT = 5_000  # characters of a tag; longer ones are refused by the server


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Which step an MLflow run belongs to. The same identity always finds the same run."""

    dagster_run_id: str
    asset: str

    def as_tags(self) -> dict[str, str]:
        """The tags that MLflow keeps it under."""
        return {"dagster.run_id": self.dagster_run_id, "dagster.asset": self.asset}


class RegisteredVersion(BaseModel):
    """A version in the registry.

    Attributes:
        name: Registered model.
        version: Its number.
        model_digest: SHA-256 of the model's canonical content.
        uri: Where the package lies, immutable.
        mlflow_run_id: Run that trained it.
        tags: What data, code and evidence made it.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    version: int
    model_digest: str
    uri: str
    mlflow_run_id: str
    tags: dict[str, str]


class Tracking:
    """Runs and registered versions of one tracking server.

    Args:
        uri: Of the tracking server and registry: `sqlite:///…` or `http://…`.
        artifact_root: Where new experiments keep artifacts; None leaves it to the server.
        ui_url: Where people look at it; links are made of it. None: no links.
    """

    def __init__(self, uri: str, artifact_root: str | None = None, ui_url: str | None = None):
        self.uri = uri
        self.artifact_root = artifact_root
        self.ui_url = ui_url

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's own client, for what this class does not cover."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    # Runs

    @contextlib.contextmanager
    def run(self, experiment: str, identity: RunIdentity, name: str) -> Iterator[str]:
        """The MLflow run of one training step, as its id.

        A retry of the same step resumes the run. Leaving the block ends it: FINISHED, FAILED when
        an exception passes, KILLED when an interrupt does.
        """
        experiment_id = self._experiment_id(experiment)
        wanted = " and ".join(f"tags.`{k}` = '{v}'" for k, v in identity.as_tags().items())
        found = self.client.search_runs([experiment_id], wanted, max_results=1)
        if found:
            run_id = str(found[0].info.run_id)
        else:
            created = self.client.create_run(experiment_id, tags=identity.as_tags(), run_name=name)
            run_id = str(created.info.run_id)
        with self.resumed(run_id):
            yield run_id

    @contextlib.contextmanager
    def resumed(self, run_id: str) -> Iterator[str]:
        """An existing run, running again until the block is left; ends as `run` does."""
        self.client.update_run(run_id, status="RUNNING")
        try:
            yield run_id
        except Exception:
            self.client.set_terminated(run_id, "FAILED")
            raise
        except BaseException:  # KeyboardInterrupt, SystemExit, Dagster's interrupt
            self.client.set_terminated(run_id, "KILLED")
            raise
        self.client.set_terminated(run_id, "FINISHED")

    def log_parameters(self, run_id: str, parameters: Mapping[str, object]) -> None:
        """Parameters of a run. A resumed run keeps those that it has."""
        from mlflow.entities import Param

        known = self.client.get_run(run_id).data.params
        new = [Param(k, str(v)[:_VALUE_LIMIT]) for k, v in parameters.items() if k not in known]
        for start in range(0, len(new), _PARAMETER_LIMIT):
            self.client.log_batch(run_id, params=new[start : start + _PARAMETER_LIMIT])

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], model_id: str) -> None:
        """Metrics of a run, linked to the logged model that they judge."""
        from mlflow.entities import Metric

        now = self._now_ms()
        entities = [Metric(k, float(v), now, 0, model_id=model_id) for k, v in metrics.items()]
        for start in range(0, len(entities), _PARAMETER_LIMIT):
            self.client.log_batch(run_id, metrics=entities[start : start + _PARAMETER_LIMIT])

    def log_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Tags of a run; a present one is replaced."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(k, v[:_VALUE_LIMIT]) for k, v in tags.items()])

    def log_dataset(self, run_id: str, name: str, digest: str, source: str, schema: str) -> None:
        """The data that a run was trained on, as MLflow's dataset input."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        self.client.log_inputs(
            run_id,
            [
                DatasetInput(
                    Dataset(
                        name=name,
                        digest=digest[:36],  # MLflow's limit; the whole one is a tag of the run
                        source_type="delta",
                        source=f'{{"uri": "{source}"}}',
                        schema=schema,
                    ),
                    [InputTag("mlflow.data.context", "training")],
                )
            ],
        )

    def log_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Artifacts of a run, by path. A present one is replaced."""
        with tempfile.TemporaryDirectory() as scratch:
            for path, content in files.items():
                file = Path(scratch, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            self.client.log_artifacts(run_id, scratch)

    def log_package(self, run_id: str, package: Path, model_digest: str) -> tuple[str, str]:
        """A packaged model as MLflow's logged model of a run.

        Returns:
            Its MLflow id and the URI of the directory, which never changes.
        """
        experiment_id = self.client.get_run(run_id).info.experiment_id
        logged = self.client.create_logged_model(
            experiment_id,
            name="model",
            source_run_id=run_id,
            model_type="sklearn",
            tags={MODEL_DIGEST: model_digest},
        )
        try:
            self.client.log_model_artifacts(logged.model_id, str(package))
        except BaseException:
            self.client.finalize_logged_model(logged.model_id, "FAILED")
            raise
        self.client.finalize_logged_model(logged.model_id, "READY")
        return str(logged.model_id), str(logged.artifact_location)

    def run_url(self, run_id: str) -> str | None:
        """The page of a run, or None when nobody serves pages."""
        if self.ui_url is None:
            return None
        experiment_id = self.client.get_run(run_id).info.experiment_id
        return f"{self.ui_url.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"

    def kill_abandoned_runs(self, alive: Sequence[str]) -> list[str]:
        """Marks KILLED every RUNNING run of a Dagster run that is not alive; returns their ids."""
        killed = []
        experiments = [e.experiment_id for e in self.client.search_experiments()]
        running = "attributes.status = 'RUNNING'"
        for run in self.client.search_runs(experiments, running, max_results=1_000):
            owner = run.data.tags.get("dagster.run_id")
            if owner is not None and owner not in alive:
                self.client.set_terminated(run.info.run_id, "KILLED")
                killed.append(str(run.info.run_id))
        return killed

    # Registry

    def register(
        self, name: str, *, model_digest: str, uri: str, mlflow_run_id: str, tags: Mapping[str, str]
    ) -> RegisteredVersion:
        """A version of a model, with the alias `challenger` unless it is the champion.

        The same digest gives the same version: a second call changes its tags at most.

        Raises:
            RegistryError: the server refused.
        """
        from mlflow.exceptions import MlflowException

        try:
            self._ensure_registered_model(name)
            version = self.version_of_digest(name, model_digest)
            if version is None:
                created = self.client.create_model_version(
                    name, source=uri, run_id=mlflow_run_id, tags={MODEL_DIGEST: model_digest}
                )
                version = _registered(created)
            for key, value in tags.items():
                if version.tags.get(key) != value[:_VALUE_LIMIT]:
                    number = str(version.version)
                    self.client.set_model_version_tag(name, number, key, value[:_VALUE_LIMIT])
            champion = self.version_of_alias(name, CHAMPION)
            if champion is None or champion.version != version.version:
                self.client.set_registered_model_alias(name, CHALLENGER, str(version.version))
        except MlflowException as error:
            raise RegistryError(f"{name}: {self.uri} refused to register: {error}") from error
        return self.version(name, version.version)

    def promote(self, name: str, version: int) -> None:
        """Makes a version champion, the former champion `previous`. Safe to repeat and to be killed
        between its steps: `previous` is written first, and only while it still is the champion."""
        champion = self.version_of_alias(name, CHAMPION)
        if champion is None or champion.version != version:
            if champion is not None:
                self.client.set_registered_model_alias(name, PREVIOUS, str(champion.version))
            self.client.set_registered_model_alias(name, CHAMPION, str(version))
        challenger = self.version_of_alias(name, CHALLENGER)
        if challenger is not None and challenger.version == version:
            self.client.delete_registered_model_alias(name, CHALLENGER)

    def remove_aliases(self, name: str) -> None:
        """Takes every alias of ours off a registered model. The versions stay."""
        for alias in (CHALLENGER, CHAMPION, PREVIOUS):
            if self.version_of_alias(name, alias) is not None:
                self.client.delete_registered_model_alias(name, alias)

    def version(self, name: str, version: int) -> RegisteredVersion:
        """One version. Raises RegistryError when there is none."""
        from mlflow.exceptions import MlflowException

        try:
            return _registered(self.client.get_model_version(name, str(version)))
        except MlflowException as error:
            raise RegistryError(f"{name} version {version}: not in {self.uri}") from error

    def version_of_alias(self, name: str, alias: str) -> RegisteredVersion | None:
        """The version that an alias names, or None."""
        from mlflow.exceptions import MlflowException

        try:
            return _registered(self.client.get_model_version_by_alias(name, alias))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None  # MLflow answers the latter for an alias that is not there
            raise RegistryError(f"{name}@{alias}: {self.uri} answered {error}") from error

    def version_of_digest(self, name: str, model_digest: str) -> RegisteredVersion | None:
        """The oldest version with this content, or None."""
        found = self.client.search_model_versions(
            f"name = '{name}' and tags.`{MODEL_DIGEST}` = '{model_digest}'"
        )
        return min(map(_registered, found), key=lambda v: v.version, default=None)

    @contextlib.contextmanager
    def package(self, uri: str) -> Iterator[Path]:
        """The directory of a package, fetched into a temporary place when it is not local."""
        parsed = urlparse(uri)
        if parsed.scheme in ("", "file"):
            yield Path(unquote(parsed.path))
            return
        from mlflow.artifacts import download_artifacts

        with tempfile.TemporaryDirectory() as scratch:
            yield Path(download_artifacts(uri, dst_path=scratch, tracking_uri=self.uri))

    def _experiment_id(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(name)
        if found is not None:
            if found.lifecycle_stage != "active":
                self.client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        location = f"{self.artifact_root.rstrip('/')}/{name}" if self.artifact_root else None
        try:
            return str(self.client.create_experiment(name, artifact_location=location))
        except MlflowException:  # another process was first
            found = self.client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def _ensure_registered_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    @staticmethod
    def _now_ms() -> int:
        from mlflow.utils.time import get_current_time_millis

        return int(get_current_time_millis())


def _registered(version: Any) -> RegisteredVersion:
    return RegisteredVersion(
        name=version.name,
        version=int(version.version),
        model_digest=version.tags.get(MODEL_DIGEST, ""),
        uri=version.source,
        mlflow_run_id=version.run_id or "",
        tags=dict(version.tags),
    )
