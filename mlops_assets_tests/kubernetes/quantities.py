"""Kubernetes' notation of amounts."""

import re

_FACTORS = {
    "m": 0.001, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip


def quantity(text: str | float) -> float:
    """An amount as a number.

    >>> quantity("500m"), quantity("2Gi"), quantity(3)
    (0.5, 2147483648.0, 3.0)
    """
    found = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(text))
    if found is None or found[2] not in _FACTORS:
        raise ValueError(f"{text!r} is no quantity")
    return float(found[1]) * _FACTORS[found[2]]
