"""The versions that windows judge, as the registry knows them."""

from typing import Protocol

from mlops_assets.errors import MlopsError, MonitoringError
from mlops_assets.modeling.manifest import read_manifest
from mlops_assets.modeling.mlflow_registry import CHAMPION
from mlops_assets.modeling.tracking import Tracking
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
