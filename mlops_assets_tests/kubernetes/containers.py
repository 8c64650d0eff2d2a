"""The predictor container of a pod: our own predictor application, inside the test's process.

It is given the pod's arguments, loads the package that the storage initializer would have fetched,
and refuses or answers as the process in a pod does. Starting takes milliseconds.
"""

import tempfile
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlops_assets.data.filesystems import open_filesystem
from mlops_assets.errors import MlopsError
from mlops_assets.serving.predictor.__main__ import read_arguments
from mlops_assets.serving.predictor.app import PredictorApp
from mlops_assets.serving.predictor.execution import Execution
from mlops_assets.serving.predictor.metrics import Metrics
from mlops_assets.serving.predictor.model import load_model
from mlops_assets_tests.kubernetes.kinds import Object
from mlops_assets_tests.serving.keys import trusted_keys
from mlops_assets_tests.serving.rsgi import Response, call

MODEL_DIR = "/mnt/models"


class ContainerFailed(Exception):  # noqa: N818 - what a container's end is called
    """The process ended; its message is the last line of its log."""


def fetch(uri: str, scratch: Path) -> Path:
    """What the storage initializer does: a folder with what lies at an address."""
    if urlsplit(uri).scheme in ("", "file"):
        return Path(unquote(urlsplit(uri).path))
    filesystem, path = open_filesystem(uri)
    for name in filesystem.find(path):
        target = scratch / name.removeprefix(path).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(filesystem.cat_file(name))
    return scratch


class PredictorContainer:
    """One predictor that answers."""

    def __init__(self, pod: Object) -> None:
        spec = pod["spec"]
        uri, _ = spec["initContainers"][0]["args"]
        self._scratch = tempfile.TemporaryDirectory()
        folder = fetch(uri, Path(self._scratch.name))
        arguments = [
            value.replace(MODEL_DIR, str(folder)) for value in spec["containers"][0]["args"]
        ]
        settings = read_arguments([*arguments, f"--require-signed={trusted_keys()}"])
        try:
            model = load_model(
                Path(settings.model_dir),
                model_digest=settings.model_digest,
                trusted_types=settings.trusted_types,
                require_signed=settings.require_signed,
            )
        except MlopsError as error:
            raise ContainerFailed(f"2026-01-01T00:00:00+0000 ERROR {error}") from error
        execution = Execution(model.scorer, max_waiting=8, max_wait_seconds=5)
        self._app = PredictorApp(settings, model, execution, Metrics(1))
        self._lock = threading.Lock()  # one event loop at a time

    def answer(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        """The predictor's answer to one request."""
        with self._lock:
            return call(self._app, method, path, body, headers)
