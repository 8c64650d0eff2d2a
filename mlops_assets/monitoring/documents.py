"""Small texts about models, each written whole or not at all: a local folder or object storage.

`<root>/<model>/<name>.json`. On a disk a text is written aside, synced and switched in, under a
lock of the model that the kernel takes back when its holder dies. An object store's put is all or
nothing; there the last of two writers wins.
"""

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from upath import UPath

from mlops_assets.errors import MonitoringError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
Stamp = tuple[float, int]


class ModelDocuments:
    """Texts by model and name.

    Args:
        root: A folder, or the URI of a prefix in object storage.
    """

    def __init__(self, root: str) -> None:
        self._root = UPath(root)
        self._is_local = self._root.protocol in ("", "file")

    def read(self, model: str, name: str) -> str | None:
        """A text; None when there is none."""
        path = self._path(model, name)
        with _readable_errors(path):
            try:
                return str(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                return None

    def stamp(self, model: str, name: str) -> Stamp | None:
        """Changes whenever a local text does; None when it is not there, or nobody can say."""
        if not self._is_local:
            return None
        try:
            found = Path(str(self._path(model, name))).stat()
        except OSError:
            return None
        return found.st_mtime, found.st_ino

    def write(self, model: str, name: str, text: str) -> None:
        """Replace a text, all or nothing."""
        path = self._path(model, name)
        with _readable_errors(path):
            if self._is_local:
                _switch(Path(str(path)), text.encode())
            else:
                path.write_text(text, encoding="utf-8")

    def delete(self, model: str, name: str) -> bool:
        """Forget a text; whether there was one."""
        path = self._path(model, name)
        with _readable_errors(path):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
            return True

    def names(self, model: str, folder: str) -> Sequence[str]:
        """Names of the texts in a folder of a model, sorted."""
        place = self._root / model / folder
        with _readable_errors(place):
            return sorted(path.name.removesuffix(".json") for path in place.glob("*.json"))

    def models(self) -> Sequence[str]:
        """Names of the models that have a text, sorted."""
        with _readable_errors(self._root):
            if not self._root.exists():
                return []
            return sorted(path.name for path in self._root.iterdir() if path.is_dir())

    @contextlib.contextmanager
    def alone(self, model: str) -> Iterator[None]:
        """No other process of this machine is in here for the same model."""
        if not self._is_local:
            yield
            return
        folder = Path(str(self._root / model))
        with _readable_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / ".lock").open("a")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def path(self, model: str, name: str) -> str:
        """Where a text stands."""
        return str(self._path(model, name))

    def _path(self, model: str, name: str) -> UPath:
        for part in (model, *name.split("/")):
            if not _NAME.fullmatch(part):
                raise MonitoringError(f"{model}/{name}: expected letters, digits, dashes and dots")
        return self._root / model / f"{name}.json"


def _switch(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _readable_errors(path: object) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        raise MonitoringError(f"{path}: it cannot be read or written: {error}") from error
