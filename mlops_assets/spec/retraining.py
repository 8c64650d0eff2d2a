"""The `retraining:` part of a model document: when a model is trained again by itself, and on what.

Here: what a person may write, with the shipped policy as defaults; the decision reads it as it is.
Not here: who decides (`retraining/decision.py`), and what makes a window violate
(`monitoring/verdict.py`).
"""

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from mlops_assets.spec.base import Document, Duration, FieldProblem, refusal
from mlops_assets.spec.operations import ScheduleSpec

WindowTrigger = Literal["realised", "estimated", "drift"]
RetrainingVerdict = Literal["concept_drift", "drift_harmful", "drift_harmless", "not_enough_data"]


_TRIGGERS: list[WindowTrigger] = ["realised", "estimated", "drift"]
_VERDICTS: list[RetrainingVerdict] = ["drift_harmful", "concept_drift"]


class BudgetSpec(Document):
    """How much retraining a period may cost. What a person asks for counts and is never refused."""

    period: Duration = timedelta(days=30)
    """Length of the period, which ends now."""
    runs: int | None = Field(4, ge=1)
    """Runs that may begin in it, failed ones too. null: no limit."""
    cpu_minutes: float | None = Field(None, gt=0)
    """CPU minutes of the runs that ended in it. Once reached, no other begins."""


class BreakerSpec(Document):
    """Stops retraining that does not help."""

    refused_candidates: int = Field(3, ge=1)
    """Candidates in a row that a gate refused or a rollout rolled back, until retraining stops."""
    retrainings_without_calm: int = Field(2, ge=1)
    """New champions in a row under which windows kept violating, until a person is called."""
    pause: Duration | None = timedelta(days=30)
    """After how long one attempt is made all the same. null: only when a person asks."""


class TrainingWindowSpec(Document):
    """Which rows a model is trained on. Rows that validate are not touched by it."""

    keep: Literal["all", "duration", "rows", "since_champion"] = "all"
    """all: every row that trains. duration: those of a length of time up to the newest that trains.
    rows: the newest. since_champion: those that are newer than the champion's newest one."""
    duration: Duration | None = None
    """keep duration: how long."""
    rows: int | None = Field(None, ge=2)
    """keep rows: how many."""
    minimum_rows: int = Field(1_000, ge=2)
    """When fewer rows than this remain, older ones are added until there are as many."""

    @model_validator(mode="after")
    def _fields_fit_keep(self) -> "TrainingWindowSpec":
        problems = [
            FieldProblem((name,), getattr(self, name), f"set with keep {name}, and only then")
            for name in ("duration", "rows")
            if (getattr(self, name) is not None) != (self.keep == name)
        ]
        if self.duration is not None and self.duration < timedelta(seconds=1):
            problems.append(FieldProblem(("duration",), "0s", "at least 1s"))
        if problems:
            raise refusal(problems)
        return self


class RetrainingSpec(Document):
    """When a model is trained again by itself. `retraining: {}` is enough. A retrained candidate
    goes the usual way: gates against the champion, registry, rollout."""

    triggers: list[WindowTrigger] = Field(default_factory=_TRIGGERS.copy)
    """What makes a window violate. realised: performance that truth proves worse. estimated: a
    trusted estimate says so. drift: inputs or predictions moved. The verdict must be in verdicts
    as well."""
    verdicts: list[RetrainingVerdict] = Field(default_factory=_VERDICTS.copy, min_length=1)
    """Verdicts of a window that count. not_enough_data adds drift whose effect nobody can tell,
    drift_harmless any drift."""
    violations: int = Field(3, ge=1)
    """Windows that must violate, among the last of_windows; the latest must be one of them."""
    of_windows: int = Field(5, ge=1, le=100)
    """Windows that are looked at: for each trigger the latest that tell something about it."""
    evidence_age: Duration = timedelta(days=30)
    """Windows that ended longer ago do not count."""
    minimum_rows: int = Field(500, ge=1)
    """Fewest rows of the violating windows together."""
    minimum_truth_ratio: float = Field(0.0, ge=0, le=1)
    """Least share of these rows whose truth is known. 0: not asked, since truth may reach the
    source on other ways than the prediction log."""
    new_rows: int | None = Field(None, ge=1)
    """Rows that the dataset has gained since the last training, from which on to train again."""
    schedule: ScheduleSpec | None = None
    """Trains by the calendar, whatever the windows say."""
    cooldown: Duration = timedelta(days=3)
    """Shortest time from the end of one attempt to the next."""
    retry_after: Duration = timedelta(minutes=15)
    """How long after a run that failed the next may begin; doubled with each failure in a row, at
    most the cooldown or a day, whichever is longer."""
    budget: BudgetSpec = BudgetSpec()
    """What a period may cost."""
    breaker: BreakerSpec = BreakerSpec()
    """When to stop."""
    training_window: TrainingWindowSpec = TrainingWindowSpec()
    """Which rows a model is trained on, retrained or not."""

    @model_validator(mode="after")
    def _fields_agree(self) -> "RetrainingSpec":
        problems = []
        if self.violations > self.of_windows:
            allowed = f"at most of_windows, {self.of_windows}"
            problems.append(FieldProblem(("violations",), self.violations, allowed))
        if self.budget.period < timedelta(minutes=1):
            problems.append(FieldProblem(("budget", "period"), "0s", "at least 1m"))
        for name in ("triggers", "verdicts"):
            words = getattr(self, name)
            if len(set(words)) < len(words):
                problems.append(FieldProblem((name,), words, "each word once"))
        if problems:
            raise refusal(problems)
        return self
