"""Where a loss comes from: the slice of rows that explains most of it.

Here: `LossProfile`, the mean loss of every slice at the evaluation, and `explain_loss`, which tells
how much of an increase each slice of a window is due to.
Not here: whether performance fell at all (`change.py`).

A slice adds to the mean loss by its share and by its own loss. What slice s is due to is its share
times (its loss − the loss of all at the evaluation), now minus then. Over the slices of one column
these add up to the whole increase, whether rows got worse or bad rows became more. The loss is
Brier's for classes and the absolute error for numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import polars as pl

from mlops_assets.modeling.metrics import Floats
from mlops_assets.modeling.slices import MISSING, OTHERS
from mlops_assets.monitoring.record import Record
from mlops_assets.monitoring.verdict import SliceFinding

_MOST_VALUES = 12
_FEWEST_ROWS = 20
_LEAST_EXPLAINED = 0.5
_LEAST_LIFT = 1.5
_MOST_FINDINGS = 5


class SliceLoss(Record):
    """The rows with one value: how many, and their mean loss."""

    value: str
    n_rows: int
    loss: float


class ColumnLosses(Record):
    """The slices of one column.

    Attributes:
        column: Its name.
        edges: Numbers with many values: bounds of the ranges that are slices, growing. Else empty,
            and each frequent value is a slice.
        slices: At the evaluation; rarer values are one slice.
    """

    column: str
    edges: tuple[float, ...] = ()
    slices: tuple[SliceLoss, ...]


class LossProfile(Record):
    """The mean loss at the evaluation, whole and by slice; JSON both ways."""

    n_rows: int
    loss: float
    columns: tuple[ColumnLosses, ...]


def profile_losses(features: pl.DataFrame, losses: Floats, columns: Sequence[str]) -> LossProfile:
    """The losses by slice of some columns; each at most 12 values, or quarters of a number."""
    profiled = []
    for name in columns:
        values = features[name]
        edges = _edges(values)
        labels = _label(values, edges)
        if not edges:
            common = labels.value_counts(sort=True).sort(
                ["count", labels.name], descending=[True, False]
            )
            kept = [*common[labels.name].head(_MOST_VALUES).to_list(), MISSING]
            labels = labels.set(~labels.is_in(kept), OTHERS)
        found = _sums(labels, losses)
        slices = tuple(SliceLoss(value=v, n_rows=n, loss=s / n) for v, (n, s) in found.items())
        profiled.append(ColumnLosses(column=name, edges=edges, slices=slices))
    mean = float(losses.mean()) if losses.size else 0.0
    return LossProfile(n_rows=losses.size, loss=mean, columns=tuple(profiled))


def explain_loss(
    profile: LossProfile, features: pl.DataFrame, losses: Floats
) -> tuple[SliceFinding, ...]:
    """The slices that explain most of an increase of the mean loss, the most telling first.

    A slice explains it when at least half of the increase is due to it, and half as much again as
    its share of the rows; of several, the one that is due to most for its share. Empty when the
    loss did not increase, or none stands out.

    Args:
        profile: Of the evaluation.
        features: Of the window's rows whose truth is known.
        losses: Of the same rows.
    """
    if not losses.size or losses.mean() <= profile.loss:
        return ()
    findings: list[SliceFinding] = []
    for column in profile.columns:
        if column.column in features.columns:
            findings += _findings(profile, column, features[column.column], losses)
    findings.sort(key=lambda found: found.share - found.explains)
    return tuple(findings[:_MOST_FINDINGS])


def _findings(
    profile: LossProfile, column: ColumnLosses, values: pl.Series, losses: Floats
) -> Iterable[SliceFinding]:
    before = {part.value: part for part in column.slices}
    labels = _label(values, column.edges)
    if not column.edges:
        labels = labels.set(~labels.is_in([*before, MISSING]), OTHERS)
    increase = float(losses.mean()) - profile.loss
    for value, (n_rows, total) in _sums(labels, losses).items():
        then = before.get(value)
        share, share_before = n_rows / losses.size, 0.0
        due = share * (total / n_rows - profile.loss)
        if then is not None:
            share_before = then.n_rows / profile.n_rows
            due -= share_before * (then.loss - profile.loss)
        explains = due / increase
        if n_rows < _FEWEST_ROWS or explains < max(_LEAST_EXPLAINED, _LEAST_LIFT * share):
            continue
        loss_before = None if then is None else then.loss
        yield SliceFinding(
            column=column.column,
            value=value,
            n_rows=n_rows,
            share=share,
            share_before=share_before,
            loss=total / n_rows,
            loss_before=loss_before,
            explains=explains,
            reason=_words(column.column, value, explains, share, share_before),
        )


def _words(column: str, value: str, explains: float, share: float, share_before: float) -> str:
    part = "all" if explains >= 1 else f"{explains:.0%}"
    return (
        f"rows with {column} = {value} explain {part} of the loss "
        f"({share:.0%} of the rows, {share_before:.0%} at the evaluation)"
    )


def _sums(labels: pl.Series, losses: Floats) -> Mapping[str, tuple[int, float]]:
    """Number of rows and sum of losses by label, most rows first."""
    frame = pl.DataFrame({"label": labels, "loss": losses}).group_by("label")
    found = frame.agg(n=pl.len(), total=pl.col("loss").sum())
    found = found.sort(["n", "label"], descending=[True, False])
    return {str(label): (int(n), float(total)) for label, n, total in found.iter_rows()}


def _edges(values: pl.Series) -> tuple[float, ...]:
    """Bounds of quarters of a number with many values; empty for everything else."""
    if not values.dtype.is_numeric():
        return ()
    known = values.drop_nulls().cast(pl.Float64).to_numpy()
    known = known[np.isfinite(known)]
    if np.unique(known).size <= _MOST_VALUES:
        return ()
    return tuple(float(edge) for edge in np.unique(np.quantile(known, [0.25, 0.5, 0.75])))


def _label(values: pl.Series, edges: Sequence[float]) -> pl.Series:
    """What each row's slice is called."""
    if not edges:
        if values.dtype.is_float():  # 3 and 3.0 are one value, however the column is typed
            names = {number: f"{number:.15g}" for number in values.drop_nulls().unique()}
            values = values.replace_strict(names, default=None, return_dtype=pl.String)
        return values.cast(pl.String).fill_null(MISSING)
    numbers = values.cast(pl.Float64, strict=False).fill_nan(None)
    ranges = [f"to {edges[0]:g}", *(f"{a:g} to {b:g}" for a, b in pairwise(edges))]
    ranges.append(f"above {edges[-1]:g}")
    at = np.searchsorted(np.asarray(edges), numbers.fill_null(0.0).to_numpy(), side="left")
    labels = pl.Series(values.name, [ranges[i] for i in at], dtype=pl.String)
    return labels.set(numbers.is_null(), MISSING)
