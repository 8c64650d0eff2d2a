"""How often a model is trained again although nothing changed: simulated years without drift.

Each year has a reference and an evaluation of its own (eight weeks each), and 365 daily windows
drawn from the same population: weekdays and weekends differ in their callers, in how many they are
and in how well the model does. Shipped code with the shipped policy: the drift engine, CBPE and its
trust, realised performance from truth that comes two days late for 95 % of the rows, the verdict,
and the decision once a day with its cooldown, budget and breakers. Not in it: data quality, which
is taken as sound. A retraining ends as a new champion that answers like the old one, and the old
windows go on counting, which makes alarms more likely than they are. Limit: at most 2 retrainings a
year on average.

About 20 s of CPU a year. `--years 5` is a quick look.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.monitoring.answers import Subject, answers_of
from mlops_assets.monitoring.cbpe import estimate_classes
from mlops_assets.monitoring.change import compare, margin_of
from mlops_assets.monitoring.counting import sketch_reference, sketch_window
from mlops_assets.monitoring.drift import assess_drift
from mlops_assets.monitoring.estimation import (
    EstimatedPerformance,
    estimated_change,
    estimated_signal,
    tolerance_of,
)
from mlops_assets.monitoring.layout import Selection, WatchedColumn
from mlops_assets.monitoring.null import NullCache
from mlops_assets.monitoring.performance_reference import (
    EvaluatedRows,
    PerformanceReference,
    build_performance_reference,
)
from mlops_assets.monitoring.realised import measure_metrics, realised_signal
from mlops_assets.monitoring.signals import drift_signal
from mlops_assets.monitoring.sketch import Sketch
from mlops_assets.monitoring.trust import EstimateError, assess_trust, error_of
from mlops_assets.monitoring.verdict import (
    PerformanceSignal,
    QualitySignal,
    Signals,
    WindowFacts,
    WindowVerdict,
    judge_window,
)
from mlops_assets.retraining.decision import decide
from mlops_assets.retraining.state import RetrainingState
from mlops_assets.spec.model import Metric
from mlops_assets.spec.monitoring import DriftSpec, PerformanceSpec
from mlops_assets.spec.retraining import RetrainingSpec

LIMIT = 2.0
WEEKS, DAYS = 8, 365
ROWS = {"weekday": 400, "weekend": 200}
TRUTH_DAYS, TRUTH_RATIO = 2, 0.95
METRIC: Metric = "roc_auc"
DAY = timedelta(days=1)
START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
SELECTION = Selection(
    (
        WatchedColumn("age", "number"),
        WatchedColumn("spend", "number"),
        WatchedColumn("visits", "number"),
        WatchedColumn("plan", "category"),
        WatchedColumn("channel", "category"),
        WatchedColumn("member", "boolean"),
        WatchedColumn("score", "number", "prediction"),
    ),
    time_column="at",
)
FIELDS = [
    FeatureField(name="age", kind="number"),
    FeatureField(name="spend", kind="number"),
    FeatureField(name="visits", kind="number"),
    FeatureField(name="plan", kind="category"),
    FeatureField(name="channel", kind="category"),
    FeatureField(name="member", kind="boolean"),
]
SUBJECT = Subject("binary", (0, 1))
UNKNOWN = PerformanceSignal(state="unknown", reason="no truth yet")
SOUND = QualitySignal(state="sound", reason="as in training")


@dataclass(frozen=True)
class Rows:
    """Rows of some days: features, score of class 1, truth."""

    frame: pl.DataFrame
    truth: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """Probabilities of both classes."""
        score = self.frame["score"].to_numpy()
        return np.stack([1 - score, score], axis=1)


def draw(day: int, rng: np.random.Generator) -> Rows:
    """One day of a population that never changes, but for the day of the week."""
    weekend = day % 7 >= 5
    n = ROWS["weekend" if weekend else "weekday"]
    age = rng.normal(48 if weekend else 41, 12, n)
    spend = rng.lognormal(3.2 if weekend else 3.0, 0.8, n)
    visits = rng.poisson(3 if weekend else 2, n).astype(float)
    plan = rng.choice(
        ["basic", "plus", "pro"], n, p=[0.5, 0.3, 0.2] if weekend else [0.6, 0.3, 0.1]
    )
    channel = rng.choice([f"c{i}" for i in range(12)], n)
    member = rng.random(n) < (0.4 if weekend else 0.3)
    signal = 0.05 * (age - 43) + 0.6 * (plan == "basic") - 0.3 * visits + 0.5 * member
    truth = rng.random(n) < 1 / (1 + np.exp(-signal * (0.9 if weekend else 1.1)))
    score = 1 / (1 + np.exp(-1.5 * signal - 0.2))
    at = START + timedelta(days=day)
    frame = pl.DataFrame(
        {
            "at": [at + timedelta(seconds=float(s)) for s in np.sort(rng.uniform(0, 86_400, n))],
            "age": age, "spend": spend, "visits": visits, "plan": plan, "channel": channel,
            "member": member, "score": score,
        }
    )  # fmt: skip
    return Rows(frame, truth.astype(np.int64))


def draw_days(first: int, n_days: int, rng: np.random.Generator) -> Rows:
    """Several days."""
    days = [draw(first + day, rng) for day in range(n_days)]
    return Rows(pl.concat([d.frame for d in days]), np.concatenate([d.truth for d in days]))


@dataclass
class Year:
    """One simulated year: what the windows are compared with, and what was found so far."""

    reference: Sketch
    performance: PerformanceReference
    nulls: NullCache
    errors: list[EstimateError]
    estimates: list[EstimatedPerformance]
    days: list[Rows]
    signals: list[Signals]

    @staticmethod
    def begin(rng: np.random.Generator) -> "Year":
        """A reference of eight weeks, and an evaluation on the eight after them."""
        trained = draw_days(-14 * WEEKS, 7 * WEEKS, rng)
        judged = draw_days(-7 * WEEKS, 7 * WEEKS, rng)
        evaluated = EvaluatedRows(
            answers=answers_of(SUBJECT, judged.predicted, judged.truth),
            features=judged.frame,
            fields=FIELDS,
            times=judged.frame["at"],
        )
        performance = build_performance_reference(evaluated, seed=int(rng.integers(2**31)))
        reference = sketch_reference(trained.frame, SELECTION)
        return Year(reference, performance, NullCache(), list(performance.errors), [], [], [])

    def add(self, rows: Rows, rng: np.random.Generator) -> None:
        """Judge a new day by drift and estimate."""
        window = sketch_window(rows.frame, self.reference.layout)
        drift = assess_drift(self.reference, window, DriftSpec(), nulls=self.nulls)
        calibration = self.performance.calibration
        assert calibration is not None
        calibrated = calibration.apply(rows.predicted)
        metrics = estimate_classes(calibrated, rows.predicted, rng, metrics=[METRIC])
        found = EstimatedPerformance(method="cbpe", n_rows=rows.frame.height, metrics=metrics)
        settings = PerformanceSpec()
        tolerance = tolerance_of(self.performance, METRIC, settings)
        trust = assess_trust(self.errors, METRIC, tolerance)
        change = estimated_change(self.performance, found, trust, METRIC, settings)
        self.days.append(rows)
        self.estimates.append(found)
        self.signals.append(
            Signals(
                quality=SOUND,
                drift=drift_signal(drift),
                estimated=estimated_signal(change),
                realised=UNKNOWN,
            )
        )

    def tell_truth(self, day: int, rng: np.random.Generator) -> None:
        """The truth of a day has come, of nearly all rows."""
        rows = self.days[day]
        known = np.flatnonzero(rng.random(rows.truth.size) < TRUTH_RATIO)
        answers = answers_of(SUBJECT, rows.predicted[known], rows.truth[known])
        realised = measure_metrics(answers, rng, metrics=[METRIC])[METRIC]
        before = self.performance.realised[METRIC]
        change = compare(METRIC, before, realised, margin_of(METRIC, before, None))
        error = error_of(METRIC, self.estimates[day].metrics[METRIC], realised)
        if error is not None:
            self.errors.append(error)
        self.signals[day] = self.signals[day].model_copy(
            update={"realised": realised_signal(change)}
        )

    def verdict(self, day: int) -> WindowVerdict:
        """What is said of a day now."""
        n_rows = self.days[day].frame.height
        told = self.signals[day].realised is not UNKNOWN
        facts = WindowFacts(
            model="simulated",
            start=START + day * DAY,
            end=START + (day + 1) * DAY,
            n_rows=n_rows,
            n_with_truth=round(TRUTH_RATIO * n_rows) if told else 0,
        )
        return judge_window(facts, self.signals[day], minimum_rows=DriftSpec().minimum_rows)


@dataclass(frozen=True)
class Tally:
    """What a year came to."""

    n_retrained: int
    verdicts: dict[str, int]
    signals: dict[str, int]


def live(seed: int) -> Tally:
    """One year."""
    policy = RetrainingSpec()
    rng = np.random.default_rng(seed)
    year = Year.begin(rng)
    state = RetrainingState(model="simulated", since=START)
    n_retrained = 0
    for day in range(DAYS):
        year.add(draw(day, rng), rng)
        if day >= TRUTH_DAYS:
            year.tell_truth(day - TRUTH_DAYS, rng)
        recent = [year.verdict(d) for d in range(max(0, day - 20), day + 1)]
        now = START + (day + 1) * DAY
        decision = decide(recent, state, policy, now)
        state = decision.state
        if decision.action == "retrain":
            n_retrained += 1
            state = state.with_run(f"run-{day}").with_outcome("promoted", now)
    verdicts = [year.verdict(day).verdict for day in range(DAYS)]
    found = {
        "drift found": sum(s.drift.state == "found" for s in year.signals),
        "estimated worse": sum(s.estimated.state == "worse" for s in year.signals),
        "realised worse": sum(s.realised.state == "worse" for s in year.signals),
    }
    return Tally(n_retrained, {v: verdicts.count(v) for v in set(verdicts)}, found)


def main() -> None:
    """Simulate, print the table, exit 1 when the limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    console, began = Console(), time.monotonic()
    tallies: list[Tally] = []
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ.setdefault(variable, "1")  # a process for each core: threads would only wait
    with ProcessPoolExecutor(arguments.processes, get_context("spawn")) as pool:
        lives = [pool.submit(live, arguments.seed + year) for year in range(arguments.years)]
        for ended in as_completed(lives):
            tallies.append(ended.result())
            total = sum(t.n_retrained for t in tallies)
            took = time.monotonic() - began
            told = f"{len(tallies)} years, {total} retrainings, {took:.0f} s; {tallies[-1].signals}"
            print(told, file=sys.stderr)
    mean = float(np.mean([t.n_retrained for t in tallies]))
    table = Table(
        title=f"{arguments.years} simulated years without drift, {DAYS} daily windows each"
    )
    table.add_column("what")
    table.add_column("a year", justify="right")
    table.add_row("false retrainings, mean", f"{mean:.2f} (limit {LIMIT:g})")
    table.add_row("false retrainings, worst year", f"{max(t.n_retrained for t in tallies)}")
    for name in tallies[0].signals:
        windows = float(np.mean([t.signals[name] for t in tallies]))
        table.add_row(f"windows with {name}", f"{windows:.1f} ({windows / DAYS:.1%})")
    for verdict in sorted({v for t in tallies for v in t.verdicts}):
        windows = float(np.mean([t.verdicts.get(verdict, 0) for t in tallies]))
        table.add_row(f"windows {verdict}", f"{windows:.1f}")
    console.print(table)
    sys.exit(0 if mean <= LIMIT else 1)


if __name__ == "__main__":
    main()
