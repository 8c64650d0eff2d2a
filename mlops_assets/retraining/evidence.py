"""What the windows say about retraining: pure counting, trigger by trigger.

Here: which windows count, which of them violate, and whether k of the last n do, the latest among
them.
Not here: what is done about it (`decision.py`).

Each trigger looks at the windows that tell something about it. So performance that truth tells a
week late is judged on the latest windows with truth, while drift is judged on the latest of all.
Windows of broken data never violate, and hold their place among the n.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.monitoring.verdict import DriftSignal, PerformanceSignal, WindowVerdict
from mlops_assets.retraining.state import RetrainingState
from mlops_assets.spec.retraining import RetrainingSpec, WindowTrigger

_VIOLATING = {"realised": "worse", "estimated": "worse", "drift": "found"}


@dataclass(frozen=True, slots=True)
class TriggerEvidence:
    """What the windows say about one trigger.

    Attributes:
        trigger: Which.
        is_met: Whether retraining is called for.
        n_violating: Violating windows among those looked at.
        n_windows: Windows looked at.
        reason: In words.
    """

    trigger: WindowTrigger
    is_met: bool
    n_violating: int
    n_windows: int
    reason: str


def counted_windows(
    windows: Sequence[WindowVerdict], state: RetrainingState, policy: RetrainingSpec, now: datetime
) -> list[WindowVerdict]:
    """The windows that count, by time: ended, not too long ago, and of the champion.

    Of several verdicts on the same window the last in the sequence counts.
    """
    latest = {(w.window.start, w.window.end): w for w in windows}
    inside = [
        w
        for (_, end), w in latest.items()
        if now - policy.evidence_age <= end <= now and _is_of_champion(w, state)
    ]
    return sorted(inside, key=lambda w: (w.window.end, w.window.start))


def assess_trigger(
    trigger: WindowTrigger, counted: Sequence[WindowVerdict], policy: RetrainingSpec
) -> TriggerEvidence:
    """Whether k of the last n windows violate and the latest does, on enough rows and truth."""
    telling = [w for w in counted if _tells(w, trigger)][-policy.of_windows :]
    violating = [w for w in telling if is_violating(w, trigger, policy)]
    n, k = len(telling), len(violating)
    if not telling:
        return TriggerEvidence(trigger, False, 0, 0, f"{trigger}: no window tells anything")
    rows = sum(w.window.n_rows for w in violating)
    known = sum(w.window.n_with_truth for w in violating)
    seen = f"{trigger}: {k} of the last {n} windows violate"
    if k < policy.violations:
        reason = f"{seen}, {policy.violations} of {policy.of_windows} needed"
    elif telling[-1] is not violating[-1]:
        reason = f"{seen}, but not the latest ({telling[-1].verdict})"
    elif rows < policy.minimum_rows:
        reason = f"{seen}, with {rows:,} rows; {policy.minimum_rows:,} needed"
    elif known < policy.minimum_truth_ratio * rows:
        reason = (
            f"{seen}; truth is known of {known / rows:.0%} of their rows, "
            f"{policy.minimum_truth_ratio:.0%} needed"
        )
    else:
        newest = telling[-1]
        told = f"the latest until {newest.window.end:%Y-%m-%d %H:%M} UTC is {newest.verdict}"
        reason = f"{seen}; {told}: {newest.reason}"
        return TriggerEvidence(trigger, True, k, n, reason)
    return TriggerEvidence(trigger, False, k, n, reason)


def is_violating(window: WindowVerdict, trigger: WindowTrigger, policy: RetrainingSpec) -> bool:
    """Whether a window violates: its verdict counts, and its signal says so."""
    signal: DriftSignal | PerformanceSignal = getattr(window.signals, trigger)
    return window.verdict in policy.verdicts and signal.state == _VIOLATING[trigger]


def is_calm(counted: Sequence[WindowVerdict], policy: RetrainingSpec) -> bool:
    """Whether the last n windows are all there, tell something, and none of them violates."""
    last = counted[-policy.of_windows :]
    return len(last) == policy.of_windows and not any(
        w.verdict in ("broken_data", "not_enough_data")
        or any(is_violating(w, trigger, policy) for trigger in policy.triggers)
        for w in last
    )


def _tells(window: WindowVerdict, trigger: WindowTrigger) -> bool:
    if window.verdict == "broken_data":
        return True
    signal: DriftSignal | PerformanceSignal = getattr(window.signals, trigger)
    return signal.state != "unknown"


def _is_of_champion(window: WindowVerdict, state: RetrainingState) -> bool:
    champion, version = state.champion, window.window.model_version
    if champion is None:
        return True
    if version is not None:
        return version == champion.version
    return window.window.start >= champion.since
