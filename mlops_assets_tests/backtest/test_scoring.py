from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlops_assets.backtest.scoring import (
    Period,
    PolicyScore,
    cut_periods,
    recommend,
    score_period,
    summarize,
)
from mlops_assets.backtest.simulation import Played, Reign
from mlops_assets.monitoring.answers import Answers, Subject, answers_of


def at(month: int, day: int) -> datetime:
    return datetime(2024, month, day, tzinfo=UTC)


def played(name: str) -> Played:
    return Played(policy=name, reigns=(), attempts=(), n_windows=1, rules={})


def score(name: str, regret: float | None, n_retrained: int) -> PolicyScore:
    return PolicyScore(
        policy=name,
        by_period={},
        mean=None if regret is None else 0.7 - regret,
        regret=regret,
        n_retrained=n_retrained,
        n_promoted=n_retrained,
        cpu_minutes=float(n_retrained),
    )


def test_months_are_scored_when_there_are_three() -> None:
    periods = cut_periods(at(2, 10), at(4, 5))
    assert [p.name for p in periods] == ["2024-02", "2024-03", "2024-04"]
    assert (periods[0].start, periods[0].end) == (at(2, 10), at(3, 1))
    assert periods[-1].end == at(4, 5)


def test_less_time_is_scored_by_weeks() -> None:
    periods = cut_periods(at(2, 10), at(3, 1))
    assert [p.name for p in periods] == ["2024-02-10", "2024-02-17", "2024-02-24"]
    assert periods[-1].end == at(3, 1)


def answered(classes: tuple[str, ...], truth: list[str]) -> Answers:
    """Rows that a version answers rightly and surely, as far as it knows their classes."""
    places = np.array([classes.index(label) for label in truth])
    predicted = np.eye(len(classes))[places]
    return answers_of(Subject("multiclass", classes), predicted, places)


def test_versions_that_know_different_classes_are_scored_together() -> None:
    parts = {"1": answered(("a", "c"), ["a", "c", "c"]), "2": answered(("b", "c", "a"), ["b", "a"])}
    judgements = SimpleNamespace(answers=lambda version, *_: parts[version])
    world: Any = SimpleNamespace(judgements=judgements, candidate=str)
    reigns = [Reign(version="1", since=at(2, 1)), Reign(version="2", since=at(2, 5))]
    period = Period("2024-02", at(2, 1), at(3, 1))
    assert score_period(world, reigns, period, "accuracy") == 1.0


@pytest.mark.parametrize("metric", ["roc_auc", "mean_absolute_error"])
def test_regret_is_the_mean_distance_to_the_best_of_each_period(metric: str) -> None:
    sign = 1 if metric == "roc_auc" else -1
    values = {"a": {"1": 0.7, "2": 0.5, "3": None}, "b": {"1": 0.6, "2": 0.8, "3": None}}
    signed = {
        name: {p: None if v is None else sign * v for p, v in by.items()}
        for name, by in values.items()
    }
    found = summarize({name: played(name) for name in values}, signed, metric)  # type: ignore[arg-type]
    assert [s.mean for s in found] == pytest.approx([sign * 0.6, sign * 0.7])
    assert [s.regret for s in found] == pytest.approx([0.15, 0.05])


def test_periods_without_any_value_give_no_score() -> None:
    found = summarize({"a": played("a")}, {"a": {"1": None}}, "roc_auc")
    assert (found[0].mean, found[0].regret) == (None, None)


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        pytest.param(
            [score("often", 0.0, 40), score("seldom", 0.01, 4)], "seldom", id="at_the_tolerance"
        ),
        pytest.param(
            [score("often", 0.0, 40), score("seldom", 0.0101, 4)], "often", id="just_beyond_it"
        ),
        pytest.param(
            [score("a", 0.004, 3), score("b", 0.002, 3)], "b", id="of_equals_the_less_regret"
        ),
        pytest.param([score("a", None, 0), score("b", 0.5, 9)], "b", id="unknown_is_not_good"),
    ],
)
def test_the_cheapest_of_the_good_is_recommended(scores: list[PolicyScore], chosen: str) -> None:
    name, reason = recommend(scores, 0.01)
    assert name == chosen
    assert reason.startswith(f"{chosen} stays ")


def test_without_any_score_nothing_is_recommended() -> None:
    with pytest.raises(ValueError, match="no policy has a score"):
        recommend([score("a", None, 0)], 0.01)
