"""Folders for copies that live as long as a process at most.

A folder lies under the system's temporary folder (`TMPDIR` moves it) and is removed when the
process ends; what a killed process left is removed by the next one that asks for a folder.
"""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from mlops_assets.data.owners import Owner
from mlops_assets.errors import SourceError

_OWNER_FILE = "owner.json"


@cache
def scratch_folder() -> Path:
    """The folder of this process."""
    return _claim_folder(os.getpid())


def new_scratch_folder() -> Path:
    """A new folder inside that of this process; whoever is done with it early may remove it."""
    parent = scratch_folder()
    if parent.name != _name(os.getpid()):  # a fork inherits the cache of its parent
        scratch_folder.cache_clear()
        parent = scratch_folder()
    return Path(tempfile.mkdtemp(dir=parent))


def _claim_folder(pid: int) -> Path:
    root = Path(tempfile.gettempdir()) / f"mlops_assets-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    if root.lstat().st_uid != os.getuid():
        raise SourceError(f"{root} belongs to another user; set TMPDIR to a folder of your own")
    for folder in root.iterdir():
        if _is_left(folder):
            shutil.rmtree(folder, ignore_errors=True)
    folder = root / _name(pid)
    folder.mkdir(exist_ok=True)
    (folder / _OWNER_FILE).write_text(Owner.this_process().model_dump_json())
    atexit.register(_remove, folder, pid)
    return folder


def _name(pid: int) -> str:
    return f"process-{pid}"


def _is_left(folder: Path) -> bool:
    try:
        return Owner.model_validate_json((folder / _OWNER_FILE).read_text()).is_gone()
    except (OSError, ValidationError):
        return False  # being made this moment by another process


def _remove(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # not in a fork, which inherits the parent's exit functions
        shutil.rmtree(folder, ignore_errors=True)
