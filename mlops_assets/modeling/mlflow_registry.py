"""The registry of versions, and who serves: MLflow's registered models and aliases.

`challenger` is the newest registered version, `champion` the one that serves, `previous` the
champion before it. Stages are never used.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from mlops_assets.errors import RegistryError, UnsafeModelError
from mlops_assets.modeling.mlflow_connection import MODEL_DIGEST, MlflowConnection
from mlops_assets.modeling.stored_package import local_path

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"


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


class MlflowRegistry(MlflowConnection):
    """The registered versions of a tracking server."""

    def register(
        self, name: str, *, model_digest: str, uri: str, mlflow_run_id: str, tags: Mapping[str, str]
    ) -> RegisteredVersion:
        """A version of a model, with the alias `challenger` unless it is the champion.

        The same digest gives the same version: a second call changes its tags at most. Tags are
        kept whole, since later evaluations read them (`SplitRule`).

        Raises:
            RegistryError: the server refused, such as a tag of more than 100,000 characters.
        """
        from mlflow.exceptions import MlflowException

        try:
            self._ensure_registered_model(name)
            version = self.version_of_digest(name, model_digest)
            if version is None:
                created = self.client.create_model_version(
                    name, uri, mlflow_run_id, tags={**tags, MODEL_DIGEST: model_digest}
                )
                version = _registered(created)
            for key, value in tags.items():
                if version.tags.get(key) != value:
                    self.client.set_model_version_tag(name, str(version.version), key, value)
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
        """One version.

        Raises:
            RegistryError: there is none, or the server did not answer.
        """
        from mlflow.exceptions import MlflowException

        try:
            return _registered(self.client.get_model_version(name, str(version)))
        except MlflowException as error:
            is_absent = error.error_code == "RESOURCE_DOES_NOT_EXIST"
            told = f"not in {self.uri}" if is_absent else f"{self.uri} answered {error}"
            raise RegistryError(f"{name} version {version}: {told}") from error

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
        """The directory of a package, fetched into a temporary place when it is not local.

        Raises:
            UnsafeModelError: the store answers, and has nothing there.
        """
        if (local := local_path(uri)) is not None:
            yield local
            return
        with tempfile.TemporaryDirectory() as scratch:
            yield self._download(uri, scratch)

    def _download(self, uri: str, scratch: str) -> Path:
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        try:
            return Path(download_artifacts(uri, dst_path=scratch, tracking_uri=self.uri))
        except MlflowException as error:
            if get_artifact_repository(uri, tracking_uri=self.uri).list_artifacts():
                raise
            raise UnsafeModelError(f"{uri} holds no package; it was deleted") from error

    def _ensure_registered_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _registered(version: Any) -> RegisteredVersion:
    return RegisteredVersion(
        name=version.name,
        version=int(version.version),
        model_digest=version.tags.get(MODEL_DIGEST, ""),
        uri=version.source,
        mlflow_run_id=version.run_id or "",
        tags=dict(version.tags),
    )
