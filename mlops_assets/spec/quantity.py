"""Amounts of memory and CPU in Kubernetes' notation."""

import re
from typing import Annotated

from pydantic import AfterValidator

_UNITS = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip


def memory_bytes(quantity: str) -> int:
    """Bytes of an amount of memory.

    >>> memory_bytes("1.5Gi"), memory_bytes("500M")
    (1610612736, 500000000)

    Raises:
        ValueError: it is none.
    """
    amount, unit = split_quantity(quantity)
    return int(amount * _UNITS[unit])


def split_quantity(quantity: str) -> tuple[float, str]:
    """The number and the unit of an amount of memory.

    >>> split_quantity("1.5Gi")
    (1.5, 'Gi')

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", quantity)
    if found is None or found[2] not in _UNITS:
        raise ValueError("an amount of memory such as 512Mi or 4Gi")
    return float(found[1]), found[2]


def cpu_cores(quantity: str) -> float:
    """Cores of an amount of CPU.

    >>> cpu_cores("500m"), cpu_cores("2")
    (0.5, 2.0)

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(m?)", quantity)
    if found is None:
        raise ValueError("an amount of CPU such as 2 or 500m")
    return float(found[1]) / (1000 if found[2] else 1)


def _require_memory(quantity: str) -> str:
    memory_bytes(quantity)
    return quantity


def _require_cpu(quantity: str) -> str:
    cpu_cores(quantity)
    return quantity


Memory = Annotated[str, AfterValidator(_require_memory)]
Cpu = Annotated[str, AfterValidator(_require_cpu)]
