"""The training frame: what a document's features make of a dataset.

Here: selection and types of the features, the target, the sides of the split and the facts about
them. Not here: reading (`dataset_rows.py`), single columns (`columns.py`, `target.py`), the split
(`split.py`), what happens inside the model (imputation, encoding: `pipeline.py`), and where frames
are kept (the lake).
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from pydantic import BaseModel, ConfigDict

from mlops_assets.errors import FeatureError
from mlops_assets.modeling import columns
from mlops_assets.modeling.balance import (
    MINIMUM_ROWS,
    check_classes,
    class_counts,
    require_both_sides,
)
from mlops_assets.modeling.dataset_rows import ROW_ID, read_rows
from mlops_assets.modeling.digest import frame_digest
from mlops_assets.modeling.leakage import score_columns
from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.modeling.split import (
    ID_PREFIX,
    TIME,
    SplitRule,
    canonical_text,
    id_columns,
    make_rule,
    sides,
)
from mlops_assets.modeling.target import EncodedTarget, Label, encode_target, has_target
from mlops_assets.spec import ModelSpec

TARGET = "__target"
VALIDATES = "__validates"
SLICE_PREFIX = "__slice_"


class FrameFacts(BaseModel):
    """What there is to know about a training frame, apart from where it is kept.

    Attributes:
        model: Name of the model document.
        digest: SHA-256 of the frame's content.
        n_training: Rows that train.
        n_validation: Rows that validate.
        n_without_target: Rows of the dataset that were left out because they have no target.
        features: The model's features in order.
        classes: Labels in the order of the probability columns; None for regression.
        positive: binary: the value of the target column that class 1 stands for.
        class_counts: Rows by side (`training`, `validation`) and class; empty for regression.
        split: Which rows train for ever.
        single_column_scores: How well each feature alone predicts the target (`leakage.py`); None
            when unknown.
        newest_at: Time of the newest row; None without a time column.
        oldest_at: Time of the oldest row; None without a time column.
        warnings: What does not stop training and should be known, in words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    digest: str
    n_training: int
    n_validation: int
    n_without_target: int
    features: list[FeatureField]
    classes: list[Label] | None
    positive: Label | None = None
    class_counts: dict[str, dict[str, int]]
    split: SplitRule
    single_column_scores: dict[str, float | None]
    newest_at: datetime | None
    oldest_at: datetime | None
    warnings: list[str] = []


class TrainingFrame(FrameFacts):
    """A training frame that is kept in the lake.

    Attributes:
        uri: Delta table of the frame.
        version: Its Delta version.
        dataset_digest: Digest of the dataset snapshot that it was made from.
        dataset_version: Delta version of that snapshot.
        source_facts: What the source said of itself, such as `simulated`.
    """

    uri: str
    version: int
    dataset_digest: str
    dataset_version: int
    source_facts: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class BuiltFrame:
    """A training frame in memory.

    Attributes:
        frame: Columns: the model's features (datetime parts as `<column>_<part>`; numbers as
            Float64, booleans as Boolean, categories as String), `__target`, `__validates`,
            `__row_id` (position in the dataset), `__time` (aware UTC, with a time column),
            `__slice_<name>` for slices that are no features, `__id_<name>` for the split rule.
        facts: What there is to know about it; a `TrainingFrame` once it is kept.
    """

    frame: pl.DataFrame
    facts: FrameFacts

    def record(
        self, *, uri: str, version: int, dataset_digest: str, dataset_version: int
    ) -> TrainingFrame:
        """The facts, once the frame stands in the lake."""
        place = {"uri": uri, "version": version}
        dataset = {"dataset_digest": dataset_digest, "dataset_version": dataset_version}
        return TrainingFrame.model_validate({**dict(self.facts), **place, **dataset})


def feature_fields(spec: ModelSpec) -> list[FeatureField]:
    """The raw features that a document's model takes, in order."""
    declared = spec.features
    parts = [f"{name}_{part}" for name, parts in declared.datetime.items() for part in parts]
    return [
        *(FeatureField(name=name, kind="number") for name in declared.numeric),
        *(FeatureField(name=name, kind="category") for name in declared.categorical),
        *(FeatureField(name=name, kind="boolean") for name in declared.boolean),
        *(FeatureField(name=name, kind="number") for name in parts),
    ]


def build_frame(dataset: pl.LazyFrame, spec: ModelSpec) -> BuiltFrame:
    """The training frame that a document makes of a dataset.

    Raises:
        FeatureError: a column is missing, all null or holds text that is no number; the target has
            one class; too few rows; the feature function failed. It names column, row and value.
    """
    raw = read_rows(dataset, spec)
    answered = raw.filter(has_target(raw[spec.target.column]))
    if answered.height < MINIMUM_ROWS:
        raise FeatureError(
            f"{answered.height:,} of {raw.height:,} rows have a value in {spec.target.column}, at "
            f"least {MINIMUM_ROWS} are needed"
        )
    target = encode_target(answered[spec.target.column], spec.target, answered[ROW_ID])
    frame = _assemble(answered, spec, target)
    rule = make_rule(spec, frame)
    validates = sides(rule, frame)
    require_both_sides(validates, rule)
    frame = frame.with_columns(validates.alias(VALIDATES))
    facts = _facts(spec, frame, target, rule)
    return BuiltFrame(
        frame,
        facts.model_copy(update={"n_without_target": raw.height - answered.height}),
    )


def _assemble(raw: pl.DataFrame, spec: ModelSpec, target: EncodedTarget) -> pl.DataFrame:
    """The frame without its sides: features, target, time, slices and ids."""
    made = make_features(raw, spec)
    names = Counter(column.name for column in made)
    if twice := sorted(name for name, n in names.items() if n > 1):
        raise FeatureError(f"two features are named {', '.join(twice)}; rename a column")
    made.append(target.values.alias(TARGET))
    made.append(raw[ROW_ID])
    if spec.time_column is not None:
        made.append(_times_of(raw, spec, spec.time_column))
    for name in spec.evaluation.slices:
        if name not in names:
            made.append(columns.as_category(raw[name]).alias(SLICE_PREFIX + name))
    for name in id_columns(spec):
        ids = canonical_text(raw[name])
        if spec.split_method == "grouped" and ids.has_nulls():
            columns.refuse(raw[name], ids.is_null(), "a group for each row", raw[ROW_ID])
        made.append(ids.alias(ID_PREFIX + name))
    return pl.DataFrame(made)


def make_features(raw: pl.DataFrame, spec: ModelSpec) -> list[pl.Series]:
    """The model's features of rows as `read_rows` gives them, in the order of `feature_fields`.

    Raises:
        FeatureError: a value cannot be read, or a feature has none in any row.
    """
    rows = raw[ROW_ID]
    made = [columns.as_number(raw[name], rows) for name in spec.features.numeric]
    made += [columns.as_category(raw[name]) for name in spec.features.categorical]
    made += [columns.as_boolean(raw[name], rows) for name in spec.features.boolean]
    for name, parts in spec.features.datetime.items():
        times = columns.as_datetime(raw[name], rows, _text_format(spec, name))
        made += [columns.datetime_part(times, part) for part in parts]
    if empty := [column.name for column in made if column.null_count() == column.len()]:
        raise FeatureError(
            f"no row with a target has a value in {', '.join(empty)}; take it out of features"
        )
    return made


def _times_of(raw: pl.DataFrame, spec: ModelSpec, name: str) -> pl.Series:
    times = columns.as_datetime(raw[name], raw[ROW_ID], _text_format(spec, name))
    if times.has_nulls():
        columns.refuse(raw[name], times.is_null(), "a time for each row", raw[ROW_ID])
    return columns.as_utc(times).alias(TIME)


def _text_format(spec: ModelSpec, name: str) -> str | None:
    contract = spec.contract.columns.get(name)
    return contract.datetime_format if contract else None


def _facts(
    spec: ModelSpec, frame: pl.DataFrame, target: EncodedTarget, rule: SplitRule
) -> FrameFacts:
    fields = feature_fields(spec)
    validates = frame[VALIDATES]
    is_class = target.classes is not None
    counts = class_counts(frame[TARGET], validates) if is_class else {}
    warnings = check_classes(counts, rule) if is_class else []
    training = frame.filter(~validates)
    for field in fields:
        n_values = training[field.name].drop_nulls().n_unique()
        if n_values == 0:
            warnings.append(f"feature {field.name} has no value in the training rows")
        elif n_values == 1 and not training[field.name].has_nulls():
            warnings.append(f"feature {field.name} has the same value in all training rows")
    times = frame[TIME] if TIME in frame.columns else None
    return FrameFacts(
        model=spec.name,
        digest=frame_digest(frame),
        n_training=training.height,
        n_validation=frame.height - training.height,
        n_without_target=0,
        features=fields,
        classes=target.classes,
        positive=target.positive,
        class_counts=counts,
        split=rule,
        single_column_scores=score_columns(frame, fields, frame[TARGET], classes=is_class),
        newest_at=None if times is None else times[int(times.arg_max() or 0)],
        oldest_at=None if times is None else times[int(times.arg_min() or 0)],
        warnings=warnings,
    )
