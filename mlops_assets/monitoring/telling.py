"""What people are told of windows: only that the verdict changed, never each window."""

from mlops_assets.monitoring.verdict import MEANINGS, Verdict
from mlops_assets.monitoring.watching import Watched
from mlops_assets.notify.notification import Notification, Severity

_SEVERITIES: dict[Verdict, Severity] = {
    "healthy": "info",
    "drift_harmless": "info",
    "drift_harmful": "warning",
    "concept_drift": "warning",
    "broken_data": "warning",
    "not_enough_data": "info",
}


def notification_of(watched: Watched, url: str | None) -> Notification | None:
    """What is told of a window that was just judged; None: nothing changed.

    The same change has the same id, so it is told once, whoever judges the window again.
    """
    if not watched.is_changed:
        return None
    verdict, facts = watched.record.verdict, watched.record.verdict.window
    before = watched.said_before or "nothing"
    return Notification(
        id=f"{facts.model}:window:{watched.record.window.key}:{verdict.verdict}",
        kind="verdict_changed",
        model=facts.model,
        title=f"{facts.model}: {verdict.verdict}: {MEANINGS[verdict.verdict]}",
        text=verdict.reason,
        severity=_SEVERITIES[verdict.verdict],
        at=watched.record.judged_at,
        facts={
            "window": watched.record.window.key,
            "before": before,
            "version": f"v{facts.model_version}",
            "rows": f"{facts.n_rows:,}",
            "with truth": f"{facts.n_with_truth:,}",
        },
        url=url,
    )
