"""What people are told of a rollout: pure functions from its state, each event under one id.

A tick tells all that the state speaks of, and the notifier leaves out what it told before. So a
kill between a step and its notification loses nothing.
"""

from collections.abc import Iterator
from datetime import datetime

from mlops_assets.notify.notification import Notification, Severity
from mlops_assets.rollout.phases import Phase
from mlops_assets.rollout.state import RolloutState

_ENDINGS: dict[Phase, tuple[str, Severity]] = {
    "succeeded": ("stays", "info"),
    "rolled_back": ("was rolled back", "critical"),
    "failed": ("could not run and was withdrawn", "critical"),
    "aborted": ("was stopped", "warning"),
}


def notifications_of(state: RolloutState, ui_url: str | None = None) -> Iterator[Notification]:
    """All that should have been told by now, in its order; the id is the same every time."""
    teller = _Teller(state, ui_url)
    version, stable = state.challenger.version, state.stable.version
    title = f"rollout of v{version} begins, v{stable} serves"
    yield teller.tell("started", title, "", "info", state.started_at)
    if state.phase in ("step", "baking"):
        share = state.traffic.challenger
        text = f"v{version} gets {share} % of the requests"
        yield teller.tell(
            "step", text, state.reason, "info", state.phase_started_at, f"{state.step}/{share}"
        )
    if state.hold is not None and state.hold.kind != "paused":
        asked = state.hold
        text = f"somebody is asked about v{version}"
        command = f"mlops-assets rollout approve {state.model}"
        yield teller.tell(
            "approval_wanted",
            text,
            f"{asked.reason} ({command}, or rollback)",
            "warning",
            asked.since,
            asked.since.isoformat(),
        )
    elif state.phase == "awaiting_approval":
        text = f"approval of v{version} is wanted"
        why = f"{state.reason} (mlops-assets rollout approve {state.model}, or rollback)"
        yield teller.tell(
            "approval_wanted",
            text,
            why,
            "warning",
            state.phase_started_at,
            state.phase_started_at.isoformat(),
        )
    if state.promoted_at is not None:
        text = f"v{version} is the champion"
        yield teller.tell("promoted", text, state.reason, "info", state.promoted_at)
    if state.phase == "rolling_back":
        text = f"v{version} is rolled back, v{stable} serves"
        urgency: Severity = "warning" if state.ending == "aborted" else "critical"
        yield teller.tell("rolled_back", text, state.reason, urgency, state.phase_started_at)
    if state.phase in _ENDINGS and state.ended_at is not None:
        words, severity = _ENDINGS[state.phase]
        kind = "rolled_back" if state.phase == "rolled_back" else f"ended_{state.phase}"
        yield teller.tell(kind, f"v{version} {words}", state.reason, severity, state.ended_at)


class _Teller:
    """Builds notifications of one rollout."""

    def __init__(self, state: RolloutState, ui_url: str | None) -> None:
        self._state = state
        self._url = None
        if ui_url is not None:
            self._url = f"{ui_url.rstrip('/')}/assets/{state.model}/inference_service"

    def tell(
        self,
        kind: str,
        title: str,
        text: str,
        severity: Severity,
        at: datetime,
        detail: str = "",
    ) -> Notification:
        state = self._state
        begun = f"{state.started_at:%Y%m%dT%H%M%S}"
        parts = ["rollout", state.service, state.challenger.revision, begun, kind]
        return Notification(
            id="/".join([*parts, *([detail] if detail else [])]),
            kind=f"rollout_{kind}",
            model=state.model,
            title=f"{state.model}: {title}",
            text=text or state.reason,
            severity=severity,
            at=at,
            facts={
                "challenger": f"v{state.challenger.version}",
                "stable": f"v{state.stable.version}",
                "phase": state.phase,
                "traffic": str(state.traffic),
            },
            url=self._url,
        )
