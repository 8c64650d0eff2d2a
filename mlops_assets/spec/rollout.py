"""The `rollout:` part of a model document: how a new version reaches users, or does not.

Here: what a person may write. `strategy` alone is enough; what is left out comes from the preset of
the strategy.
Not here: the presets and the policy in force (`rollout/policy.py`).
"""

import re
from datetime import date, timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from mlops_assets.spec.base import (
    Document,
    Duration,
    FieldProblem,
    TimeZone,
    refusal,
    write_duration,
)
from mlops_assets.spec.criterion import CriterionSpec

Strategy = Literal["rolling", "canary", "blue_green", "ab_test", "shadow"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

_TIME = re.compile(r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")


def _require_time(text: str) -> str:
    if _TIME.match(text) is None:
        raise ValueError('a time of day such as "09:00", at most "24:00", in quotes')
    return text


TimeOfDay = Annotated[str, AfterValidator(_require_time)]


class ShadowStageSpec(Document):
    """Mirrors traffic to the new version before it answers anybody."""

    minimum_samples: int | None = Field(None, ge=1)
    """Fewest mirrored requests; by default those of a step."""
    minimum_duration: Duration = timedelta(0)
    """How long to mirror at least."""


class WatchSpec(Document):
    """What happens after promotion."""

    duration: Duration | None = None
    """How long the promoted version is watched; `0s` does not watch. Default by strategy."""
    revert: bool = True
    """Whether proven harm during the watch reverts by itself. false: asks."""


class ApprovalSpec(Document):
    """Where a person must agree."""

    when: Literal["never", "before_promotion", "each_step"] = "never"
    """before_promotion: once, after the bake time. each_step: also before each step of traffic."""
    answer_within: Duration = timedelta(days=7)
    """How long a question waits, here and wherever a rollout asks. No answer rolls back."""


class FreezeSpec(Document):
    """A time in which no version gets more traffic. Rollbacks happen all the same."""

    reason: str = Field(min_length=1)
    """Why; shown while it holds."""
    days: list[Weekday] = Field(default_factory=lambda: list(get_args(Weekday)), min_length=1)
    """Days of the week."""
    start: TimeOfDay = "00:00"
    """Time of day at which it begins."""
    end: TimeOfDay = "24:00"
    """Time of day at which it ends; a night across midnight is two entries."""
    first: date | None = Field(None, strict=False)
    """First date; by default always."""
    last: date | None = Field(None, strict=False)
    """Last date; by default for ever."""
    timezone: TimeZone = "UTC"
    """IANA time zone of days and times."""

    @model_validator(mode="after")
    def _is_not_empty(self) -> "FreezeSpec":
        problems = []
        if self.start >= self.end:
            problems.append(FieldProblem(("end",), self.end, f"a time after {self.start}"))
        if self.first is not None and self.last is not None and self.first > self.last:
            problems.append(FieldProblem(("last",), str(self.last), f"{self.first} or later"))
        if problems:
            raise refusal(problems)
        return self


class BanditSpec(Document):
    """Moves the split of an A/B test to the version that does better (Thompson sampling)."""

    criterion: str
    """Name of the criterion whose mean is the reward; it must have a direction."""
    minimum_percent: int = Field(10, ge=1, le=49)
    """Smallest share of either version."""


class RolloutSpec(Document):
    """How a new version reaches users. `strategy: canary` is enough."""

    strategy: Strategy = "canary"
    """rolling: quick steps that errors can stop. canary: steps, each passed by evidence.
    blue_green: verified without traffic, then all at once, then watched. ab_test: one split until
    one version is shown better. shadow: mirrored first, then as a canary."""
    steps: list[int] | None = None
    """Percent of traffic of the new version at each step, growing, each from 1 to 99. Default by
    strategy. Empty: from shadow, or from 0 %, to all at once."""
    shadow: ShadowStageSpec | None = None
    """Mirrors traffic before the first step; strategy shadow always does."""
    interval: Duration | None = None
    """How often the evidence is judged. Looking often costs nothing. At least 1s."""
    minimum_samples: int | None = Field(None, ge=1)
    """Fewest requests that the new version must have answered at each step."""
    bake_time: Duration | None = None
    """How long the last step is held, judged on, after it has passed."""
    maximum_duration: Duration | None = None
    """How long it may take until promotion, without pauses, freezes and open questions. Then
    `inconclusive` holds."""
    alpha: float = Field(0.05, gt=0, le=0.2)
    """Chance that a version which is not worse is rolled back, over the whole rollout and however
    often one looks; shared by all criteria and steps."""
    criteria: list[CriterionSpec] | None = None
    """What it is judged by. Default by strategy: errors and latency; and where the strategy
    analyses, the distribution of predictions, and quality as ground truth arrives."""
    failure_limit: int = Field(1, ge=1)
    """The harmful evaluation in a row, by its number, that rolls back."""
    inconclusive: Literal["roll_back", "ask"] = "roll_back"
    """What follows when nothing is proven in the maximum duration; until then it holds."""
    approval: ApprovalSpec = ApprovalSpec()
    """Where a person must agree; by default nowhere."""
    freeze: list[FreezeSpec] = Field(default_factory=list)
    """Times in which nothing advances."""
    sticky_key: str | None = None
    """Feature or field whose value keeps a caller on one version, and the unit of the statistics.
    Default: `entity_key` of the document; without either each request counts for itself."""
    watch: WatchSpec = WatchSpec()
    """After promotion."""
    warm_standby: Duration | None = None
    """How long the former version keeps running after promotion, so that a rollback takes seconds.
    At least as long as the watch. Default by strategy."""
    warm_up_requests: int = Field(20, ge=0)
    """First requests of each version that are left out of all evidence."""
    baseline: bool = False
    """Whether a fresh copy of the serving version gets the same share as the new one and is what it
    is compared with, so that age, caches and size are alike."""
    bandit: BanditSpec | None = None
    """ab_test: moves the split while it runs; by default it stays."""

    @model_validator(mode="after")
    def _fields_agree(self) -> "RolloutSpec":
        problems = [
            *self._step_problems(),
            *self._criteria_problems(),
            *self._duration_problems(),
            *self._bandit_problems(),
        ]
        if problems:
            raise refusal(problems)
        return self

    def _step_problems(self) -> list[FieldProblem]:
        problems, largest = [], 49 if self.baseline else 99
        before = 0
        for position, percent in enumerate(self.steps or []):
            if not before < percent <= largest:
                above = f" (steps[{position - 1}])" if position else ""
                allowed = f"a whole percent above {before}{above} and at most {largest}"
                problems.append(FieldProblem(("steps", position), percent, allowed))
            before = max(before, percent)
        if self.strategy == "ab_test" and self.steps == []:
            problems.append(FieldProblem(("steps",), [], "at least one step with ab_test"))
        return problems

    def _criteria_problems(self) -> list[FieldProblem]:
        problems, names = [], set[str]()
        for position, criterion in enumerate(self.criteria or []):
            if criterion.title in names:
                allowed = "a name of its own; the one before has it too"
                problems.append(
                    FieldProblem(("criteria", position, "name"), criterion.title, allowed)
                )
            names.add(criterion.title)
        if self.criteria == []:
            problems.append(FieldProblem(("criteria",), [], "at least one criterion"))
        return problems

    def _duration_problems(self) -> list[FieldProblem]:
        problems = []
        at_least_a_second = ("interval", "maximum_duration")
        for name in at_least_a_second:
            value: Any = getattr(self, name)
            if value is not None and value < timedelta(seconds=1):
                problems.append(FieldProblem((name,), "0s", "at least 1s"))
        watch, standby = self.watch.duration, self.warm_standby
        if watch is not None and standby is not None and standby < watch and self.watch.revert:
            allowed = "at least as long as watch.duration, or there is nothing to revert to"
            problems.append(FieldProblem(("warm_standby",), write_duration(standby), allowed))
        return problems

    def _bandit_problems(self) -> list[FieldProblem]:
        if self.bandit is None:
            return []
        if self.strategy != "ab_test":
            return [FieldProblem(("bandit",), self.strategy, "only with strategy ab_test")]
        if self.baseline:
            return [FieldProblem(("bandit",), "baseline", "either baseline or bandit")]
        named = {criterion.title: criterion for criterion in self.criteria or []}
        chosen = named.get(self.bandit.criterion)
        with_mean = ("error_ratio", "score_mean", "quality", "function")
        if chosen is None or chosen.metric not in with_mean or not chosen.has_direction:
            allowed = "the name of a criterion with a mean and a direction (lower or higher)"
            found = self.bandit.criterion
            return [FieldProblem(("bandit", "criterion"), found, allowed)]
        return []
