"""How many processors this process may use.

`os.cpu_count()` tells those of the machine. A pod with a CPU limit of 1 on a node of 64 would run
64 slow batches at once, each of them paused by the kernel most of the time.
"""

import math
import os
import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def read_processors(cgroup: Path = _CGROUP) -> int:
    """Processors for this process, by its affinity and the quota of its container.

    Args:
        cgroup: Where a container finds its own control group.
    """
    quota = min(
        read_quota_v2(_text(cgroup / "cpu.max")),
        read_quota_v1(
            _text(cgroup / "cpu" / "cpu.cfs_quota_us"), _text(cgroup / "cpu" / "cpu.cfs_period_us")
        ),
    )
    return count_processors(_affinity(), quota)


def count_processors(affinity: int, quota: float) -> int:
    """The smaller of both, rounded up, at least 1.

    >>> count_processors(64, 1.5), count_processors(2, math.inf)
    (2, 2)
    """
    return max(1, affinity if quota >= affinity else math.ceil(quota))


def read_quota_v2(text: str) -> float:
    """Processors by the text of `cpu.max`; infinite where there is no limit, or no such text.

    >>> read_quota_v2("150000 100000"), read_quota_v2("max 100000")
    (1.5, inf)
    """
    quota, _, period = text.strip().partition(" ")
    return _ratio(quota, period)


def read_quota_v1(quota_us: str, period_us: str) -> float:
    """The same by the texts of `cpu.cfs_quota_us` (-1: no limit) and `cpu.cfs_period_us`."""
    return _ratio(quota_us.strip(), period_us.strip())


def _ratio(quota: str, period: str) -> float:
    if not (quota.isdecimal() and period.isdecimal() and int(quota) and int(period)):
        return math.inf
    return int(quota) / int(period)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _affinity() -> int:
    if sys.platform != "linux":
        return os.cpu_count() or 1
    return len(os.sched_getaffinity(0))
