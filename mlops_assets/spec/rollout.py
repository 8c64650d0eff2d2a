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
    Identifier,
    ImportPath,
    TimeZone,
    refusal,
)

Strategy = Literal["rolling", "canary", "blue_green", "ab_test", "shadow"]
CriterionMetric = Literal[
    "error_ratio",
    "latency",
    "prediction_distribution",
    "score_mean",
    "quality",
    "disagreement",
    "function",
]
QualityMetric = Literal[
    "accuracy", "brier_score", "log_loss", "mean_absolute_error", "mean_squared_error"
]
Better = Literal["lower", "higher", "same"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

_TIME = re.compile(r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")
_FIXED_BETTER: dict[str, Better] = {
    "error_ratio": "lower",
    "latency": "lower",
    "prediction_distribution": "same",
    "disagreement": "lower",
}
_ONE_ARMED = ("disagreement",)
_NO_BOUNDS = ("prediction_distribution",)


def _require_time(text: str) -> str:
    if _TIME.match(text) is None:
        raise ValueError('a time of day such as "09:00", at most "24:00", in quotes')
    return text


TimeOfDay = Annotated[str, AfterValidator(_require_time)]


class CriterionSpec(Document):
    """One thing that a new version is judged by, beside the version that serves at the same time.

    A sequence of intervals that stays valid however often one looks is kept for each. It is harmful
    once the whole interval lies beyond the margin, healthy once it lies inside, else undecided.
    """

    metric: CriterionMetric
    """error_ratio: share of requests that got no answer: 5xx, NaN, too late, or refused (400, 422).
    latency: a quantile of the time to answer. prediction_distribution: how far the shares of
    classes, or of ranges of the score, lie apart (total variation, 0 to 1). score_mean: mean score
    (probability of the positive class, or the predicted number). quality: a metric of predictions
    and their ground truth. disagreement: share of mirrored requests that both versions answer
    differently; only while traffic is mirrored. function: one number a prediction, from a function
    of your own."""
    name: Identifier | None = None
    """Name of the criterion in reports; by default the metric's. Needed when a metric stands
    twice."""
    quantile: float = Field(0.95, ge=0.5, le=0.999)
    """latency: which quantile."""
    quality: QualityMetric | None = None
    """quality: which metric. Default: brier_score for classes, mean_absolute_error for
    regression."""
    function: ImportPath | None = None
    """function: takes a Polars frame of logged predictions (truth joined where it has arrived) and
    returns a series of one number a row; null leaves a row out. It must judge each row alone."""
    better: Better | None = None
    """Which direction is better. `same`: a difference in either direction is harm. Default: lower
    for errors, latency and losses, higher for accuracy, same for score_mean. A function must
    say."""
    margin: float | None = Field(None, ge=0)
    """How much worse than the version that serves at the same time is allowed. Null with a bound
    set: only the bound is judged; null without: the default of the metric (error_ratio 0.02,
    latency 0.5, prediction_distribution 0.2, score_mean 0.1, quality 0.1)."""
    margin_seconds: float = Field(0.01, ge=0)
    """latency: a difference smaller than this is always allowed."""
    relative: bool | None = None
    """Whether the margin is a share of the serving version's value. Default: true for latency and
    quality, and for the score_mean of a regression; else false."""
    maximum: float | None = None
    """Absolute bound: the value must not lie above it. latency in seconds."""
    minimum: float | None = None
    """Absolute bound: the value must not lie below it."""
    slice_by: str | None = None
    """Feature whose values are judged each on their own, beside the whole; the 10 most frequent."""
    on_harm: Literal["roll_back", "ask"] | None = None
    """What proven harm leads to. Default: roll_back; prediction_distribution and disagreement can
    only ask, since every really better model differs."""
    required: bool | None = None
    """Whether a step waits until this criterion is healthy. false: it can stop a rollout and never
    hold it up. Default: true for error_ratio, latency and function; false for those that wait for
    truth or differ in every better model."""

    @property
    def title(self) -> str:
        """The name in force."""
        return self.name or self.metric

    @model_validator(mode="after")
    def _fields_fit_metric(self) -> "CriterionSpec":
        problems = [*self._misplaced(), *self._direction_problems(), *self._bound_problems()]
        if problems:
            raise refusal(problems)
        return self

    def _misplaced(self) -> list[FieldProblem]:
        problems = []
        if self.quality is not None and self.metric != "quality":
            problems.append(FieldProblem(("quality",), self.quality, "only with metric quality"))
        if (self.function is not None) != (self.metric == "function"):
            allowed = "an import path with metric function, and only then"
            problems.append(FieldProblem(("function",), self.function, allowed))
        if self.on_harm == "roll_back" and self.metric in (*_NO_BOUNDS, *_ONE_ARMED):
            allowed = f"ask, since a better model differs too ({self.metric})"
            problems.append(FieldProblem(("on_harm",), "roll_back", allowed))
        if self.slice_by is not None and self.metric in (*_NO_BOUNDS, *_ONE_ARMED, "latency"):
            allowed = "only with metric error_ratio, score_mean, quality or function"
            problems.append(FieldProblem(("slice_by",), self.slice_by, allowed))
        return problems

    def _direction_problems(self) -> list[FieldProblem]:
        fixed = _FIXED_BETTER.get(self.metric)
        if self.metric == "function" and self.better is None:
            return [FieldProblem(("better",), None, "lower, higher or same with metric function")]
        if fixed is not None and self.better not in (None, fixed):
            return [FieldProblem(("better",), self.better, f"{fixed} with metric {self.metric}")]
        return []

    def _bound_problems(self) -> list[FieldProblem]:
        problems = []
        bounds = (self.minimum, self.maximum)
        if self.metric in _NO_BOUNDS and bounds != (None, None):
            allowed = f"only a margin with metric {self.metric}"
            problems.append(FieldProblem(("maximum",), self.maximum, allowed))
        if self.metric in _ONE_ARMED and self.margin is not None:
            allowed = f"only a maximum with metric {self.metric}"
            problems.append(FieldProblem(("margin",), self.margin, allowed))
        if None not in bounds and bounds[0] > bounds[1]:  # type: ignore[operator]
            allowed = f"at most the maximum, {self.maximum:g}"
            problems.append(FieldProblem(("minimum",), self.minimum, allowed))
        if self.metric == "function" and bounds == (None, None) and self.margin is None:
            problems.append(FieldProblem(("margin",), None, "a margin, a minimum or a maximum"))
        return problems


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
            problems.append(FieldProblem(("warm_standby",), str(standby), allowed))
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
        if chosen is None or chosen.metric not in with_mean or chosen.better == "same":
            allowed = "the name of a criterion with a mean and a direction (lower or higher)"
            found = self.bandit.criterion
            return [FieldProblem(("bandit", "criterion"), found, allowed)]
        return []
