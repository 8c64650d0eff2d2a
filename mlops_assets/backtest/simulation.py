"""A policy played on the past: window by window, with the decisions of `retraining/decision.py`.

Here: `play`, and the `World` that it asks: what is said of a window, what training gives. Not here:
what stands behind a world (`worlds.py`), and how good a played policy was (`scoring.py`).

At the end of each window the policy decides on what is known by then: windows are judged when they
end, and once more when their truth has come. A candidate that its gates pass serves from the next
window on: nothing is served here, so neither training nor rollout takes time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mlops_assets.backtest.judging import Judgement
from mlops_assets.monitoring.record import Record
from mlops_assets.monitoring.trust import EstimateError
from mlops_assets.monitoring.windows import Window
from mlops_assets.retraining.decision import decide
from mlops_assets.retraining.state import Attempt, Champion, RetrainingState
from mlops_assets.spec.retraining import RetrainingSpec


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training gave.

    Attributes:
        version: Name of the candidate.
        refused: Why its gates refuse it; empty when they do not.
        cpu_minutes: What it cost.
        n_rows: Rows of the dataset.
    """

    version: str
    refused: str
    cpu_minutes: float
    n_rows: int


class World(Protocol):
    """The past, as a policy may ask it."""

    @property
    def begin(self) -> datetime:
        """When it begins to be played."""

    @property
    def windows(self) -> Sequence[Window]:
        """What is judged, oldest first."""

    def n_rows(self, now: datetime) -> int:
        """Rows of the dataset at a moment."""

    def train(self, now: datetime, champion: str | None) -> Trained:
        """A candidate of what is known at a moment, judged by its gates beside the champion."""

    def is_due(self, window: Window, former: Judgement | None, now: datetime) -> bool:
        """Whether a window is to be judged, or once more."""

    def judge(
        self, champion: str, window: Window, now: datetime, errors: list[EstimateError]
    ) -> Judgement:
        """What is said of a window."""


class Reign(Record):
    """A version and since when it served."""

    version: str
    since: datetime


class Played(Record):
    """A policy that was played.

    Attributes:
        policy: Its name.
        reigns: Who served, oldest first; the first is the model that all policies begin with.
        attempts: Every retraining, with its reason and outcome.
        n_windows: Windows at whose end it decided.
        rules: How often each rule decided.
    """

    policy: str
    reigns: tuple[Reign, ...]
    attempts: tuple[Attempt, ...]
    n_windows: int
    rules: dict[str, int]

    @property
    def n_retrained(self) -> int:
        """Trainings after the first model."""
        return len(self.attempts)

    @property
    def n_promoted(self) -> int:
        """Those that gave a new champion."""
        return len(self.reigns) - 1

    @property
    def cpu_minutes(self) -> float:
        """What the retrainings cost."""
        return sum(attempt.cpu_minutes for attempt in self.attempts)


def play(
    world: World,
    name: str,
    policy: RetrainingSpec,
    tell: Callable[[int], object] = int,
) -> Played:
    """One policy from the first window to the last.

    Args:
        world: The past.
        name: Of the policy.
        policy: As the document would have it.
        tell: Told how many windows are done; by default nobody is.
    """
    first = world.train(world.begin, None)
    state = RetrainingState(model=name, since=world.begin).with_champion(
        Champion(version=first.version, since=world.begin, n_rows=first.n_rows)
    )
    reigns = [Reign(version=first.version, since=world.begin)]
    attempts: list[Attempt] = []
    rules: dict[str, int] = {}
    judged: dict[str, tuple[Window, Judgement]] = {}
    for done, window in enumerate(world.windows, 1):
        now, champion = window.end, reigns[-1].version
        if policy.triggers:
            if world.is_due(window, None, now):
                judged[window.key] = (window, _judge(world, champion, window, now, judged))
            judged = _judge_again(world, champion, now, judged, policy)
        state = state.with_rows(world.n_rows(now)) if policy.new_rows is not None else state
        verdicts = [judgement.verdict for _, judgement in judged.values()]
        decision = decide(verdicts, state, policy, now)
        state = decision.state
        rules[decision.rule] = rules.get(decision.rule, 0) + 1
        if decision.action == "retrain":
            state, taken = _retrain(world, champion, state, now)
            attempts += [state.latest] if state.latest is not None else []
            reigns += [Reign(version=taken, since=now)] if taken is not None else []
        tell(done)
    return Played(
        policy=name,
        reigns=tuple(reigns),
        attempts=tuple(attempts),
        n_windows=len(world.windows),
        rules=rules,
    )


def _retrain(
    world: World, champion: str, state: RetrainingState, now: datetime
) -> tuple[RetrainingState, str | None]:
    """The state once the outcome is known, and the new champion if there is one."""
    trained = world.train(now, champion)
    state = state.with_run(f"backtest-{now:%Y%m%dT%H%M}")
    if trained.refused:
        told = state.with_outcome(
            "refused", now, told=trained.refused, cpu_minutes=trained.cpu_minutes
        )
        return told, None
    new = Champion(version=trained.version, since=now, n_rows=trained.n_rows)
    state = state.with_champion(new).with_outcome(
        "promoted", now, told=trained.version, cpu_minutes=trained.cpu_minutes
    )
    return state, trained.version


def _judge(
    world: World,
    champion: str,
    window: Window,
    now: datetime,
    judged: dict[str, tuple[Window, Judgement]],
) -> Judgement:
    errors = [
        error
        for other, judgement in judged.values()
        if other.end <= window.start and judgement.verdict.window.model_version == champion
        for error in judgement.errors
    ]
    return world.judge(champion, window, now, errors)


def _judge_again(
    world: World,
    champion: str,
    now: datetime,
    judged: dict[str, tuple[Window, Judgement]],
    policy: RetrainingSpec,
) -> dict[str, tuple[Window, Judgement]]:
    """The windows that may still count, those of the champion brought up to date."""
    kept = {k: j for k, j in judged.items() if now - j[0].end <= policy.evidence_age}
    for key, (window, former) in list(kept.items()):
        of_champion = former.verdict.window.model_version == champion
        if window.end < now and of_champion and world.is_due(window, former, now):
            kept[key] = (window, _judge(world, champion, window, now, kept))
    return kept
