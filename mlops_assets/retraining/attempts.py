"""What becomes of an attempt: a pure function from what its run and its rollout say to an outcome.

Here: `RunFacts`, `OutsideFacts` and `gather`, which brings a state up to what is known outside.
Not here: how these facts are found (the sensor, the replay, the backtest), and what is done next
(`decision.py`).
"""

from datetime import datetime
from typing import Literal

from pydantic import Field

from mlops_assets.monitoring.record import Record
from mlops_assets.retraining.state import (
    Champion,
    Outcome,
    Request,
    RetrainingState,
)

RunStatus = Literal["running", "succeeded", "failed"]
RolloutStatus = Literal["none", "going", "promoted", "rolled_back", "superseded"]


class RunFacts(Record):
    """What is known of the run of the attempt in flight.

    Attributes:
        dagster_run_id: Its id.
        status: Whether it runs, or how it ended.
        refused: Reasons of the gates that refused its candidate; empty: none did.
        told: Why it failed, in words.
        version: The version that it registered; None: none.
        rollout: How it stands with the rollout of that version; none: there is none.
        rollout_told: The same in words.
        cpu_minutes: What the run cost.
    """

    dagster_run_id: str
    status: RunStatus
    refused: str = ""
    told: str = ""
    version: str | None = None
    rollout: RolloutStatus = "none"
    rollout_told: str = ""
    cpu_minutes: float = Field(0.0, ge=0)


class OutsideFacts(Record):
    """What is known outside of the windows. None: nobody could be asked, so nothing changes.

    Attributes:
        champion: Version that serves.
        champion_rows: Rows of the dataset when it was trained.
        n_rows: Rows of the dataset now.
        run: Of the attempt in flight.
    """

    champion: str | None = None
    champion_rows: int | None = None
    n_rows: int | None = None
    run: RunFacts | None = None


def gather(
    state: RetrainingState, facts: OutsideFacts, request: Request | None, now: datetime
) -> RetrainingState:
    """The state with all that is known now. Gathering twice is gathering once."""
    if facts.champion is not None and (
        state.champion is None or state.champion.version != facts.champion
    ):
        champion = Champion(version=facts.champion, since=now, n_rows=facts.champion_rows)
        state = state.with_champion(champion)
    if facts.n_rows is not None and facts.n_rows != state.n_rows:
        state = state.with_rows(facts.n_rows)
    if request is not None and (state.heard_at is None or request.at > state.heard_at):
        state = state.with_request(request)
    if facts.run is not None and state.in_flight is not None:
        state = state.with_run(facts.run.dagster_run_id)
        found = assess_run(facts.run, state)
        if found is not None:
            outcome, told = found
            minutes = facts.run.cpu_minutes
            state = state.with_outcome(outcome, now, told=told, cpu_minutes=minutes)
    return state


def assess_run(run: RunFacts, state: RetrainingState) -> tuple[Outcome, str] | None:
    """What came of the attempt in flight, in a word and in words; None: it is not known yet."""
    if run.status == "running":
        return None
    if run.status == "failed":
        return ("refused", run.refused) if run.refused else ("failed", run.told or "the run failed")
    if run.version is None:
        return "failed", "the run ended without a version"
    champion, attempt = state.champion, state.in_flight
    serves = champion is not None and champion.version == run.version
    is_old = champion is None or attempt is None or champion.since <= attempt.started_at
    if serves and is_old:
        return "refused", f"training gave v{run.version}, the champion, over again"
    told = run.rollout_told or f"v{run.version}"
    if run.rollout == "promoted" or (run.rollout == "none" and serves):
        return "promoted", told
    if run.rollout in ("rolled_back", "superseded"):
        return "rolled_back", told
    return None  # it is registered, and nothing has become of it yet
