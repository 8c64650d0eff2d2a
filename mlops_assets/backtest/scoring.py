"""How good a played policy was: its metric by period, its regret, and which policy to take.

The metric of a period is that of all its rows, each answered by the version that served then, with
all truth that ever came. Regret is how far a policy stayed behind the best policy of each period,
chosen in hindsight; on average over periods.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.backtest.simulation import Played, Reign
from mlops_assets.backtest.worlds import RealWorld
from mlops_assets.modeling.metrics import Floats, class_statistic, direction, number_statistic
from mlops_assets.monitoring.answers import Answers
from mlops_assets.monitoring.record import Record
from mlops_assets.spec.model import Metric

_FEWEST_MONTHS = 3
_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time that is scored as one."""

    name: str
    start: datetime
    end: datetime


class PolicyScore(Record):
    """How good a policy was.

    Attributes:
        policy: Its name.
        by_period: The metric by name of the period; None where it is undefined.
        mean: Over the periods; None when none is defined.
        regret: Mean distance to the best policy of each period, 0 or more; None as above.
        n_retrained: Trainings after the first model.
        n_promoted: Those that gave a new champion.
        cpu_minutes: What they cost.
    """

    policy: str
    by_period: dict[str, float | None]
    mean: float | None
    regret: float | None
    n_retrained: int
    n_promoted: int
    cpu_minutes: float


def cut_periods(begin: datetime, end: datetime) -> list[Period]:
    """Months (UTC) when there are three or more, else weeks from the begin on."""
    months = []
    start = begin
    while start < end:
        first = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = (first + timedelta(days=32)).replace(day=1)
        months.append(Period(f"{start:%Y-%m}", start, min(following, end)))
        start = following
    if len(months) >= _FEWEST_MONTHS:
        return months
    n_weeks = max(1, -(-(end - begin) // _WEEK))
    starts = [begin + number * _WEEK for number in range(n_weeks)]
    return [Period(f"{at:%Y-%m-%d}", at, min(at + _WEEK, end)) for at in starts]


def score_period(
    world: RealWorld, reigns: Sequence[Reign], period: Period, metric: Metric
) -> float | None:
    """The metric of one period; None when it is undefined."""
    parts = []
    for position, reign in enumerate(reigns):
        until = reigns[position + 1].since if position + 1 < len(reigns) else period.end
        start, end = max(reign.since, period.start), min(until, period.end)
        if start < end:
            parts.append(world.judgements.answers(world.candidate(reign.version), start, end))
    return _measure(parts, metric)


def _measure(parts: Sequence[Answers], metric: Metric) -> float | None:
    predicted, truth = _joined(parts)
    if not truth.size:
        return None
    is_regression = parts[0].subject.task == "regression"
    build = number_statistic if is_regression else class_statistic
    value = float(build(metric, truth, predicted)(np.ones((truth.size, 1)))[0])
    return value if np.isfinite(value) else None


def _joined(parts: Sequence[Answers]) -> tuple[Floats, NDArray[Any]]:
    """Answers and truth of all parts, with a column for each class that any version knows: one
    trained early may not have seen all of them."""
    classes = list(dict.fromkeys(label for part in parts for label in part.subject.classes))
    if not classes:
        predicted, truth = [part.predicted for part in parts], [part.truth for part in parts]
        return np.concatenate(predicted), np.concatenate(truth)
    predicted, truth = [], []
    for part in parts:
        columns = np.array([classes.index(label) for label in part.subject.classes])
        wide = np.zeros((part.n_rows, len(classes)))
        wide[:, columns] = part.predicted
        predicted.append(wide)
        truth.append(columns[part.truth])
    return np.concatenate(predicted), np.concatenate(truth)


def summarize(
    played: Mapping[str, Played],
    scores: Mapping[str, Mapping[str, float | None]],
    metric: Metric,
) -> list[PolicyScore]:
    """Scores with their regrets, in the order of the policies."""
    sign = direction(metric)
    periods = list(next(iter(scores.values()))) if scores else []
    best: dict[str, float] = {}
    for period in periods:
        known = [sign * v for by in scores.values() if (v := by[period]) is not None]
        if known:
            best[period] = max(known)
    return [_score(played[name], by, best, sign) for name, by in scores.items()]


def _score(
    played: Played, by_period: Mapping[str, float | None], best: Mapping[str, float], sign: int
) -> PolicyScore:
    known = {name: value for name, value in by_period.items() if value is not None}
    behind = [best[name] - sign * value for name, value in known.items()]
    return PolicyScore(
        policy=played.policy,
        by_period=dict(by_period),
        mean=float(np.mean(list(known.values()))) if known else None,
        regret=float(np.mean(behind)) if behind else None,
        n_retrained=played.n_retrained,
        n_promoted=played.n_promoted,
        cpu_minutes=played.cpu_minutes,
    )


def recommend(scores: Sequence[PolicyScore], tolerance: float) -> tuple[str, str]:
    """The policy to take, and why: of those whose regret is within a tolerance of the least, the
    one that trains least, then the one with the least regret.

    Raises:
        ValueError: no policy has a score.
    """
    known = [(score, score.regret) for score in scores if score.regret is not None]
    if not known:
        raise ValueError("no policy has a score")
    least = min(regret for _, regret in known)
    good = [(score, regret) for score, regret in known if regret <= least + tolerance]
    chosen, regret = min(good, key=lambda pair: (pair[0].n_retrained, pair[1]))
    others = len(good) - 1
    reason = (
        f"{chosen.policy} stays {regret:.4f} behind the best policy of each period with "
        f"{chosen.n_retrained} retrainings; the least regret of all is {least:.4f}, and "
        f"{others} other{'s' if others != 1 else ''} within {tolerance:g} of it train as often or "
        "more"
    )
    return chosen.policy, reason
