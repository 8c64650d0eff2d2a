"""The model half of a model document: estimator, evaluation, gates and registry."""

from typing import Literal

from pydantic import Field, JsonValue

from mlops_assets.spec.base import Document, ImportPath

Metric = Literal[
    "roc_auc",
    "average_precision",
    "balanced_accuracy",
    "accuracy",
    "f1",
    "log_loss",
    "brier_score",
    "r2",
    "mean_absolute_error",
    "root_mean_squared_error",
]


class PreprocessingSpec(Document):
    """What happens to raw features before the estimator. It is part of the model: callers send raw
    values, with missing ones and categories never seen."""

    numeric_imputation: Literal["median", "mean", "zero", "none"] = "median"
    """Stand-in for a missing number. none: the estimator handles missing values itself."""
    scale: bool = False
    """Whether numbers are scaled to mean 0 and standard deviation 1; linear models want it."""
    encoding: Literal["one_hot", "ordinal"] = "one_hot"
    """How categories become numbers. ordinal suits trees."""
    rare_category_ratio: float = Field(0.0, ge=0, lt=1)
    """one_hot: categories rarer than this share are treated as one."""


class EstimatorSpec(Document):
    """The scikit-learn estimator and what stands before it."""

    estimator: ImportPath
    """The estimator's class, such as `sklearn.ensemble.RandomForestClassifier`."""
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    """Its keyword arguments."""
    preprocessing: PreprocessingSpec = PreprocessingSpec()
    """Imputation, scaling and encoding."""
    seed: int = Field(0, ge=0)
    """`random_state` of every part that has one, so that training twice gives the same model."""
    trusted_types: list[str] = Field(default_factory=list)
    """Classes of your own inside the estimator, as `package.module.Class`, that a predictor may
    construct when it loads the model. Those of scikit-learn and NumPy need not be listed."""
    onnx: bool = True
    """Whether to export to ONNX as well. It is kept only when it answers as scikit-learn does."""


class EvaluationSpec(Document):
    """How a candidate is measured, beside the champion and a dummy baseline on the same rows."""

    metric: Metric | None = None
    """The metric that gates compare. Default: roc_auc for classes, r2 for regression."""
    slices: list[str] = Field(default_factory=list)
    """Columns whose values each get metrics of their own."""
    bootstrap_samples: int = Field(500, ge=100, le=10_000)
    """Redraws behind each confidence interval."""
    confidence: float = Field(0.95, ge=0.5, lt=1)
    """Level of the confidence intervals."""


class BaselineGate(Document):
    """The candidate must beat a model that has learned nothing."""

    margin: float = Field(0.0, ge=0)
    """The lower bound of candidate minus baseline must exceed this."""


class ChampionGate(Document):
    """The candidate must not be worse than the champion by more than a margin."""

    margin: float = Field(0.01, ge=0)
    """The lower bound of candidate minus champion (paired bootstrap) must exceed minus this."""


class SlicesGate(Document):
    """No declared slice may be proven to do much worse than the whole."""

    maximum_drop: float = Field(0.1, gt=0)
    """A slice fails when its whole interval lies more than this below the overall value."""
    minimum_rows: int = Field(100, ge=2)
    """Smaller slices are shown and not judged."""


class CalibrationGate(Document):
    """Probabilities (or the mean prediction) must mean what they say."""

    maximum_error: float = Field(0.1, gt=0)
    """Classes: largest expected calibration error over 10 bins of equal count. Regression: largest
    absolute mean error in standard deviations of the target. What perfect calibration would show by
    chance on as many rows is taken off first."""


class RowsGate(Document):
    """Too few rows prove nothing."""

    training: int = Field(100, ge=2)
    """Fewest rows to train on."""
    validation: int = Field(50, ge=2)
    """Fewest rows to judge on."""


class GatesSpec(Document):
    """What a candidate must pass to be registered. `null` switches a gate off."""

    beats_baseline: BaselineGate | None = BaselineGate()
    """Better than a dummy baseline, by a confidence interval."""
    not_worse_than_champion: ChampionGate | None = ChampionGate()
    """Not worse than the champion, by a paired confidence interval. Passes when there is none."""
    slices: SlicesGate | None = SlicesGate()
    """No slice falls far behind."""
    calibration: CalibrationGate | None = CalibrationGate()
    """Predictions are calibrated."""
    minimum_rows: RowsGate | None = RowsGate()
    """Enough rows on both sides of the split."""


class RegistrySpec(Document):
    """The registered model in MLflow."""

    name: str | None = None
    """Name of the registered model and the experiment; by default the model's."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Tags added to every version."""
