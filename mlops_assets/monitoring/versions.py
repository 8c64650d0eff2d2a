"""The versions that windows judge, as the registry knows them."""

from typing import Protocol

import polars as pl

from mlops_assets.errors import MlopsError, MonitoringError
from mlops_assets.modeling.manifest import read_manifest
from mlops_assets.modeling.mlflow_registry import CHAMPION
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.monitoring.at_evaluation import SAMPLE_FILE
from mlops_assets.monitoring.evidently_page import read_sample
from mlops_assets.monitoring.references import References, read_references


class Versions(Protocol):
    """Which version serves, and what each left at its evaluation."""

    def champion(self) -> str | None:
        """The version that serves; None: there is none."""

    def references(self, version: str) -> References:
        """What a version's windows are compared with. `MonitoringError`: it is gone."""


class TrackedVersions:
    """`Versions` of one registered model in MLflow.

    Args:
        tracking: The tracking server.
        name: Of the registered model.
    """

    def __init__(self, tracking: Tracking, name: str) -> None:
        self._tracking, self._name = tracking, name
        self._known: dict[str, References] = {}

    def champion(self) -> str | None:
        """The version with that alias."""
        found = self._tracking.version_of_alias(self._name, CHAMPION)
        return None if found is None else str(found.version)

    def sample(self, mlflow_run_id: str) -> pl.DataFrame:
        """Some of the rows that a version was trained on, by the run that trained it.

        Raises:
            RegistryError: the run is gone, or left none.
        """
        return read_sample(self._tracking.read_file(mlflow_run_id, SAMPLE_FILE))

    def references(self, version: str) -> References:
        """Read once; they never change."""
        if version not in self._known:
            self._known[version] = self._read(version)
        return self._known[version]

    def _read(self, version: str) -> References:
        try:
            found = self._tracking.version(self._name, int(version))
            with self._tracking.package(found.uri) as directory:
                manifest = read_manifest(directory)
            run_id = found.mlflow_run_id
            return read_references(
                version, manifest, lambda name: self._tracking.read_file(run_id, name), run_id
            )
        except MonitoringError:
            raise
        except (MlopsError, OSError, ValueError) as error:
            raise MonitoringError(
                f"version {version} of {self._name} cannot be compared with anything: {error}"
            ) from error
