"""The files behind a path, a glob, a folder or a URL, and what tells that they changed.

A file at a URL is copied to a scratch folder before it is read, by fsspec: one code for every
store, bounded memory, and checks and digest see the same bytes. So is a compressed file.
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from mlops_assets.data.filesystems import open_filesystem
from mlops_assets.data.scratch import new_scratch_folder
from mlops_assets.errors import LakeError, SourceError
from mlops_assets.spec import SourceSpec

Format = Literal["csv", "parquet", "delta"]

_ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz"}
_STAMPS = ("mtime", "LastModified", "last_modified", "ETag", "etag", "updated", "created")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source.

    Attributes:
        name: How messages call it: its path or URL.
        stamp: Changes when the file does; None when its store does not tell.
    """

    name: str
    stamp: str | None


def address_of(spec: SourceSpec, *, base: Path) -> str:
    """The path of a source as an absolute path or a URL."""
    path = spec.path or ""
    if "://" in path:
        return path.removeprefix("file://")
    return str((base / Path(path).expanduser()).absolute())


def find_files(spec: SourceSpec, *, base: Path) -> list[SourceFile]:
    """The files of a source, sorted by name. Of a folder: all below it with a known ending.

    Raises:
        SourceError: there is none, or the store is unreachable.
    """
    address = address_of(spec, base=base)
    filesystem, path = _filesystem(address)
    with _reachable(address):
        if any(sign in path for sign in "*?["):
            found = [str(one) for one in filesystem.glob(path) if _is_shown(filesystem, str(one))]
            problem = f"no file matches {address}"
        elif filesystem.isdir(path):
            found = [str(one) for one in filesystem.find(path) if _is_data(str(one), path)]
            problem = f"the folder {address} holds no CSV or Parquet file"
        else:
            found = [path] if filesystem.exists(path) else []
            problem = f"there is no file {address}"
        if not found:
            where = "" if "://" in address else f"; relative paths start at {base}"
            raise SourceError(f"source.path: {problem}{where}")
        return [_source_file(filesystem, one) for one in sorted(found)]


def format_of(spec: SourceSpec, *, base: Path) -> Format:
    """The format of a source: the declared one, or what its ending or its `_delta_log` tells.

    Raises:
        SourceError: neither tells, or the files have different endings.
    """
    if spec.format is not None:
        return spec.format
    address = address_of(spec, base=base)
    filesystem, path = _filesystem(address)
    with _reachable(address):
        if filesystem.isdir(f"{path.rstrip('/')}/_delta_log"):
            return "delta"
    formats = {_ENDINGS.get(_ending(file.name)) for file in find_files(spec, base=base)}
    known = formats.pop()
    if known is None or formats:
        raise SourceError(
            f"source.format: the format of {address} cannot be told from its ending; "
            "set it to csv, parquet or delta"
        )
    return known


def fingerprint_of(spec: SourceSpec, files: Sequence[SourceFile]) -> str | None:
    """A digest of how files are read and of their names, sizes and times."""
    if any(file.stamp is None for file in files):
        return None
    how = spec.model_dump_json(exclude={"partitions"})
    stamps = [f"{file.name} {file.stamp}" for file in files]
    return hashlib.sha256("\n".join([how, *stamps]).encode()).hexdigest()


def local_copies(files: Sequence[SourceFile]) -> list[Path]:
    """Each file as a plain file of this machine: itself, or a copy that goes with the process.

    Raises:
        SourceError: a file cannot be read.
    """
    return [_local_copy(file) for file in files]


def _local_copy(file: SourceFile) -> Path:
    ending = PurePosixPath(file.name).suffix
    if "://" not in file.name and ending not in _COMPRESSED:
        return Path(file.name)
    filesystem, path = _filesystem(file.name)
    name = PurePosixPath(file.name).name.removesuffix(ending if ending in _COMPRESSED else "")
    copy = new_scratch_folder() / name
    with (
        _reachable(file.name),
        filesystem.open(path, "rb", compression=_COMPRESSED.get(ending)) as stream,
        copy.open("wb") as written,
    ):
        shutil.copyfileobj(stream, written, 4 * 2**20)
    return copy


def _filesystem(address: str) -> tuple[Any, str]:
    """The file system of an address and the path in it.

    Raises:
        SourceError: nothing that is installed knows the address.
    """
    try:
        return open_filesystem(address)
    except LakeError as error:
        raise SourceError(f"source.path: {error}") from error


@contextmanager
def _reachable(address: str) -> Iterator[None]:
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # each driver of fsspec has errors of its own
        reason = f"{type(error).__name__}: {error}"
        raise SourceError(f"source.path: {address} cannot be read: {reason}") from error


def _source_file(filesystem: Any, path: str) -> SourceFile:
    info = filesystem.info(path)
    stamps = [str(info[key]) for key in _STAMPS if info.get(key) is not None]
    local = "file" in filesystem.protocol or "local" in filesystem.protocol
    return SourceFile(
        name=path if local else str(filesystem.unstrip_protocol(path)),
        stamp=" ".join([str(info.get("size")), *stamps]) if stamps else None,
    )


def _is_shown(filesystem: Any, path: str) -> bool:
    """Whether a glob means a path: a file that is not hidden."""
    return not PurePosixPath(path).name.startswith(".") and not filesystem.isdir(path)


def _is_data(path: str, folder: str) -> bool:
    """Whether a file in a folder holds rows: a known ending, nothing hidden on the way to it."""
    parts = PurePosixPath(path).relative_to(folder).parts
    return _ending(path) in _ENDINGS and not any(part.startswith((".", "_")) for part in parts)


def _ending(name: str) -> str:
    """The ending that tells the format: `.csv` of `a.csv.gz`."""
    path = PurePosixPath(name)
    return (path.with_suffix("") if path.suffix in _COMPRESSED else path).suffix.lower()
