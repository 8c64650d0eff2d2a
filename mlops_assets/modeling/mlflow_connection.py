"""One MLflow tracking server and registry: where it is, and MLflow's own client for it.

It takes its server as an argument and touches none of MLflow's global state, so several can live
in one process.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import SigningKeyError
from mlops_assets.modeling.mlflow_database import ensure_database
from mlops_assets.modeling.signing import TrustedKeys, keys_of_signer

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_DIGEST = "mlops.model_digest"
"""Tag of logged models and of versions: SHA-256 of the model's canonical content."""

_SQLITE = "sqlite:///"


class MlflowConnection:
    """A tracking server and registry. A SQLite file that is not there is made, whole, on first use.

    Args:
        uri: Of the tracking server and registry: `sqlite:///…` or `http://…`.
        artifact_root: Where new experiments keep artifacts; None leaves it to the server.
        ui_url: Where people look at it; links are made of it. None: no links.
        signing_key: Private key with which packages are signed before they are stored; None stores
            none.
        trusted_keys: Folder of public keys whose signatures count too, such as those of a key that
            was replaced; None: only the signing key's own do.
    """

    def __init__(
        self,
        uri: str,
        artifact_root: str | None = None,
        ui_url: str | None = None,
        signing_key: Path | None = None,
        trusted_keys: Path | None = None,
    ) -> None:
        self.uri = uri
        self.artifact_root = artifact_root
        self.ui_url = ui_url
        self.signing_key = signing_key
        self.trusted_keys = trusted_keys

    def require_signing_key(self) -> Path:
        """The key that signs and, by its public half, says whose packages may be loaded.

        Raises:
            SigningKeyError: there is none, so no predictor would take a model from here.
        """
        if self.signing_key is None:
            raise SigningKeyError(
                f"{self.uri}: no signing key; MLOPS_SIGNING_KEY names the file of one, and "
                "`mlops-assets keys new` makes it"
            )
        return self.signing_key

    def read_trusted(self) -> TrustedKeys:
        """The keys, one of which must have signed a package of the store before it is loaded.

        Raises:
            SigningKeyError: there is no signing key, or a key cannot be read.
        """
        return keys_of_signer(self.require_signing_key(), self.trusted_keys)

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's own client, for what this class does not cover."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
        from mlflow import MlflowClient

        if self.uri.startswith(_SQLITE):
            ensure_database(Path(self.uri.removeprefix(_SQLITE).partition("?")[0]))
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
