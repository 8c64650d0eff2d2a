"""Failures that a test orders: the next calls of a verb on a resource go wrong."""

import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class Fault:
    """One order.

    Attributes:
        verb: get, list, watch, create, update, patch, delete, or *.
        resource: Plural, with its subresource if any: pods/log; or *.
        code: Status of the answer; 0 closes the connection without one.
        times: How many calls it hits.
        after_write: The write happens, its answer is the failure.
        seconds: How long the server waits before it answers.
    """

    verb: str
    resource: str
    code: int
    times: int = 1
    after_write: bool = False
    seconds: float = 0.0


@dataclass(slots=True)
class Faults:
    """The orders that are still open, and rights that a caller lacks."""

    open: list[Fault] = field(default_factory=list)
    denied: set[tuple[str, str]] = field(default_factory=set)  # (verb, resource)
    allowed: dict[str, set[tuple[str, str]]] = field(default_factory=dict)  # by user; others: all
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def order(self, fault: Fault) -> None:
        """Have calls go wrong from now on."""
        with self._lock:
            self.open.append(fault)

    def refuses(self, user: str, verb: str, resource: str) -> bool:
        """Whether a user lacks a right."""
        right = (verb, resource)
        return right in self.denied or right not in self.allowed.get(user, {right})

    def take(self, verb: str, resource: str) -> Fault | None:
        """The fault that hits this call, if any."""
        with self._lock:
            for fault in self.open:
                if fault.verb in (verb, "*") and fault.resource in (resource, "*"):
                    fault.times -= 1
                    if fault.times == 0:
                        self.open.remove(fault)
                    return fault
        return None
