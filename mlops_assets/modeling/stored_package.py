"""A package where it is stored: a folder of this machine, or a URI that MLflow can reach.

Credentials and endpoints of object storage come from the environment, as MLflow reads them.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

from mlops_assets.errors import RegistryError
from mlops_assets.modeling.signing import SIGNATURE_FILE, sign_package


def local_path(uri: str) -> Path | None:
    """The place on this machine that a path or `file:` URI names; None for one elsewhere.

    >>> local_path("file:///models/50%25"), local_path("/models/50%25"), local_path("s3://models")
    (PosixPath('/models/50%'), PosixPath('/models/50%25'), None)
    """
    parsed = urlparse(uri)
    if not parsed.scheme:
        return Path(uri)
    return Path(unquote(parsed.path)) if parsed.scheme == "file" else None


@contextlib.contextmanager
def fetched(uri: str) -> Iterator[Path]:
    """The directory of a package, fetched into a temporary place when it is not local.

    Raises:
        RegistryError: it cannot be fetched.
    """
    if (local := local_path(uri)) is not None:
        yield local
        return
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory() as scratch:
        try:
            place = Path(download_artifacts(uri, dst_path=scratch))
        except Exception as error:  # of whichever library reaches that kind of storage
            raise RegistryError(f"{uri} cannot be fetched: {error}") from error
        yield place


def sign_stored(uri: str, signing_key: Path) -> str:
    """Sign a package where it is stored; only its signature is written. Returns the key's id.

    Raises:
        RegistryError: it cannot be fetched, or the signature not be stored.
        UnsafeModelError, SigningKeyError: as `sign_package`.
    """
    with fetched(uri) as directory:
        key = sign_package(directory, signing_key)
        if local_path(uri) is None:
            _store(directory / SIGNATURE_FILE, uri)
    return key


def _store(signature: Path, uri: str) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        get_artifact_repository(uri).log_artifact(str(signature))
    except Exception as error:  # of whichever library reaches that kind of storage
        raise RegistryError(f"{uri}: the signature cannot be stored: {error}") from error
