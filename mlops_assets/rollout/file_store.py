"""The states of rollouts on one machine: a file for each service, beside its manifest.

`serving/rollouts/<service>.state` holds a token in its first line and the document after it. It is
written aside and switched in, under a lock that the kernel takes back when its holder dies. The
token is drawn anew with each write, so that a document that was deleted and written again is
another state.
"""

import contextlib
import re
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlops_assets.errors import RolloutError, StateConflictError
from mlops_assets.whole_files import alone, replace_file

_SUFFIX = ".state"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class FileStore:
    """`RolloutStore` in a folder; made with the first write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, service: str) -> tuple[str | None, str]:
        """The document and its token; `(None, "")` when there is none."""
        path = self._path(service)
        with _readable_errors(path):
            try:
                token, _, content = path.read_bytes().partition(b"\n")
            except FileNotFoundError:
                return None, ""
            return content.decode(), token.decode()

    def write(self, service: str, content: str, expected: str) -> str:
        """Replace the document, if it still is the one that the token names."""
        path = self._path(service)
        with _readable_errors(path), self._alone(service):
            _, found = self.read(service)
            if found != expected:
                raise StateConflictError(
                    f"{path}: another process changed the rollout of {service} meanwhile; nothing "
                    "was written"
                )
            token = uuid.uuid4().hex
            replace_file(path, f"{token}\n{content}")
            return token

    def delete(self, service: str) -> None:
        """Forget a service's document."""
        path = self._path(service)
        if not path.exists():
            return
        with _readable_errors(path), self._alone(service):
            path.unlink(missing_ok=True)

    def services(self) -> Sequence[str]:
        """Names of the services that have a document, sorted."""
        return sorted(path.stem for path in self._folder.glob(f"*{_SUFFIX}"))

    def _path(self, service: str) -> Path:
        if not _NAME.fullmatch(service):
            raise RolloutError(f"service {service!r}: expected letters, digits and dashes")
        return self._folder / f"{service}{_SUFFIX}"

    @contextlib.contextmanager
    def _alone(self, service: str) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with alone(self._folder / f".{service}.lock"):
            yield


@contextlib.contextmanager
def _readable_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        raise RolloutError(f"{path}: the state of a rollout cannot be kept: {error}") from error
