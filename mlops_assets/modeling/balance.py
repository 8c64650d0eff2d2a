"""Whether both sides of a split hold what training and judging need."""

import math

import polars as pl

from mlops_assets.errors import FeatureError
from mlops_assets.modeling.split import SplitRule

MINIMUM_ROWS = 10  # with fewer, neither side of a split says anything
_TOLERANCE = 0.02  # of a class's share, whatever the number of rows
_STANDARD_ERRORS = 4.0  # beyond chance: once in 16,000 splits


def class_counts(target: pl.Series, validates: pl.Series) -> dict[str, dict[str, int]]:
    """Rows by side and class; a class that is missing on a side counts 0 there."""
    labels = [str(label) for label in target.unique().sort()]
    counts = {}
    for side, mask in (("training", ~validates), ("validation", validates)):
        found = {str(label): int(n) for label, n in target.filter(mask).value_counts().iter_rows()}
        counts[side] = {label: found.get(label, 0) for label in labels}
    return counts


def require_both_sides(validates: pl.Series, rule: SplitRule) -> None:
    """Refuse a split with an empty side.

    Raises:
        FeatureError: a side has no rows.
    """
    n_validation = int(validates.sum())
    n_training = validates.len() - n_validation
    if n_training == 0 or n_validation == 0:
        groups = f" ({', '.join(rule.id_columns)})" if rule.method == "grouped" else ""
        raise FeatureError(
            f"the {rule.method} split{groups} puts {n_training:,} rows into training and "
            f"{n_validation:,} into validation; both need some: give more rows, or change "
            "split.validation_ratio or split.salt"
        )


def check_classes(counts: dict[str, dict[str, int]], rule: SplitRule) -> list[str]:
    """Warnings about classes that stand on one side only.

    Raises:
        FeatureError: training has fewer than two classes; or, in a stratified split, a side lacks a
            class or holds a share of it that chance does not explain.
    """
    training, validation = counts["training"], counts["validation"]
    if sum(n > 0 for n in training.values()) < 2:
        only = next((label for label, n in training.items() if n), "none")
        raise FeatureError(
            f"the training rows have one class only, {only!r} ({sum(training.values()):,} rows); "
            f"in validation: {validation}"
        )
    lacking = [label for label in training if not training[label] or not validation[label]]
    told = [
        f"class {label!r} has {training[label]:,} rows in training and {validation[label]:,} in "
        "validation"
        for label in lacking
    ]
    if rule.method != "stratified":
        return told
    if told:
        raise FeatureError(
            f"{'; '.join(told)}: each side needs rows of each class; give more rows, or change "
            "split.validation_ratio or split.salt"
        )
    _require_shares(training, validation)
    return []


def _require_shares(training: dict[str, int], validation: dict[str, int]) -> None:
    n_training, n_validation = sum(training.values()), sum(validation.values())
    for label in training:
        share = (training[label] + validation[label]) / (n_training + n_validation)
        of_validation = validation[label] / n_validation
        chance = math.sqrt(share * (1 - share) / n_validation)
        tolerance = max(_TOLERANCE, _STANDARD_ERRORS * chance)
        if abs(of_validation - share) > tolerance:
            raise FeatureError(
                f"class {label!r} is {share:.1%} of all rows and {of_validation:.1%} of the "
                f"{n_validation:,} validation rows, more than {tolerance:.1%} apart: the columns "
                "that identify a row go with the target; name others in split.id_columns"
            )
