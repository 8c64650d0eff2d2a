"""The verdict on each declared slice: rows that share a value, beside the same rows before."""

from mlops_assets.monitoring.column_verdict import Case, Found, adjust, judge, name_some, telling
from mlops_assets.monitoring.comparison import slice_tables
from mlops_assets.monitoring.layout import Slice
from mlops_assets.monitoring.report import ColumnDrift, DriftState, SliceDrift
from mlops_assets.spec import DriftSpec

_Judged = list[tuple[Found, float | None]]


def assess_slices(case: Case) -> tuple[SliceDrift, ...]:
    """Every slice by itself; the columns of all slices are corrected together."""
    parts = case.reference.layout.slices
    found = [_find_inside(case, position, part) for position, part in enumerate(parts)]
    adjusted = iter(adjust([f.p for inside in found for f in inside]))
    return tuple(
        _describe_slice(case, position, [(f, next(adjusted)) for f in inside])
        for position, inside in enumerate(found)
    )


def _find_inside(case: Case, position: int, part: Slice) -> list[Found]:
    """The differences of all features but the one that cuts, inside a slice."""
    timed = case.reference.timed_blocks
    found: list[Found] = []
    if case.current.columns[part.column].problem:
        return found
    for name, layout in case.reference.layout.columns.items():
        old, new = case.reference.columns[name], case.current.columns[name]
        if name == part.column or new.problem or layout.column.role != "feature":
            continue
        now = new.by_slice[position].sum(axis=0)
        tables = slice_tables(layout, old.by_slice[position][timed], now)
        found.append(Found(layout, tables, case.compare(tables)))
    return found


def _describe_slice(case: Case, position: int, judged: _Judged) -> SliceDrift:
    part = case.reference.layout.slices[position]
    n, m = (
        int(side.columns[part.column].by_slice[position].sum())
        for side in (case.reference, case.current)
    )
    columns = [_describe_column(f, p, case.policy) for f, p in judged]
    drifted = sorted((c for c in columns if c.state == "drifted"), key=lambda c: -telling(c))
    state, reason = _slice_state(n, m, columns, drifted, case.policy)
    return SliceDrift(
        column=part.column,
        value=part.value,
        state=state,
        reason=reason,
        n_reference=n,
        n_current=m,
        columns=tuple(drifted),
    )


def _describe_column(found: Found, adjusted: float | None, policy: DriftSpec) -> ColumnDrift:
    state, reason = judge(found, adjusted, policy)
    return ColumnDrift(
        column=found.layout.column.name,
        kind=found.layout.column.kind,
        state=state,
        reason=reason,
        n_reference=found.tables.n,
        n_current=found.tables.m,
        p=found.p,
        p_adjusted=adjusted,
        shift_ratio=max((d.shift_ratio for d in found.differences), default=None),
    )


def _slice_state(
    n: int, m: int, columns: list[ColumnDrift], drifted: list[ColumnDrift], policy: DriftSpec
) -> tuple[DriftState, str]:
    if all(column.p is None for column in columns):
        least = f"{policy.minimum_rows:,} of each are needed"
        return "not_enough_data", f"{m:,} rows in the window, {n:,} in the reference; {least}"
    if drifted:
        return "drift", f"{name_some(drifted)} moved in {m:,} rows; {drifted[0].reason}"
    return "no_drift", f"none of {len(columns)} columns moved in {m:,} rows"
