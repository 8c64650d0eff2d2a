"""Name spaces of the kernel for the containers of Jobs, where this user may make them.

As root each container is process 1 of a tree of its own: it sees no process but those that it
started, which all end with it, and a signal that it does not handle does nothing to it, as in a
pod. Elsewhere containers are plain processes in sessions of their own.
"""

import functools
import os
import shutil
import subprocess

import psutil

_ISOLATE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--ipc")


@functools.cache
def isolation() -> tuple[str, ...]:
    """What goes before a container's command; nothing where it cannot be done."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return ()
    tried = subprocess.run([*_ISOLATE, "true"], capture_output=True, check=False)
    return _ISOLATE if tried.returncode == 0 else ()


def first_process(process: subprocess.Popen[bytes]) -> psutil.Process | None:
    """The process of the container itself, as it is known outside; None when it has ended."""
    try:
        outer = psutil.Process(process.pid)
        return next(iter(outer.children()), None) if isolation() else outer
    except psutil.NoSuchProcess:
        return None
