"""Candidates of a backtest: trained on what was known, by the code that trains them in earnest.

Here: `Trainer`, which builds the frame, fits, asks the gates and makes the references of later
windows; each of them once, however many policies want it.
Not here: packages, MLflow, ONNX and the registry: a candidate stays in memory.
"""

import time
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.backtest.history import History
from mlops_assets.modeling.contestants import Contestant
from mlops_assets.modeling.evaluation import evaluate
from mlops_assets.modeling.features import BuiltFrame, build_frame
from mlops_assets.modeling.gates import judge
from mlops_assets.modeling.importance import estimate_importance
from mlops_assets.modeling.manifest import ModelManifest, OnnxAgreement
from mlops_assets.modeling.training import FittedModel, train
from mlops_assets.modeling.training_window import TrainingWindow, choose_training_window
from mlops_assets.monitoring.at_evaluation import (
    Judged,
    refer_drift,
    refer_performance,
    refer_quality,
    subject_of,
)
from mlops_assets.monitoring.references import References
from mlops_assets.spec import ModelSpec

_IN_MEMORY = OnnxAgreement(usable=False, reason="not exported in a backtest")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fitted model.

    Attributes:
        version: Its name: when it was decided on.
        decided_at: The same as a time; it knows nothing later.
        contestant: The model.
        window: The rows that it was trained on.
        n_rows: Rows of the dataset then.
        cpu_minutes: What frame and fit cost.
    """

    version: str
    decided_at: datetime
    contestant: Contestant
    window: TrainingWindow
    n_rows: int
    cpu_minutes: float


class Trainer:
    """Trains on a history as it was known.

    Args:
        history: The past.
        bootstrap_samples: Redraws behind the gates' intervals; None: as the document says.
    """

    def __init__(self, history: History, bootstrap_samples: int | None = 200) -> None:
        self._history = history
        spec = history.spec
        if bootstrap_samples is not None:
            less = min(bootstrap_samples, spec.evaluation.bootstrap_samples)
            changed = spec.evaluation.model_copy(update={"bootstrap_samples": less})
            spec = spec.model_copy(update={"evaluation": changed})
        self._spec = spec
        self._candidates: dict[tuple[datetime, datetime | None], Candidate] = {}
        self._references: dict[str, References] = {}
        self._refusals: dict[tuple[str, str], str] = {}
        self._built: tuple[datetime, BuiltFrame] | None = None

    def train(self, now: datetime, champion: Candidate | None) -> Candidate:
        """The candidate that is trained at a moment.

        Raises:
            FeatureError, TrainingError: as in earnest.
        """
        declared = self._spec.retraining.training_window if self._spec.retraining else None
        until = None
        if declared is not None and declared.keep == "since_champion" and champion is not None:
            until = champion.window.newest_at
        key = (now, until)
        if key not in self._candidates:
            began = time.process_time()
            built = self._frame(now)
            window = choose_training_window(built.frame, declared, until)
            fitted = train(self._spec, built, window)
            version = _name(now) + (f"+{_name(until)}" if until else "")
            contestant = Contestant(
                fitted.pipeline, _manifest(self._spec, fitted, version), built.facts.split, version
            )
            minutes = (time.process_time() - began) / 60
            facts = built.facts
            n_rows = facts.n_training + facts.n_validation + facts.n_without_target
            self._candidates[key] = Candidate(version, now, contestant, window, n_rows, minutes)
        return self._candidates[key]

    def refusal(self, candidate: Candidate, champion: Candidate | None) -> str:
        """Why the gates refuse a candidate beside a champion; empty when they do not."""
        key = (candidate.version, champion.version if champion is not None else "")
        if key not in self._refusals:
            found = evaluate(
                self._spec,
                self._frame(candidate.decided_at),
                candidate.contestant,
                champion.contestant if champion is not None else None,
                candidate.decided_at,
            )
            gates = judge(found, self._spec.gates)
            told = [f"{gate.name}: {gate.reason}" for gate in gates if not gate.passed]
            self._refusals[key] = "; ".join(told)
        return self._refusals[key]

    def references(self, candidate: Candidate) -> References:
        """What a candidate's windows are compared with once it serves."""
        if candidate.version not in self._references:
            built = self._frame(candidate.decided_at)
            importances = estimate_importance(self._spec, built, candidate.contestant)
            judged = Judged(
                built, candidate.contestant, candidate.decided_at, candidate.window, importances
            )
            manifest = candidate.contestant.manifest
            self._references[candidate.version] = References(
                version=candidate.version,
                subject=subject_of(manifest),
                fields=manifest.features,
                drift=refer_drift(self._spec, judged),
                performance=refer_performance(self._spec, judged),
                quality=refer_quality(self._spec, built, manifest),
            )
        return self._references[candidate.version]

    def _frame(self, now: datetime) -> BuiltFrame:
        """The frame of a moment; only the last one is kept."""
        if self._built is None or self._built[0] != now:
            self._built = (now, build_frame(self._history.known(now), self._spec))
        return self._built[1]


def _name(moment: datetime) -> str:
    """A moment to the microsecond, which may be all that tells two windows of rows apart."""
    return moment.replace(tzinfo=None).isoformat()


def _manifest(spec: ModelSpec, fitted: FittedModel, version: str) -> ModelManifest:
    return ModelManifest(
        model=spec.name,
        task=fitted.task,
        features=fitted.features,
        classes=fitted.classes,
        positive=fitted.positive,
        model_digest=version,
        files={},
        trusted_types=[],
        onnx=_IN_MEMORY,
        example=[],
    )
