"""The `criteria:` of a rollout: what a new version is judged by, as a person may write it."""

from typing import Literal

from pydantic import Field, model_validator

from mlops_assets.spec.base import (
    Document,
    FieldProblem,
    Identifier,
    ImportPath,
    refusal,
)

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
_FIXED_BETTER: dict[str, Better] = {
    "error_ratio": "lower",
    "latency": "lower",
    "prediction_distribution": "same",
    "disagreement": "lower",
}
_ONE_ARMED = ("disagreement",)
_NO_BOUNDS = ("prediction_distribution",)


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

    @property
    def has_direction(self) -> bool:
        """Whether a higher or a lower value is the better one, declared or by default."""
        return self.better != "same" and (self.better is not None or self.metric != "score_mean")

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
        if self.metric in _NO_BOUNDS:
            allowed = f"only a margin with metric {self.metric}"
            problems += [
                FieldProblem((name,), bound, allowed)
                for name, bound in zip(("minimum", "maximum"), bounds, strict=True)
                if bound is not None
            ]
        if self.metric in _ONE_ARMED and self.margin is not None:
            allowed = f"only a maximum with metric {self.metric}"
            problems.append(FieldProblem(("margin",), self.margin, allowed))
        if None not in bounds and bounds[0] > bounds[1]:  # type: ignore[operator]
            allowed = f"at most the maximum, {self.maximum:g}"
            problems.append(FieldProblem(("minimum",), self.minimum, allowed))
        if self.metric == "function" and bounds == (None, None) and self.margin is None:
            problems.append(FieldProblem(("margin",), None, "a margin, a minimum or a maximum"))
        return problems
