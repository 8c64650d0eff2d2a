"""The verdict on a window: which columns drifted from the reference, and whether the window did.

Here: `assess_drift`, from two sketches and a policy to a `DriftReport`.
Not here: counting (`counting.py`), the p of one column (`comparison.py`), what is done about it.

>>> from mlops_assets.monitoring.counting import sketch_reference, sketch_window
>>> from mlops_assets.monitoring.layout import Selection, WatchedColumn
>>> import polars as pl
>>> rows = pl.DataFrame({"age": [20 + i % 40 for i in range(400)]})
>>> reference = sketch_reference(rows, Selection((WatchedColumn("age", "number"),)))
>>> window = sketch_window(rows.head(100).with_columns(pl.col("age") + 15), reference.layout)
>>> report = assess_drift(reference, window, DriftSpec())
>>> report.state, round(report.columns[0].distances.kolmogorov_smirnov, 2)
('drift', 0.38)
"""

from collections.abc import Iterable, Mapping

from mlops_assets.errors import MonitoringError
from mlops_assets.monitoring.column_verdict import (
    Case,
    adjust,
    describe,
    find,
    name_some,
    telling,
)
from mlops_assets.monitoring.domain import assess_domain
from mlops_assets.monitoring.null import Basis, NullCache, choose_basis
from mlops_assets.monitoring.report import (
    ColumnDrift,
    DomainDrift,
    DriftReport,
    DriftState,
    SliceDrift,
)
from mlops_assets.monitoring.sketch import Sketch
from mlops_assets.monitoring.slice_drift import assess_slices
from mlops_assets.spec import DriftSpec

_DOMAIN_ALPHA = 0.01


def assess_drift(
    reference: Sketch,
    current: Sketch,
    policy: DriftSpec,
    importance: Mapping[str, float] | None = None,
    nulls: NullCache | None = None,
    *,
    answers: tuple[Sketch, Sketch] | None = None,
) -> DriftReport:
    """The verdict on a window.

    Args:
        reference: Counts of the training frame, from `sketch_reference`.
        current: Counts of the window on the same bins, from `sketch_window`, merged or not.
        policy: The model's limits.
        importance: Loss by feature when it is shuffled; negative counts as 0. By default all
            features weigh the same.
        nulls: Keeps what was drawn for the next window. The report is the same without.
        answers: What was answered, where it is counted apart from the features: the reference on
            rows that the model was not trained on, since it answers those that it knows more
            surely.

    Raises:
        MonitoringError: the window was counted on other bins than the reference's.
    """
    for one, other in ((reference, current), *([answers] if answers is not None else [])):
        _require_same_bins(one, other)
    basis = _basis(reference, current)
    short = _too_few(reference, current, policy)
    if short is not None:
        return _report("not_enough_data", short, reference, current, basis)
    weights = _weights(reference, importance)
    case = Case(reference, current, policy, basis, weights, nulls or NullCache())
    layouts = reference.layout.columns.values()
    found = [find(case, layout) for layout in layouts if layout.column.role == "feature"]
    columns = [
        describe(case, f, adjusted)
        for f, adjusted in zip(found, adjust([f.p for f in found]), strict=True)
    ]
    columns.sort(key=lambda c: (c.state != "broken", c.state != "drifted", -telling(c)))
    apart = case
    if answers is not None:
        apart = Case(*answers, policy, _basis(*answers), weights, case.nulls)
    prediction = _prediction(apart)
    domain = assess_domain(reference, current, basis, weights)
    return _conclude(case, columns, prediction, domain, assess_slices(case))


def _require_same_bins(reference: Sketch, current: Sketch) -> None:
    if reference.layout.digest != current.layout.digest:
        raise MonitoringError(
            "the window was counted on the bins of another reference "
            f"({current.layout.digest[:12]}, not {reference.layout.digest[:12]}); count it again"
        )


def _prediction(case: Case) -> ColumnDrift | None:
    """What was answered; None when it is not watched, or there are no rows of it."""
    layouts = case.reference.layout.columns.values()
    watched = [layout for layout in layouts if layout.column.role == "prediction"]
    if not watched or not (case.reference.n_rows and case.current.n_rows):
        return None
    found = find(case, watched[0])
    return describe(case, found, found.p)


def _basis(reference: Sketch, current: Sketch) -> Basis:
    return choose_basis(
        reference.layout.block,
        has_time=reference.layout.time_column is not None,
        n_reference=int(reference.timed_blocks.sum()),
        n_current=int(current.timed_blocks.sum()) if current.n_rows else 0,
    )


def _too_few(reference: Sketch, current: Sketch, policy: DriftSpec) -> str | None:
    if current.n_rows == 0:
        return "the window has no rows"
    for side, name in ((current, "window"), (reference, "reference")):
        if side.n_rows < policy.minimum_rows:
            return f"the {name} has {side.n_rows:,} rows, {policy.minimum_rows:,} are needed"
    return None


def _weights(reference: Sketch, importance: Mapping[str, float] | None) -> dict[str, float]:
    """Share of the importance by feature; equal shares when nothing is known."""
    names = [c.column.name for c in reference.layout.columns.values() if c.column.role == "feature"]
    losses = {name: max(importance.get(name, 0.0), 0.0) for name in names} if importance else {}
    total = sum(losses.values())
    if total <= 0:
        return dict.fromkeys(names, 1 / len(names)) if names else {}
    return {name: loss / total for name, loss in losses.items()}


def _conclude(
    case: Case,
    columns: list[ColumnDrift],
    prediction: ColumnDrift | None,
    domain: DomainDrift | None,
    slices: tuple[SliceDrift, ...],
) -> DriftReport:
    judged = [c for c in columns if c.state in ("drifted", "stable")]
    drifted = [c for c in judged if c.state == "drifted"]
    weight = sum(c.weight for c in judged)
    share = len(drifted) / len(judged) if judged else None
    weighted = sum(c.weight for c in drifted) / weight if weight > 0 else share
    state, reason = _window_state(columns, (share, weighted), prediction, domain, case.policy)
    report = _report(state, reason, case.reference, case.current, case.basis)
    return report.model_copy(
        update={
            "columns": tuple(columns),
            "share_ratio": share,
            "weighted_share_ratio": weighted,
            "prediction": prediction,
            "domain": domain,
            "slices": slices,
        }
    )


def _window_state(
    columns: list[ColumnDrift],
    shares: tuple[float | None, float | None],
    prediction: ColumnDrift | None,
    domain: DomainDrift | None,
    policy: DriftSpec,
) -> tuple[DriftState, str]:
    broken = [c for c in columns if c.state == "broken"]
    if broken:
        return "broken_data", "; ".join(f"{c.column}: {c.reason}" for c in broken)
    share, weighted = shares
    if share is None or weighted is None:
        return "not_enough_data", "no column has enough values on both sides"
    drifted = [c for c in columns if c.state == "drifted"]
    n_judged = sum(c.state in ("drifted", "stable") for c in columns)
    seen = f"{len(drifted)} of {n_judged} columns moved, with {weighted:.0%} of the importance"
    if drifted:
        seen += f": {name_some(drifted)}"
    reasons = list(_drift_reasons((share, weighted), prediction, domain, policy))
    if reasons:
        return "drift", "; ".join([*reasons, seen])
    return "no_drift", f"{seen}{'; not enough to matter' if drifted else ''}"


def _drift_reasons(
    shares: tuple[float, float],
    prediction: ColumnDrift | None,
    domain: DomainDrift | None,
    policy: DriftSpec,
) -> Iterable[str]:
    share, weighted = shares
    if policy.share_ratio is not None and share >= policy.share_ratio:
        yield f"{share:.0%} of the columns moved, limit {policy.share_ratio:.0%}"
    if policy.weighted_share_ratio is not None and weighted >= policy.weighted_share_ratio:
        limit = f"limit {policy.weighted_share_ratio:.0%}"
        yield f"columns with {weighted:.0%} of the importance moved, {limit}"
    if policy.prediction and prediction is not None and prediction.state == "drifted":
        yield f"predictions moved: {prediction.reason}"
    if policy.domain_auc is None or domain is None:
        return
    if domain.p <= _DOMAIN_ALPHA and domain.auc >= policy.domain_auc:
        yield f"a classifier tells the rows apart with ROC-AUC {domain.auc:.2f}"


def _report(
    state: DriftState, reason: str, reference: Sketch, current: Sketch, basis: Basis
) -> DriftReport:
    return DriftReport(
        state=state,
        reason=reason,
        n_reference=reference.n_rows,
        n_current=current.n_rows,
        null=basis.reason,
        new_columns=tuple(sorted(current.unknown_columns - reference.unknown_columns)),
    )
