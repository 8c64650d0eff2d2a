"""Whether a step whose worker died runs again, and with how much memory. Pure.

Only for what the step's own code did not cause: too little memory, and a node that went away. For
everything else the step's own retry policy decides, as always in Dagster.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_assets.kubernetes_runs.worker import Outcome, WorkerVerdict
from mlops_assets.spec.quantity import memory_bytes, split_quantity

_GROWTH = 2


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What a step's tags allow.

    Attributes:
        memory: Its memory limit at first; None: it has none.
        maximum_memory: What it may grow to; None: it does not grow.
        maximum_evictions: How many evictions it outlives.
    """

    memory: str | None
    maximum_memory: str | None
    maximum_evictions: int


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """Whether a step runs again, and why."""

    again: bool
    reason: str


def decide_retry(
    verdict: WorkerVerdict, former: Sequence[Outcome], policy: RetryPolicy
) -> RetryDecision:
    """Whether a step runs again.

    Args:
        verdict: What became of its worker.
        former: What became of its former workers.
        policy: What its tags allow.
    """
    if verdict.outcome == "out_of_memory":
        if policy.memory is None:
            return RetryDecision(False, f"{verdict.reason}; it has no limit that could be raised")
        now = memory_after(former.count("out_of_memory"), policy)
        more = memory_after(former.count("out_of_memory") + 1, policy)
        if more == now:
            return RetryDecision(False, f"{verdict.reason}; it may not have more than {now}")
        return RetryDecision(True, f"{verdict.reason}; it runs again with {more}")
    if verdict.outcome == "evicted":
        n_evictions, most = former.count("evicted") + 1, policy.maximum_evictions
        words = f"{verdict.reason}; eviction {n_evictions}, allowed: {most}"
        return RetryDecision(n_evictions <= most, words)
    return RetryDecision(False, verdict.reason)


def memory_after(n_kills: int, policy: RetryPolicy) -> str | None:
    """The memory limit of a step that was killed for memory so often: doubled each time.

    >>> [memory_after(n, RetryPolicy("3Gi", "8Gi", 0)) for n in range(4)]
    ['3Gi', '6Gi', '8Gi', '8Gi']
    >>> memory_after(1, RetryPolicy("3Gi", None, 0))
    '3Gi'
    >>> memory_after(1, RetryPolicy("1048576Ki", "8Gi", 0))
    '2097152Ki'
    """
    if policy.memory is None or policy.maximum_memory is None:
        return policy.memory
    amount, unit = split_quantity(policy.memory)
    # Never with an exponent, which Kubernetes takes for no number before a unit.
    grown = f"{(amount * _GROWTH**n_kills):.3f}".rstrip("0").rstrip(".") + unit
    most = max(policy.memory, policy.maximum_memory, key=memory_bytes)
    return min(grown, most, key=memory_bytes)
