"""Files that are replaced whole, and by one process at a time."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def replace_file(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Write a file aside, sync it, then switch it in; its folder is made if it is not there.

    A reader, or a kill, sees the former content or this one.

    Args:
        path: What is replaced.
        content: Bytes, or text that is written as UTF-8.
        mode: Who may read the file, from its start.

    Raises:
        OSError: it could not be written; the former file stands.
    """
    aside = write_aside(path, content, mode)
    try:
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_aside(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    """What is to become `path`, whole and on the disk, in a file of another name beside it.

    Args and errors are those of `replace_file`; the caller switches the file in, or removes it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    aside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        aside.chmod(mode)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return aside


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Waits until no other process is in such a block with this lock.

    The lock is the kernel's, which takes it back when its holder dies.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
