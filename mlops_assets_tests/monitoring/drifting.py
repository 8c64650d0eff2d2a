"""Frames without drift to draw from, and their sketches, in few words."""

from datetime import UTC, datetime

import numpy as np
import polars as pl

from mlops_assets.monitoring.counting import sketch_reference, sketch_window
from mlops_assets.monitoring.layout import Selection, WatchedColumn
from mlops_assets.monitoring.sketch import Sketch

SHOP = Selection(
    (
        WatchedColumn("age", "number"),
        WatchedColumn("spend", "number"),
        WatchedColumn("plan", "category"),
        WatchedColumn("member", "boolean"),
        WatchedColumn("joined", "datetime"),
        WatchedColumn("score", "number", "prediction"),
    ),
    slices=("plan",),
    time_column="at",
)
START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday


def shop(n: int, seed: int = 0, *, first_day: int = 0, n_days: int = 28) -> pl.DataFrame:
    """Visits, evenly over some days; nothing differs from day to day."""
    rng = np.random.default_rng(seed)
    seconds = pl.Series((first_day + np.arange(n) * n_days / max(n, 1)) * 86_400_000_000)
    at = START + seconds.cast(pl.Int64).cast(pl.Duration("us"))
    return pl.DataFrame(
        {
            "at": at,
            "age": rng.integers(18, 80, n),
            "spend": np.where(rng.random(n) < 0.1, np.nan, rng.lognormal(3, 1, n)),
            "plan": rng.choice(["basic", "plus", "pro"], n, p=[0.6, 0.3, 0.1]),
            "member": rng.random(n) < 0.3,
            "joined": at - pl.Series(rng.integers(0, 900, n)).cast(pl.Duration("us")) * 86_400_000,
            "score": rng.beta(2, 5, n),
        }
    )


def shop_reference(n: int = 5_600, seed: int = 1) -> Sketch:
    """28 days of visits."""
    return sketch_reference(shop(n, seed), SHOP)


def shop_day(reference: Sketch, n: int = 200, seed: int = 2) -> Sketch:
    """One day of visits after those."""
    return sketch_window(shop(n, seed, first_day=28, n_days=1), reference.layout)
