import numpy as np
import polars as pl
import pytest

from mlops_assets.modeling import leakage
from mlops_assets.modeling.leakage import assess_leakage, score_columns
from mlops_assets.modeling.manifest import FeatureField

RNG = np.random.default_rng(0)
N = 2_000
LATENT = RNG.normal(size=N)
LATE = pl.Series((LATENT > 0.8).astype(int))


def score(column: pl.Series, kind: str, target: pl.Series, *, classes: bool = True) -> float:
    field = FeatureField.model_validate({"name": "x", "kind": kind})
    found = score_columns(pl.DataFrame({"x": column}), [field], target, classes=classes)["x"]
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("column", "kind", "at_least"),
    [
        pytest.param(pl.Series(LATENT), "number", 1.0, id="the_number_behind_the_target"),
        pytest.param(pl.Series(-LATENT), "number", 1.0, id="downwards"),
        pytest.param(LATE.cast(pl.Boolean), "boolean", 1.0, id="the_target_itself"),
        pytest.param(LATE.replace_strict({0: "a", 1: "b"}), "category", 1.0, id="its_name"),
        pytest.param(
            pl.Series(LATENT).set(LATE == 1, None), "number", 0.98, id="missing_when_it_is_true"
        ),
    ],
)
def test_a_column_that_gives_the_target_away_scores_high(
    column: pl.Series, kind: str, at_least: float
) -> None:
    assert score(column, kind, LATE) >= at_least


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        pytest.param(pl.Series(RNG.normal(size=N)), "number", id="noise"),
        pytest.param(pl.Series([f"id {i}" for i in range(N)]), "category", id="an_id"),
        pytest.param(pl.Series([1.0] * N), "number", id="a_constant"),
    ],
)
def test_a_column_that_knows_nothing_scores_like_chance(column: pl.Series, kind: str) -> None:
    assert score(column, kind, LATE) == pytest.approx(0.5, abs=0.05)


def test_of_several_classes_each_is_scored_against_the_rest() -> None:
    target = pl.Series(np.select([LATENT < -0.5, LATENT < 0.5], ["low", "middle"], "high"))
    assert score(pl.Series(LATENT), "number", target) > 0.98
    assert score(pl.Series(RNG.normal(size=N)), "number", target) < 0.56


def test_numbers_are_scored_by_the_share_that_is_explained() -> None:
    target = pl.Series(3 * LATENT + 1)
    assert score(pl.Series(LATENT), "number", target, classes=False) == pytest.approx(1.0)
    noise = pl.Series(RNG.normal(size=N))
    assert score(noise, "number", target, classes=False) == pytest.approx(0, abs=0.05)


def test_few_rows_that_fall_with_the_target_score_as_those_that_rise_with_it() -> None:
    """In 40 rows no bin holds two, so only the line through them tells."""
    target = pl.Series([0] * 20 + [1] * 20)
    rising = pl.Series(range(40)).cast(pl.Float64)
    assert score(rising, "number", target) == score(-rising, "number", target) == 1.0


def test_a_number_that_is_missing_in_all_rows_that_are_looked_at_knows_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leakage, "_MOST_ROWS", 20)
    ended = pl.Series([1.0, 2.0] * 10 + [None] * 20)
    assert score(ended, "number", pl.Series([0, 0, 1, 1] * 10)) == 0.5
    numbers = pl.Series([i / 7 for i in range(40)])
    assert score(ended, "number", numbers, classes=False) == pytest.approx(0, abs=0.2)


def test_a_half_of_the_rows_without_different_numbers_leaves_a_score_unknown() -> None:
    """The mean of 0.1, seven times, is not 0.1."""
    field = FeatureField(name="x", kind="number")
    frame = pl.DataFrame({"x": [float(i) for i in range(14)]})
    target = pl.Series([0.1, 0.2] * 6 + [0.1, 0.9])
    assert score_columns(frame, [field], target, classes=False) == {"x": None}


def test_too_few_rows_score_unknown() -> None:
    field = FeatureField(name="x", kind="number")
    frame = pl.DataFrame({"x": [1.0, 2.0, 3.0]})
    assert score_columns(frame, [field], pl.Series([0, 0, 1]), classes=True) == {"x": None}


@pytest.mark.parametrize(
    ("scores", "passed", "told"),
    [
        pytest.param({"a": 0.98, "b": 0.7}, True, r"best is a \(0\.980\)", id="limit_inclusive"),
        pytest.param({"a": 0.981, "b": 0.99}, False, r"b \(0\.990\), a \(0\.981\)", id="above"),
        pytest.param({"a": 0.6, "b": None}, False, "too few rows to know about b", id="unknown"),
    ],
)
def test_leakage_is_judged(scores: dict[str, float | None], passed: bool, told: str) -> None:
    verdict = assess_leakage(scores, 0.98)
    assert verdict.passed is passed
    assert pl.Series([verdict.reason]).str.contains(told).all()
