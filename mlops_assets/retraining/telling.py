"""What people are told of retraining: that it began, that it waits for them, what came of it."""

from mlops_assets.notify.notification import Notification, Severity
from mlops_assets.retraining.decision import Decision
from mlops_assets.retraining.state import RetrainingState

_SEVERITIES: dict[str, Severity] = {
    "promoted": "info",
    "refused": "info",
    "rolled_back": "warning",
    "failed": "warning",
}


def notifications_of(
    before: RetrainingState, decision: Decision, url: str | None
) -> list[Notification]:
    """What a tick tells. The same event has the same id, so repeating it tells nothing new."""
    state = decision.state
    told = []
    if decision.rule == "triggered" and state.latest is not None:
        text = f"{decision.reason}"
        told.append(_told(state, "retraining_started", "trains again", text, "info", url))
    if decision.action == "escalate" and decision.changed:
        title = "retraining stopped: a person must look"
        told.append(_told(state, "retraining_stopped", title, decision.reason, "critical", url))
    known = {a.number: a.outcome for a in before.attempts}
    for attempt in state.attempts[-2:]:
        if attempt.outcome is not None and known.get(attempt.number, "new") is None:
            text = attempt.told or f"attempt {attempt.number} ended"
            severity = _SEVERITIES[attempt.outcome]
            title = f"retraining {attempt.number} ended: {attempt.outcome}"
            told.append(
                Notification(
                    id=f"{state.model}:retraining:{attempt.run_key}:{attempt.outcome}",
                    kind=f"retraining_{attempt.outcome}",
                    model=state.model,
                    title=f"{state.model}: {title}",
                    text=text,
                    severity=severity,
                    at=attempt.ended_at or attempt.started_at,
                    facts={"trigger": attempt.trigger, "why": attempt.reason[:300]},
                    url=url,
                )
            )
    return told


def _told(
    state: RetrainingState, kind: str, title: str, text: str, severity: Severity, url: str | None
) -> Notification:
    latest = state.latest
    number = 0 if latest is None else latest.number
    at = state.ticked_at or state.since
    return Notification(
        id=f"{state.model}:{kind}:{number}",
        kind=kind,
        model=state.model,
        title=f"{state.model}: {title}",
        text=text,
        severity=severity,
        at=at,
        facts={} if latest is None else {"attempt": str(number), "trigger": latest.trigger},
        url=url,
    )
