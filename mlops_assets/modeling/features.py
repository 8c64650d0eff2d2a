"""The training frame: what a document's features make of a dataset.

Here: selection and types of the features, target, split sides and the facts about them.
Not here: what happens inside the model (imputation, encoding: `pipeline.py`), and where frames are
kept (the lake).
"""

from dataclasses import dataclass
from datetime import datetime

import polars as pl
from pydantic import BaseModel, ConfigDict

from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.modeling.split import SplitRule
from mlops_assets.spec import ModelSpec

TARGET = "__target"
VALIDATES = "__validates"
ROW_ID = "__row_id"
TIME = "__time"
SLICE_PREFIX = "__slice_"
ID_PREFIX = "__id_"

Label = str | int | bool


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
    positive: str | int | float | bool | None = None
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
    """

    uri: str
    version: int
    dataset_digest: str
    dataset_version: int


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


def build_frame(dataset: pl.LazyFrame, spec: ModelSpec) -> BuiltFrame:
    """The training frame that a document makes of a dataset.

    Raises:
        FeatureError: a column is missing, all null or holds text that is no number; the target has
            one class; too few rows; the feature function failed. It names column, row and value.
    """
    raise NotImplementedError
