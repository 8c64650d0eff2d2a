"""What is found when a window is compared with its reference: records, with their reasons.

Here: `ColumnDrift`, `SliceDrift`, `DomainDrift` and `DriftReport`.
Not here: how they are found (`drift.py`).
"""

from typing import Literal

from mlops_assets.monitoring.layout import Kind, Role
from mlops_assets.monitoring.record import Record

ColumnState = Literal["drifted", "stable", "not_enough_data", "broken"]
DriftState = Literal["drift", "no_drift", "not_enough_data", "broken_data"]


class Distances(Record):
    """How far the values of a column lie apart. None where a distance has no meaning.

    Attributes:
        kolmogorov_smirnov: Largest difference of the cumulative shares. Numbers.
        wasserstein: Mean distance that a value moved, in standard deviations of the reference.
            Numbers; None when the reference has none.
        population_stability_index: On tenths of the reference, or categories.
        jensen_shannon: The same bins, natural logarithm.
        chi_square: Of the two-sample table. Categories.
        total_variation: Share of rows that changed category. Categories.
    """

    kolmogorov_smirnov: float | None = None
    wasserstein: float | None = None
    population_stability_index: float | None = None
    jensen_shannon: float | None = None
    chi_square: float | None = None
    total_variation: float | None = None


class ColumnDrift(Record):
    """One column of a window beside the reference.

    Attributes:
        column: Its name.
        kind: How it is compared.
        role: Whether it goes into the model or comes out.
        state: drifted: more than chance and large enough. stable: not both. not_enough_data: too
            few values. broken: its values cannot be believed.
        reason: In words, with numbers.
        n_reference: Values of the reference.
        n_current: Values of the window.
        p: Chance of a difference as large when nothing has changed, for values and missing share
            together; None when nothing could be compared.
        p_adjusted: The same, corrected for the number of columns.
        shift_ratio: How large the shift is, as a share of rows: of values or of the missing share,
            whichever is larger.
        distances: How far the values lie apart.
        missing_ratio: Share of the window's rows without a value; None when it is empty.
        missing_ratio_reference: Of the reference.
        new_categories: Categories that the reference does not have, with their rows; at most 20.
        n_in_new_categories: Rows in all of them.
        vanished_categories: Categories that are gone although five rows or more were expected; at
            most 20.
        weight: Share of the model's feature importance; equal shares when that is unknown.
    """

    column: str
    kind: Kind
    role: Role = "feature"
    state: ColumnState
    reason: str
    n_reference: int
    n_current: int
    p: float | None = None
    p_adjusted: float | None = None
    shift_ratio: float | None = None
    distances: Distances = Distances()
    missing_ratio: float | None = None
    missing_ratio_reference: float | None = None
    new_categories: dict[str, int] = {}
    n_in_new_categories: int = 0
    vanished_categories: tuple[str, ...] = ()
    weight: float = 0.0


class SliceDrift(Record):
    """The rows that share a value of a column, beside the same rows of the reference.

    Attributes:
        column: The column that cuts.
        value: Its value or range.
        state: As that of a window.
        reason: In words.
        n_reference: Rows of the reference.
        n_current: Rows of the window.
        columns: The columns that drifted inside it.
    """

    column: str
    value: str
    state: DriftState
    reason: str
    n_reference: int
    n_current: int
    columns: tuple[ColumnDrift, ...] = ()


class DomainDrift(Record):
    """How well a classifier tells the window's rows from the reference's.

    Attributes:
        auc: ROC-AUC on rows that it was not fitted on; 0.5 is chance.
        p: Chance of an AUC as large when nothing has changed.
        auc_by_chance: The 95 % quantile of its null.
        n_reference: Rows of the reference that it saw.
        n_current: Rows of the window.
    """

    auc: float
    p: float
    auc_by_chance: float
    n_reference: int
    n_current: int


class DriftReport(Record):
    """A window beside its reference.

    Attributes:
        state: drift, no_drift, not_enough_data (nobody can tell) or broken_data (columns are
            missing, changed type or lost all values; the others are compared all the same).
        reason: In words, with numbers.
        n_reference: Rows of the reference.
        n_current: Rows of the window.
        null: What was redrawn for the p.
        columns: Every feature, the most telling first.
        share_ratio: Share of the compared features that drifted; None when none was compared.
        weighted_share_ratio: The same, weighted by importance.
        prediction: The prediction; None when it is not watched.
        domain: The classifier; None when there were too few rows.
        slices: Every declared slice.
        new_columns: Columns that the reference does not have. They harm nobody.
    """

    state: DriftState
    reason: str
    n_reference: int
    n_current: int
    null: str
    columns: tuple[ColumnDrift, ...] = ()
    share_ratio: float | None = None
    weighted_share_ratio: float | None = None
    prediction: ColumnDrift | None = None
    domain: DomainDrift | None = None
    slices: tuple[SliceDrift, ...] = ()
    new_columns: tuple[str, ...] = ()

    @property
    def drifted(self) -> tuple[ColumnDrift, ...]:
        """The features that drifted."""
        return tuple(column for column in self.columns if column.state == "drifted")
