"""One window of one version: from its logged rows to a verdict and all that it rests on.

Here: `judge`, which measures quality, drift, estimated and realised performance and has
`verdict.py` say one word. The same rows, references and `now` give the same record on any machine.
Not here: reading the log (`logged_window.py`), the references (`references.py`), keeping the record
(`store.py`), and who calls it: the assets, the replay and the backtest.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl

from mlops_assets.monitoring.answers import Answers, read_answers, unusable
from mlops_assets.monitoring.at_evaluation import logged_fields
from mlops_assets.monitoring.counting import sketch_window
from mlops_assets.monitoring.drift import assess_drift
from mlops_assets.monitoring.drift_reference import TIME, answer_frame, answers_as_series
from mlops_assets.monitoring.estimation import (
    EstimatedPerformance,
    estimate_window,
    estimated_change,
    estimated_signal,
    tolerance_of,
)
from mlops_assets.monitoring.logged_window import LoggedWindow
from mlops_assets.monitoring.losses import explain_loss
from mlops_assets.monitoring.null import NullCache
from mlops_assets.monitoring.quality import QualityEvidence, QualityReport, assess_quality
from mlops_assets.monitoring.quality_counts import measure_rows
from mlops_assets.monitoring.realised import (
    Coverage,
    RealisedPerformance,
    measure_coverage,
    measure_realised,
    realised_change,
    realised_signal,
)
from mlops_assets.monitoring.references import References
from mlops_assets.monitoring.report import DriftReport
from mlops_assets.monitoring.signals import drift_signal
from mlops_assets.monitoring.trust import EstimateError, assess_trust, error_of
from mlops_assets.monitoring.verdict import (
    DriftSignal,
    PerformanceSignal,
    QualitySignal,
    Signals,
    SliceFinding,
    WindowFacts,
    judge_window,
)
from mlops_assets.monitoring.window_record import WindowRecord
from mlops_assets.monitoring.windows import Window, is_ended
from mlops_assets.spec import ModelSpec


def judge(
    spec: ModelSpec,
    logged: LoggedWindow,
    references: References,
    now: datetime,
    *,
    errors: Sequence[EstimateError] = (),
    nulls: NullCache | None = None,
    drift: DriftReport | None = None,
) -> WindowRecord:
    """The verdict on a window.

    Args:
        spec: The model's document.
        logged: What the log holds; rows of other versions are left out.
        references: Of the version that is judged.
        now: Aware.
        errors: How far estimates were off in windows before this one, oldest first. Trust rests on
            them and on those of the evaluation.
        nulls: Keeps what was drawn for the next window. The record is the same without.
        drift: What was found before of the same rows, which truth does not change; None: not yet.
    """
    logged = logged.of_version(references.version)
    measured = _Measured(spec, logged, references, now)
    drift = measured.drift(nulls) if drift is None else drift
    quality = measured.quality(drift)
    realised, coverage = measured.realised(), measured.coverage
    change = realised_change(
        realised, measured.before, spec.monitored_metric, spec.monitoring.performance
    )
    estimated = measured.estimated()
    metric, settings = spec.monitored_metric, spec.monitoring.performance
    known = [*references.performance.errors, *errors]
    trust = assess_trust(known, metric, tolerance_of(references.performance, metric, settings))
    expected = estimated_change(references.performance, estimated, trust, metric, settings)
    slices = measured.slices() if change.state == "worse" else ()
    signals = Signals(
        quality=quality.signal(),
        drift=drift_signal(drift),
        estimated=estimated_signal(expected),
        realised=realised_signal(change, slices),
    )
    verdict = judge_window(
        _facts(spec, logged.window, references.version, coverage),
        signals,
        minimum_rows=spec.monitoring.drift.minimum_rows,
    )
    return WindowRecord(
        window=logged.window,
        verdict=verdict,
        metric=metric,
        judged_at=now,
        is_ended=is_ended(logged.window, now),
        mlflow_run_id=references.mlflow_run_id,
        quality=quality,
        drift=drift,
        realised=realised,
        realised_change=change,
        estimated=estimated,
        estimated_change=expected,
        trust=trust,
        errors=_new_errors(estimated, realised, logged.window),
    )


def judge_unknown(
    spec: ModelSpec, logged: LoggedWindow, version: str | None, why: str, now: datetime
) -> WindowRecord:
    """The verdict on a window that can be compared with nothing: `not_enough_data`, and why."""
    n_rows = logged.rows.height if version is None else logged.of_version(version).rows.height
    unknown = PerformanceSignal(state="unknown", reason=why)
    signals = Signals(
        quality=QualitySignal(state="unknown", reason=why),
        drift=DriftSignal(state="unknown", reason=why),
        estimated=unknown,
        realised=unknown,
    )
    facts = WindowFacts(
        model=spec.name,
        model_version=version,
        start=logged.window.start,
        end=logged.window.end,
        n_rows=n_rows,
    )
    least = spec.monitoring.drift.minimum_rows
    return WindowRecord(
        window=logged.window,
        verdict=judge_window(facts, signals, minimum_rows=least),
        metric=spec.monitored_metric,
        judged_at=now,
        is_ended=is_ended(logged.window, now),
    )


class _Measured:
    """The rows of a window, each part measured once."""

    def __init__(
        self,
        spec: ModelSpec,
        logged: LoggedWindow,
        references: References,
        now: datetime,
    ) -> None:
        self._spec, self._logged, self._references = spec, logged, references
        self._fields = logged_fields(spec, references.fields)
        self._features = logged.features(self._fields)
        usable = ~unusable(logged.rows, references.subject)
        self._rows = logged.rows.filter(usable)
        self._usable_features = self._features.filter(usable) if self._features.width else None
        self.coverage: Coverage = measure_coverage(
            logged.rows,
            references.subject,
            end=logged.window.end,
            now=now,
            clock_tolerance=spec.monitoring.quality.clock_tolerance,
        )
        self.before = references.performance.realised[spec.monitored_metric]
        self.answers: Answers = read_answers(self._rows, references.subject)

    def drift(self, nulls: NullCache | None) -> DriftReport:
        reference = self._references.drift.only([field.name for field in self._fields])
        layout = reference.features.layout
        times = self._logged.rows["event_time"].alias(TIME)
        frame = self._features.with_columns(times) if self._features.width else times.to_frame()
        if layout.time_column is None and self._features.width:
            frame = self._features
        current = sketch_window(frame, layout)
        answers = None
        if reference.answers is not None:
            told = answers_as_series(self.answers.predicted, self._references.subject)
            rows = answer_frame(told.cast(_type_of(told)), self._rows["event_time"])
            window = sketch_window(rows, reference.answers.layout)
            answers = (reference.answers, window)
        return assess_drift(
            reference.features,
            current,
            self._spec.monitoring.drift,
            reference.importance,
            nulls,
            answers=answers,
        )

    def quality(self, drift: DriftReport) -> QualityReport:
        profile = self._references.quality
        contracts = self._spec.contract.columns
        rows = measure_rows(self._features, contracts, profile)
        rows = rows.model_copy(update={"n_rows": self._logged.rows.height})
        evidence = QualityEvidence(
            rows=rows, log=self._logged.log, coverage=self.coverage, drift=drift
        )
        return assess_quality(evidence, profile, self._spec.monitoring.quality)

    def realised(self) -> RealisedPerformance:
        return measure_realised(
            self._logged.rows,
            self.coverage,
            self._references.subject,
            self._spec.monitoring.performance,
            self._rng("realised"),
        )

    def estimated(self) -> EstimatedPerformance:
        n_rows = self.answers.n_rows
        if not self._spec.monitoring.performance.estimate:
            reason = "monitoring.performance.estimate is false"
            return EstimatedPerformance(method="none", n_rows=n_rows, reason=reason)
        features = self._usable_features if self._usable_features is not None else pl.DataFrame()
        return estimate_window(
            self._references.performance, self.answers, features, self._rng("estimated")
        )

    def slices(self) -> tuple[SliceFinding, ...]:
        if self._usable_features is None:
            return ()
        known = self.answers.with_truth()
        features = self._usable_features.filter(pl.Series(self.answers.known))
        return explain_loss(self._references.performance.losses, features, known.losses())

    def _rng(self, purpose: str) -> np.random.Generator:
        """The same window, the same redraws."""
        window = self._logged.window
        text = f"{self._spec.name}\0{self._references.version}\0{window.key}\0{purpose}"
        return np.random.default_rng(list(hashlib.sha256(text.encode()).digest()))


def _type_of(answers: pl.Series) -> pl.DataType:
    return pl.String() if answers.dtype == pl.String else pl.Float64()


def _facts(spec: ModelSpec, window: Window, version: str, coverage: Coverage) -> WindowFacts:
    return WindowFacts(
        model=spec.name,
        model_version=version,
        start=window.start,
        end=window.end,
        n_rows=coverage.n_rows + coverage.n_unusable,
        n_with_truth=coverage.n_with_truth,
    )


def _new_errors(
    estimated: EstimatedPerformance, realised: RealisedPerformance, window: Window
) -> tuple[EstimateError, ...]:
    """How far the estimate was off, once there is enough truth to say so."""
    if not realised.comparable:
        return ()
    pairs = [
        (metric, found, realised.metrics[metric])
        for metric, found in estimated.metrics.items()
        if metric in realised.metrics
    ]
    errors = [error_of(metric, one, other, end=window.end) for metric, one, other in pairs]
    return tuple(error for error in errors if error is not None)
