"""How good a candidate is, beside the champion and a dummy baseline, on the same rows."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from mlops_assets.modeling.features import BuiltFrame
from mlops_assets.modeling.manifest import ModelManifest
from mlops_assets.modeling.split import SplitRule
from mlops_assets.spec import ModelSpec
from mlops_assets.spec.data import Task
from mlops_assets.spec.model import Metric

ContestantName = Literal["candidate", "champion", "baseline"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(_Record):
    """A number with its interval. `value` is None when it is unknown; `reason` then says why.

    Attributes:
        value: The estimate on all rows.
        low: Lower end of the percentile bootstrap interval.
        high: Upper end.
        reason: Why a number is unknown; empty when all are known.
    """

    value: float | None
    low: float | None
    high: float | None
    reason: str = ""


class SliceResult(_Record):
    """The gated metric on the rows that share one value of one column."""

    column: str
    value: str
    n_rows: int
    candidate: Estimate
    champion: Estimate | None = None


class CalibrationBin(_Record):
    """Rows with similar predictions: what was predicted and what came."""

    n_rows: int
    mean_predicted: float
    mean_observed: float


class Calibration(_Record):
    """Whether predictions mean what they say.

    Attributes:
        error: Classes: expected calibration error over bins of equal count (multiclass: of the
            probability of the predicted class). Regression: absolute mean error in standard
            deviations of the target. None when unknown.
        bins: Ten bins of equal count, ascending by prediction.
        reason: What the number is, or why it is unknown.
    """

    error: float | None
    bins: list[CalibrationBin]
    reason: str = ""


class Latency(_Record):
    """Milliseconds for one row, warm, in this process."""

    median_milliseconds: float
    p99_milliseconds: float
    n_calls: int


class Evaluation(_Record):
    """Evidence on one candidate; JSON both ways.

    Attributes:
        model: Name of the model document.
        task: What is predicted.
        metric: The metric that gates compare.
        confidence: Level of all intervals.
        bootstrap_samples: Redraws behind each interval.
        n_training: Rows that the candidate was trained on.
        n_rows: Rows that judged; all contestants answered the same ones.
        rows: Which rows judged and which were left out, in words.
        oldest_at: Time of the oldest of them; None without a time column.
        newest_at: Time of the newest of them.
        decided_at: Only rows dated before this judged.
        metrics: By contestant and metric, with intervals.
        gains: Candidate minus contestant by metric, from paired draws, turned so that above zero
            means that the candidate is better.
        champion_version: Registry version of the champion; None when there is none.
        champion_reason: Why there is no champion to compare with, or why it could not be judged.
        slices: The gated metric by declared slice.
        calibration: Of the candidate.
        latency: Of one row by runtime: `sklearn`, and `onnx` when it is usable.
        candidate_digest: Model digest of the candidate.
        frame_digest: Digest of the training frame.
    """

    model: str
    task: Task
    metric: Metric
    confidence: float
    bootstrap_samples: int
    n_training: int
    n_rows: int
    rows: str
    oldest_at: datetime | None
    newest_at: datetime | None
    decided_at: datetime
    metrics: dict[ContestantName, dict[Metric, Estimate]]
    gains: dict[ContestantName, dict[Metric, Estimate]]
    champion_version: str | None
    champion_reason: str
    slices: list[SliceResult]
    calibration: Calibration
    latency: dict[str, Latency]
    candidate_digest: str
    frame_digest: str


@dataclass(frozen=True, slots=True)
class Contestant:
    """A packaged model that is to be judged.

    Attributes:
        pipeline: The loaded pipeline.
        manifest: What it is.
        split: Which rows it was trained on.
        version: Registry version; None for a candidate.
        directory: Where its package stands, for the latency of its ONNX form; None: not measured.
    """

    pipeline: Any
    manifest: ModelManifest
    split: SplitRule
    version: str | None = None
    directory: Path | None = None


def load_contestant(
    directory: Path, split: SplitRule, spec: ModelSpec, *, version: str | None = None
) -> Contestant:
    """A packaged model from its directory, verified.

    Raises:
        UnsafeModelError: the package is not what its manifest says.
    """
    raise NotImplementedError


def evaluate(
    spec: ModelSpec,
    built: BuiltFrame,
    candidate: Contestant,
    champion: Contestant | None,
    decided_at: datetime,
) -> Evaluation:
    """Judge a candidate beside the champion and a baseline that knows only the target's shares."""
    raise NotImplementedError
