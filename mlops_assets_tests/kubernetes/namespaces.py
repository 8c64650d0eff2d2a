"""Name spaces of the kernel for the containers of Jobs, where this user may make them.

As root each container is process 1 of a tree of its own: it sees no process but those that it
started, which all end with it, and a signal that it does not handle does nothing to it, as in a
pod. Elsewhere containers are plain processes in sessions of their own.
"""

import functools
import os
import shutil
import subprocess
from pathlib import Path

_ISOLATE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--ipc")


@functools.cache
def isolation() -> tuple[str, ...]:
    """What goes before a container's command; nothing where it cannot be done."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or not _children(os.getpid()).exists():
        return ()
    tried = subprocess.run([*_ISOLATE, "true"], capture_output=True, check=False)
    return _ISOLATE if tried.returncode == 0 else ()


def first_pid(process: subprocess.Popen[bytes]) -> int | None:
    """Process id of the container itself, as it is known outside; None when it has ended."""
    if process.poll() is not None:
        return None
    if not isolation():
        return process.pid
    try:
        pids = _children(process.pid).read_text().split()
    except OSError:  # it ended just now
        return None
    return int(pids[0]) if pids else None


def _children(pid: int) -> Path:
    """Where the kernel tells the children of a process; to look through all would cost too much."""
    return Path(f"/proc/{pid}/task/{pid}/children")
