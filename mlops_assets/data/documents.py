"""Small texts about models, each written whole or not at all: a local folder or object storage.

`<root>/<model>/<name>.json`. On a disk a text is written aside, synced and switched in, under a
lock of the model that the kernel takes back when its holder dies. An object store's put is all or
nothing; there the last of two writers wins.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mlops_assets.data.filesystems import open_filesystem
from mlops_assets.errors import DocumentError, LakeError
from mlops_assets.whole_files import alone, replace_file

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
Stamp = tuple[float, int]


class ModelDocuments:
    """Texts by model and name.

    Every method raises `DocumentError` when a text cannot be read or written, or a name is none.

    Args:
        root: A folder, or the URI of a prefix in object storage.
    """

    def __init__(self, root: str) -> None:
        self._root = root.removeprefix("file://").rstrip("/")
        self._is_local = "://" not in self._root

    def read(self, model: str, name: str) -> str | None:
        """A text; None when there is none."""
        path = self.path(model, name)
        with _readable_errors(path):
            try:
                if self._is_local:
                    return Path(path).read_text(encoding="utf-8")
                filesystem, inside = open_filesystem(path)
                return bytes(filesystem.cat_file(inside)).decode()
            except FileNotFoundError:
                return None

    def stamp(self, model: str, name: str) -> Stamp | None:
        """Changes whenever a local text does; None when it is not there, or nobody can say."""
        if not self._is_local:
            return None
        try:
            found = Path(self.path(model, name)).stat()
        except OSError:
            return None
        return found.st_mtime, found.st_ino

    def write(self, model: str, name: str, text: str) -> None:
        """Replace a text, all or nothing."""
        path = self.path(model, name)
        with _readable_errors(path):
            if self._is_local:
                replace_file(Path(path), text)
            else:
                filesystem, inside = open_filesystem(path)
                filesystem.pipe_file(inside, text.encode())

    def delete(self, model: str, name: str) -> bool:
        """Forget a text; whether there was one."""
        path = self.path(model, name)
        with _readable_errors(path):
            try:
                if self._is_local:
                    Path(path).unlink()
                    return True
                filesystem, inside = open_filesystem(path)
                if not filesystem.exists(inside):
                    return False
                filesystem.rm_file(inside)
            except FileNotFoundError:
                return False
            return True

    def models(self) -> Sequence[str]:
        """Names of the models that have a text, sorted."""
        return sorted(name for name, is_folder in self._entries(self._root) if is_folder)

    def _entries(self, place: str) -> list[tuple[str, bool]]:
        """What a folder holds: names, and whether each is a folder. Nothing when it is not there;
        names that begin with a dot are no texts."""
        with _readable_errors(place):
            try:
                if self._is_local:
                    found = [(path.name, path.is_dir()) for path in Path(place).iterdir()]
                else:
                    filesystem, inside = open_filesystem(place)
                    listed: list[dict[str, Any]] = filesystem.ls(inside, detail=True)
                    found = [(_last_part(e["name"]), e["type"] == "directory") for e in listed]
            except FileNotFoundError:
                return []
        return [(name, is_folder) for name, is_folder in found if not name.startswith(".")]

    @contextlib.contextmanager
    def alone(self, model: str) -> Iterator[None]:
        """No other process of this machine is in here for the same model."""
        if not self._is_local:
            yield
            return
        folder = Path(self._root) / model
        with contextlib.ExitStack() as held:
            with _readable_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(alone(folder / ".lock"))
            yield

    def path(self, model: str, name: str) -> str:
        """Where a text stands."""
        for part in (model, *name.split("/")):
            if not _NAME.fullmatch(part):
                raise DocumentError(f"{model}/{name}: expected letters, digits, dashes and dots")
        return f"{self._root}/{model}/{name}.json"


def _last_part(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


@contextlib.contextmanager
def _readable_errors(path: object) -> Iterator[None]:
    try:
        yield
    except (LakeError, OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"{path}: it cannot be read or written: {error}") from error
