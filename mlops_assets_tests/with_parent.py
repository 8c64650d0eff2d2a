"""Processes that end with the test that started them, also when that is killed."""

import shutil


def with_parent(signal: str = "KILL") -> tuple[str, ...]:
    """What goes before a command; nothing where the system has no such program."""
    return ("setpriv", "--pdeathsig", signal) if shutil.which("setpriv") else ()
