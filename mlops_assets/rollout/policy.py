"""The rules of a rollout in force: what the document says, and the preset where it says nothing.

Here: `RolloutPolicy`, complete and without a default left to guess.
Not here: how it is written (`spec/rollout.py`), the presets and `build_policy`, which makes one
(`presets.py`), and who follows it (`decision.py`).
"""

from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from mlops_assets.rollout.evidence import Traffic
from mlops_assets.rollout.record import Record
from mlops_assets.spec.criterion import Better, CriterionMetric, QualityMetric
from mlops_assets.spec.rollout import Strategy, Weekday

MOST_SLICES = 10
"""Slices of one criterion that are judged; the alpha of a sliced criterion is shared among them."""


class Criterion(Record):
    """A criterion in force; fields as in the document, none left open."""

    title: str
    metric: CriterionMetric
    quantile: float = 0.95
    quality: QualityMetric | None = None
    function: str | None = None
    better: Better = "lower"
    margin: float | None = None
    margin_seconds: float = 0.0
    relative: bool = False
    maximum: float | None = None
    minimum: float | None = None
    slice_by: str | None = None
    on_harm: Literal["roll_back", "ask"] = "roll_back"
    required: bool = True

    @property
    def n_tests(self) -> int:
        """Comparisons that this criterion makes at each look: they share its alpha."""
        bounds = [self.maximum, self.minimum]
        n = (self.margin is not None) + sum(bound is not None for bound in bounds)
        return n * (1 + MOST_SLICES if self.slice_by else 1)


class ShadowStage(Record):
    """Mirroring before the first step."""

    minimum_samples: int
    minimum_duration: timedelta = timedelta(0)


class Freeze(Record):
    """A time in which nothing advances."""

    reason: str
    days: tuple[Weekday, ...]
    start: str
    end: str
    first: date | None
    last: date | None
    timezone: str

    def holds_at(self, now: datetime) -> bool:
        """Whether a moment lies in it; its start does, its end does not.

        >>> from datetime import UTC
        >>> friday = Freeze(reason="weekend", days=("fri",), start="16:00", end="24:00",
        ...     first=None, last=None, timezone="Europe/Berlin")
        >>> [friday.holds_at(datetime(2024, 5, 3, hour, tzinfo=UTC)) for hour in (13, 14, 22)]
        [False, True, False]
        """
        local = now.astimezone(ZoneInfo(self.timezone))
        weekday = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[local.weekday()]
        on_day = weekday in self.days
        in_dates = (self.first or date.min) <= local.date() <= (self.last or date.max)
        return on_day and in_dates and self.start <= f"{local:%H:%M}" < self.end


class Bandit(Record):
    """Moves the split of an A/B test while it runs."""

    criterion: str
    minimum_percent: int


class RolloutPolicy(Record):
    """How a rollout goes, completely.

    Attributes:
        strategy: Which preset it came from.
        steps: Percent of the challenger at each step; empty: all at once.
        shadow: Mirroring before them; None: none.
        interval: Shortest time between two evaluations.
        minimum_samples: Fewest requests of the challenger at each step.
        bake_time: How long the last step is held after it has passed.
        maximum_duration: Longest active time until promotion.
        alpha: Chance of a false rollback over the whole rollout.
        criteria: What is judged.
        failure_limit: Harmful evaluations in a row that roll back.
        inconclusive: What follows when the time is over.
        approval: Where a person must agree.
        answer_within: How long a question waits.
        freeze: When nothing advances.
        sticky_key: What keeps a caller on one version; None: nothing does.
        watch: How long the promoted version is watched; 0: not at all.
        revert: Whether harm during the watch reverts, or asks.
        warm_standby: How long the former version runs after promotion.
        warm_up_requests: First requests of each version that do not count.
        baseline: Whether to compare with a fresh copy of the stable version.
        bandit: Moves the split of an A/B test; None: it stays.
        verify: Whether the challenger must answer its examples before it gets traffic.
    """

    strategy: Strategy
    steps: tuple[int, ...]
    shadow: ShadowStage | None
    interval: timedelta
    minimum_samples: int
    bake_time: timedelta
    maximum_duration: timedelta
    alpha: float
    criteria: tuple[Criterion, ...]
    failure_limit: int = 1
    inconclusive: Literal["roll_back", "ask"] = "roll_back"
    approval: Literal["never", "before_promotion", "each_step"] = "never"
    answer_within: timedelta = timedelta(days=7)
    freeze: tuple[Freeze, ...] = ()
    sticky_key: str | None = None
    watch: timedelta
    revert: bool = True
    warm_standby: timedelta
    warm_up_requests: int = 20
    baseline: bool = False
    bandit: Bandit | None = None
    verify: bool = False

    @property
    def has_comparison(self) -> bool:
        """Whether both versions answer at the same time in some stage before promotion."""
        return bool(self.steps) or self.shadow is not None

    @property
    def n_stages(self) -> int:
        """Stages with evidence of their own: mirroring, each step, and the watch."""
        is_watched = self.watch > timedelta(0)
        return max(1, len(self.steps) + (self.shadow is not None) + is_watched)

    @property
    def alpha_each(self) -> float:
        """Chance of a false alarm of one comparison in one stage: alpha shared by all of them."""
        n_tests = sum(criterion.n_tests for criterion in self.criteria)
        return self.alpha / (self.n_stages * max(1, n_tests))

    def traffic_at(self, step: int) -> Traffic:
        """The split at a step; one beyond the last is the last."""
        percent = self.steps[min(step, len(self.steps) - 1)]
        baseline = percent if self.baseline else 0
        return Traffic(stable=100 - percent - baseline, challenger=percent, baseline=baseline)

    def frozen_by(self, now: datetime) -> Freeze | None:
        """The freeze that holds at a moment; None when there is none."""
        return next((freeze for freeze in self.freeze if freeze.holds_at(now)), None)
