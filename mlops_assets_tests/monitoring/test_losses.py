"""Where a loss comes from."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.modeling.metrics import Floats
from mlops_assets.monitoring.losses import LossProfile, explain_loss, profile_losses


def rows(n: int, seed: int, *, housing: float = 0.05) -> tuple[pl.DataFrame, Floats]:
    """Rows of whom some live in group quarters, where the loss is four times as large."""
    rng = np.random.default_rng(seed)
    quarters = rng.random(n) < housing
    features = pl.DataFrame(
        {
            "quarters": np.where(quarters, "group", "household"),
            "age": rng.normal(40, 12, n),
            "rooms": rng.integers(1, 6, n).astype(float),
        }
    )
    return features, np.where(quarters, 0.8, 0.2) + rng.normal(0, 0.02, n)


def profile(n: int = 4_000) -> LossProfile:
    return profile_losses(*rows(n, 1), ["quarters", "age", "rooms"])


def test_the_slice_that_became_more_explains_the_loss() -> None:
    worst = explain_loss(profile(), *rows(2_000, 2, housing=0.5))[0]
    assert (worst.column, worst.value) == ("quarters", "group")
    # 0.50·0.57 − 0.05·0.57 of 0.27; that the others became fewer is the rest
    assert worst.explains == pytest.approx(0.95, abs=0.02)
    assert (round(worst.share, 1), round(worst.share_before, 2)) == (0.5, 0.05)
    assert "rows with quarters = group explain" in worst.reason


def test_the_slice_that_got_worse_explains_the_loss() -> None:
    features, losses = rows(2_000, 3)
    old = features["age"].to_numpy() > 60
    worst = explain_loss(profile(), features, losses + 0.5 * old)[0]
    assert (worst.column, worst.value[:5]) == ("age", "above")


def test_a_loss_that_all_rows_share_is_explained_by_none() -> None:
    features, losses = rows(2_000, 4)
    assert explain_loss(profile(), features, losses + 0.2) == ()


def test_no_loss_no_explanation() -> None:
    features, losses = rows(2_000, 5)
    assert explain_loss(profile(), features, losses - 0.05) == ()
    assert explain_loss(profile(), features.head(0), losses[:0]) == ()


def test_a_value_never_seen_before_is_one_of_the_others() -> None:
    features, losses = rows(2_000, 6)
    new = features.with_columns(quarters=pl.lit("boat"))
    worst = explain_loss(profile(), new, losses + 0.3)
    assert all(found.value != "boat" for found in worst)


def test_missing_values_are_a_slice() -> None:
    features, losses = rows(2_000, 7)
    gone = np.arange(2_000) % 5 == 0
    blank = features.with_columns(age=features["age"].set(pl.Series(gone), None))
    found = explain_loss(profile(), blank, losses + 0.4 * gone)
    assert (found[0].column, found[0].value) == ("age", "(missing)")


def test_a_column_that_is_gone_explains_nothing() -> None:
    features, losses = rows(2_000, 2, housing=0.5)
    found = explain_loss(profile(), features.drop("quarters"), losses)
    assert all(finding.column != "quarters" for finding in found)


def test_a_profile_is_stored_as_json() -> None:
    found = profile()
    assert LossProfile.model_validate_json(found.model_dump_json()) == found


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1_000), housing=st.floats(0.15, 0.5))
def test_the_slices_of_a_column_add_up_to_the_whole(seed: int, housing: float) -> None:
    """What each slice is due to, computed here once more, sums to the increase, and is told."""
    features, losses = rows(600, seed, housing=housing)
    before = profile()
    column = before.columns[0]
    increase = losses.mean() - before.loss
    labels = features["quarters"].to_numpy()
    due = {}
    for part in column.slices:
        inside = losses[labels == part.value]
        now = inside.size / losses.size * (inside.mean() - before.loss)
        due[part.value] = now - part.n_rows / before.n_rows * (part.loss - before.loss)
    assert sum(due.values()) == pytest.approx(increase, abs=1e-9)
    told = [f for f in explain_loss(before, features, losses) if f.column == "quarters"]
    assert {f.value: f.explains for f in told} == pytest.approx({"group": due["group"] / increase})
