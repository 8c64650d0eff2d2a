"""What is counted of a window's rows, and of the training data: evidence for `quality.py`."""

from collections.abc import Mapping

import polars as pl

from mlops_assets.data.contract_rules import broken_rows, build_schema, cast_batch
from mlops_assets.monitoring.record import Record
from mlops_assets.spec import ColumnContract

_FAR_OUT = 10.0  # times the range of the training data


class QualityProfile(Record):
    """What the training data looked like; JSON both ways.

    Attributes:
        n_rows: Rows.
        violation_ratio: Share of rows that break the contract.
        repeat_ratio: Share of rows that are the most frequent one.
        lowest: Smallest number of each numeric column.
        highest: Largest.
        unseen_ratio: Of each category column, the share of values that another sample would show
            and this one does not: values seen once, as a share of all (Good and Turing; Good 1953,
            Biometrika 40:237).
    """

    n_rows: int
    violation_ratio: float = 0.0
    repeat_ratio: float = 0.0
    lowest: dict[str, float] = {}
    highest: dict[str, float] = {}
    unseen_ratio: dict[str, float] = {}


class RowCounts(Record):
    """What was counted on the rows of a window.

    Attributes:
        n_rows: Rows.
        n_violating: Rows that break the contract.
        violations: Rows that break it, by column.
        n_most_frequent: How often the most frequent row stands there.
        wild: Numbers far beyond those of the training data, by column; columns without any are left
            out.
    """

    n_rows: int
    n_violating: int = 0
    violations: dict[str, int] = {}
    n_most_frequent: int = 0
    wild: dict[str, int] = {}


class LogCounts(Record):
    """What was counted while the log of a window was read.

    Attributes:
        n_duplicates: Events that repeat the id of another; they are left out.
        n_future: Rows that are dated later than now, by more than clocks may lie apart.
        n_lost: Records that cannot be read.
        n_other_versions: Rows that other versions answered; they are left out.
    """

    n_duplicates: int = 0
    n_future: int = 0
    n_lost: int = 0
    n_other_versions: int = 0


def profile_quality(
    features: pl.DataFrame, contracts: Mapping[str, ColumnContract]
) -> QualityProfile:
    """What the training data looks like."""
    counts = measure_rows(features, contracts, None)
    numbers = [n for n, dtype in features.schema.items() if dtype.is_numeric()]
    bounds = {
        name: (float(values.min()), float(values.max()))  # type: ignore[arg-type]
        for name in numbers
        if (values := _finite(features[name])).len()
    }
    texts = [n for n, dtype in features.schema.items() if dtype == pl.String]
    n_rows = max(1, counts.n_rows)
    return QualityProfile(
        n_rows=counts.n_rows,
        violation_ratio=counts.n_violating / n_rows,
        repeat_ratio=counts.n_most_frequent / n_rows,
        lowest={name: low for name, (low, _) in bounds.items()},
        highest={name: high for name, (_, high) in bounds.items()},
        unseen_ratio={name: _unseen_ratio(features[name]) for name in texts},
    )


def measure_rows(
    features: pl.DataFrame,
    contracts: Mapping[str, ColumnContract],
    profile: QualityProfile | None,
) -> RowCounts:
    """Counts of some rows.

    Args:
        features: The raw features.
        contracts: Of the columns that have one; others pass.
        profile: Of the training data; None counts nothing as wild.
    """
    known = {name: c for name, c in contracts.items() if name in features.columns}
    broken = _broken_columns(features, known)
    violating = pl.select(pl.any_horizontal(*broken.values())).to_series() if broken else None
    watched = [] if profile is None else list(profile.lowest)
    wild = {n: _n_wild(features[n], profile, n) for n in watched if n in features.columns}
    most = features.hash_rows().value_counts()["count"].max() if features.height else 0
    return RowCounts(
        n_rows=features.height,
        n_violating=0 if violating is None else int(violating.sum()),
        violations={name: int(rows.sum()) for name, rows in broken.items()},
        n_most_frequent=int(most) if isinstance(most, int) else 0,
        wild={name: n for name, n in wild.items() if n},
    )


def _broken_columns(
    features: pl.DataFrame, contracts: Mapping[str, ColumnContract]
) -> dict[str, pl.Series]:
    """Which rows break the contract of which column."""
    if not contracts or features.is_empty():
        return {}
    found: dict[str, pl.Series] = {}
    cast = cast_batch(features, contracts)
    for (column, _), rows in broken_rows(build_schema(contracts), cast).items():
        found[column] = found[column] | rows if column in found else rows
    return found


def _n_wild(values: pl.Series, profile: QualityProfile | None, name: str) -> int:
    if profile is None or not values.dtype.is_numeric():
        return 0
    low, high = profile.lowest[name], profile.highest[name]
    room = _FAR_OUT * max(high - low, abs(low), abs(high), 1e-12)
    return int((~_finite(values).is_between(low - room, high + room)).sum())


def _finite(values: pl.Series) -> pl.Series:
    numbers = values.cast(pl.Float64, strict=False).drop_nulls()
    return numbers.filter(numbers.is_finite())


def _unseen_ratio(values: pl.Series) -> float:
    known = values.drop_nulls()
    if known.is_empty():
        return 0.0
    return float((known.value_counts()["count"] == 1).sum()) / known.len()
