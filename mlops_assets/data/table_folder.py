"""The files of one Delta table's folder, on a local path or in object storage by the same code."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import LakeError

if TYPE_CHECKING:
    from pyarrow.fs import PyFileSystem


class TableFolder:
    """Reads, writes and removes files of a table, through Delta's own storage handler.

    Paths are relative to the table. Every method raises `LakeError` when the store refuses.
    """

    def __init__(self, uri: str, storage_options: dict[str, str]) -> None:
        self.uri = uri
        self.storage_options = storage_options
        self._local = None if "://" in uri else Path(uri)

    def open_output(self, path: str) -> Any:
        """A stream to a new file, which is there as a whole once the stream is closed."""
        with store_errors(self.uri):
            # Without a buffer between, pyarrow hands Delta's file an object that is not bytes.
            return self._filesystem.open_output_stream(path, buffer_size=2**16)

    def write(self, path: str, content: bytes) -> None:
        """Writes a whole file."""
        with store_errors(self.uri), self.open_output(path) as stream:
            stream.write(content)

    def read(self, path: str) -> bytes:
        """The content of a file."""
        with store_errors(self.uri), self._filesystem.open_input_stream(path) as stream:
            content: bytes = stream.read()
        return content

    def size(self, path: str) -> int:
        """Size of a file in bytes."""
        with store_errors(self.uri):
            size: int = self._filesystem.get_file_info(path).size
        return size

    def files(self, folder: str) -> list[str]:
        """Paths of the files directly in a folder of the table; none when there is no folder."""
        from pyarrow.fs import FileSelector, FileType

        with store_errors(self.uri):
            found = self._filesystem.get_file_info(FileSelector(folder, allow_not_found=True))
        return [file.path for file in found if file.type == FileType.File]

    def delete(self, path: str) -> None:
        """Removes a file, if it is there."""
        from pyarrow.fs import FileType

        with store_errors(self.uri):
            if self._filesystem.get_file_info(path).type != FileType.NotFound:
                self._filesystem.delete_file(path)

    def delete_unfinished(self, text: str) -> None:
        """Removes half-written files whose name holds a text.

        The store's local driver writes to `<name>#<number>` and does not list such files. In object
        storage an unfinished upload is no file; a lifecycle rule of the bucket ends it.
        """
        if self._local is not None:
            for file in self._local.glob(f"*{text}*#*"):
                file.unlink(missing_ok=True)

    @cached_property
    def _filesystem(self) -> "PyFileSystem":
        from deltalake.exceptions import DeltaError
        from deltalake.fs import DeltaStorageHandler
        from pyarrow.fs import PyFileSystem

        try:
            if self._local is not None:
                self._local.mkdir(parents=True, exist_ok=True)
            return PyFileSystem(DeltaStorageHandler(self.uri, self.storage_options))
        except DeltaError as error:
            raise LakeError(f"{self.uri} cannot be opened: {error}") from error


@contextmanager
def store_errors(name: str) -> Iterator[None]:
    """Translates what goes wrong with a store: unreachable, forbidden, full."""
    try:
        yield
    except OSError as error:
        raise LakeError(f"{name} cannot be read or written: {error}") from error
