"""Which revision a request goes to. Pure."""

import hashlib
from collections.abc import Sequence

STICKY_HEADER = "mlops-assets/sticky-header"
"""Annotation of a service: the request header whose value always goes to the same revision."""
STICKY_SALT = "mlops-assets/sticky-salt"
"""Annotation of a service: changes which values go where; by default the service's name."""


def choose(percents: Sequence[int], ticket: float) -> int:
    """Position of the revision that a ticket in [0, 100) goes to; 0 is the stable one.

    Canaries hold the lowest tickets, each from where the one before ends; of several, the last one
    holds the highest, downwards. So a caller with a fixed ticket who is on one of up to two
    canaries stays there while their shares grow.

    >>> [choose([90, 10], ticket) for ticket in (0.0, 9.9, 10.0, 99.9)]
    [1, 1, 0, 0]
    >>> [choose([80, 10, 10], ticket) for ticket in (0.0, 10.0, 89.9, 90.0)]
    [1, 0, 0, 2]
    """
    rising = percents[1:]
    if len(rising) > 1:
        if ticket >= 100.0 - rising[-1]:
            return len(rising)
        rising = rising[:-1]
    bound = 0.0
    for position, percent in enumerate(rising, start=1):
        bound += percent
        if ticket < bound:
            return position
    return 0


def hash_unit(service: str, caller: str) -> str:
    """What the prediction log calls a caller: the same for the same one, and not its name."""
    return hashlib.blake2b(f"{service}\0unit\0{caller}".encode(), digest_size=8).hexdigest()


def sticky_ticket(salt: str, key: str) -> float:
    """The ticket of a caller, evenly spread over [0, 100).

    >>> sticky_ticket("flight-delay", "user-1") == sticky_ticket("flight-delay", "user-1")
    True
    """
    digest = hashlib.blake2b(f"{salt}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64 * 100
