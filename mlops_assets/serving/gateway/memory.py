"""The memory that a revision may use, as its manifest limits it, and what its process uses.

A cluster ends a container that goes beyond its limit; so does the gateway, so that a version that
leaks ends here as it would there, and takes no other process' memory with it.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_QUANTITY = re.compile(r"^(\d+(?:\.\d+)?)([KMGT]i?|k)?$")
_UNITS = {None: 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def read_limit_bytes(block: Mapping[str, Any]) -> int | None:
    """The memory limit of a predictor block; None when it has none that can be read.

    >>> read_limit_bytes({"model": {"resources": {"limits": {"memory": "512Mi"}}}})
    536870912
    """
    limits = (block["model"].get("resources") or {}).get("limits") or {}
    match = _QUANTITY.match(str(limits.get("memory", "")))
    return None if match is None else int(float(match[1]) * _UNITS[match[2]])


def resident_bytes(pid: int) -> int:
    """Memory that a process holds; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0
