"""MLflow runs: one for each training, which ends as its step does.

Here: what a run keeps (parameters, metrics, dataset input, files, the packaged model).
Not here: what is logged (`training.py`, `evaluation.py`, `plots.py`, `card.py`) and when (assets).
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.errors import RegistryError
from mlops_assets.modeling.mlflow_connection import MODEL_DIGEST, MlflowConnection
from mlops_assets.modeling.signing import sign_package
from mlops_assets.modeling.stored_package import local_path

_BATCH_LIMIT = 100  # of MLflow's log_batch
_VALUE_LIMIT = 5_000  # characters of a parameter or tag that are kept; MLflow refuses 6,001


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Which step an MLflow run belongs to. The same identity always finds the same run."""

    dagster_run_id: str
    asset: str

    def as_tags(self) -> dict[str, str]:
        """The tags that MLflow keeps it under."""
        return {"dagster.run_id": self.dagster_run_id, "dagster.asset": self.asset}


class MlflowRuns(MlflowConnection):
    """The runs of a tracking server."""

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
        for start in range(0, len(new), _BATCH_LIMIT):
            self.client.log_batch(run_id, params=new[start : start + _BATCH_LIMIT])

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], model_id: str) -> None:
        """Metrics of a run, linked to the logged model that they judge."""
        from mlflow.entities import Metric

        now = self._now_ms()
        entities = [Metric(k, float(v), now, 0, model_id=model_id) for k, v in metrics.items()]
        for start in range(0, len(entities), _BATCH_LIMIT):
            self.client.log_batch(run_id, metrics=entities[start : start + _BATCH_LIMIT])

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
                        source=json.dumps({"uri": source}),
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

    def read_file(self, run_id: str, path: str) -> bytes:
        """An artifact of a run.

        Raises:
            RegistryError: the run is gone, or it has no such file.
        """
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            uri = str(self.client.get_run(run_id).info.artifact_uri)
            if (local := local_path(uri)) is not None:
                return (local / path).read_bytes()
            with tempfile.TemporaryDirectory() as scratch:
                found = download_artifacts(f"{uri}/{path}", dst_path=scratch, tracking_uri=self.uri)
                return Path(found).read_bytes()
        except (MlflowException, OSError) as error:
            raise RegistryError(f"run {run_id} of {self.uri} has no {path}: {error}") from error

    def keep_newest(self, run_id: str, folder: str, most: int) -> None:
        """Delete artifacts of a folder of a run, but for the last ones by name."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        names = sorted(entry.path for entry in self.client.list_artifacts(run_id, folder))
        if len(names) > most:
            uri = self.client.get_run(run_id).info.artifact_uri
            repository = get_artifact_repository(uri, tracking_uri=self.uri)
            for name in names[:-most]:
                repository.delete_artifacts(name)

    def log_package(self, run_id: str, package: Path, model_digest: str) -> tuple[str, str]:
        """A packaged model as MLflow's logged model of a run, signed before it is stored.

        Returns:
            Its MLflow id and the URI of the directory, which never changes.

        Raises:
            SigningKeyError: there is no key to sign it with, so no predictor would take it.
        """
        sign_package(package, self.require_signing_key())
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

    @staticmethod
    def _now_ms() -> int:
        from mlflow.utils.time import get_current_time_millis

        return int(get_current_time_millis())
