"""Whether the data of a window can be believed: evidence for `broken_data`.

Here: `assess_quality`, a pure function from counts to what is broken and what is merely odd.
Not here: how rows are counted (`quality_counts.py`), and which columns are missing or changed type,
which the drift engine tells (`drift.py`).

A share breaks a window only where it exceeds what the training data already showed by more than
the document allows, and only from 20 rows on: fewer show any share. Records that cannot be read
break it whatever is left: few rows may be why. What is odd and harms nobody is told and breaks
nothing: repeated events (counted once), new columns, events of other versions (left
out), single values far out.
"""

from collections.abc import Iterable
from typing import Literal

from mlops_assets.monitoring.quality_counts import LogCounts, QualityProfile, RowCounts
from mlops_assets.monitoring.realised import Coverage
from mlops_assets.monitoring.record import Record
from mlops_assets.monitoring.report import ColumnDrift, DriftReport
from mlops_assets.monitoring.verdict import ColumnFinding, Quality, QualitySignal
from mlops_assets.spec.monitoring import QualitySpec

_FEWEST_ROWS = 20

QualityRule = Literal[
    "column",
    "missing",
    "unseen",
    "wild",
    "contract",
    "answers",
    "repeats",
    "clocks",
    "truth",
    "lost",
    "new_columns",
    "duplicates",
    "other_versions",
]


class QualityEvidence(Record):
    """All that was counted of a window.

    Attributes:
        rows: On its rows.
        log: While they were read.
        coverage: On their truth.
        drift: On its columns; None when they were compared with nothing.
    """

    rows: RowCounts
    log: LogCounts
    coverage: Coverage
    drift: DriftReport | None = None


class QualityFinding(Record):
    """One thing that is broken, or odd.

    Attributes:
        rule: Which rule found it.
        breaks: Whether it breaks the window.
        column: The column; None when it concerns all.
        ratio: Share of the rows, beyond what was to be expected.
        reason: In words.
    """

    rule: QualityRule
    breaks: bool
    column: str | None = None
    ratio: float
    reason: str


class QualityReport(Record):
    """Whether a window can be believed.

    Attributes:
        state: broken; sound; unknown: there are no rows.
        reason: In words.
        findings: What breaks it first, then what is odd.
    """

    state: Quality
    reason: str
    findings: tuple[QualityFinding, ...] = ()

    def signal(self) -> QualitySignal:
        """What a verdict is told of it."""
        columns = tuple(
            ColumnFinding(
                column=found.column, score=found.ratio, measure=found.rule, reason=found.reason
            )
            for found in self.findings
            if found.breaks and found.column is not None
        )
        return QualitySignal(state=self.state, reason=self.reason, columns=columns)


def assess_quality(
    evidence: QualityEvidence, profile: QualityProfile, limits: QualitySpec
) -> QualityReport:
    """Whether a window can be believed, and what is broken or odd about it.

    Args:
        evidence: What was counted.
        profile: Of the training data.
        limits: The `monitoring.quality` part of the document.
    """
    rows, drift = evidence.rows, evidence.drift
    columns = drift.columns if drift is not None else ()
    sound = [column for column in columns if column.state != "broken"]
    found = [
        *_broken(columns),
        *(finding for column in sound for finding in _shares(column, profile, limits)),
        *_row_findings(rows, profile, limits),
        *_truth_findings(evidence.coverage, evidence.log, limits),
        *_odd(drift, evidence.log),
    ]
    enough = rows.n_rows >= _FEWEST_ROWS
    found = [f if enough or f.rule in ("column", "lost") else _merely_odd(f) for f in found]
    found.sort(key=lambda f: (not f.breaks, -f.ratio))
    breaking = [f.reason for f in found if f.breaks]
    if breaking:
        state: Quality = "broken"
        reason = "; ".join(breaking[:3])
        reason += f"; and {len(breaking) - 3} more" if len(breaking) > 3 else ""
    elif rows.n_rows == 0:
        state, reason = "unknown", "no rows"
    else:
        odd = f" ({'; '.join(f.reason for f in found[:3])})" if found else ""
        state, reason = "sound", f"{rows.n_rows:,} rows as in training{odd}"
    return QualityReport(state=state, reason=reason, findings=tuple(found))


def _broken(columns: Iterable[ColumnDrift]) -> Iterable[QualityFinding]:
    for column in columns:
        if column.state == "broken":
            yield QualityFinding(
                rule="column",
                breaks=True,
                column=column.column,
                ratio=1.0,
                reason=f"{column.column}: {column.reason}",
            )


def _shares(
    column: ColumnDrift, profile: QualityProfile, limits: QualitySpec
) -> Iterable[QualityFinding]:
    """What the drift engine counted of one column."""
    name = column.column
    if column.missing_ratio is not None and column.missing_ratio_reference is not None:
        rise = column.missing_ratio - column.missing_ratio_reference
        words = f"{name}: {column.missing_ratio:.0%} missing"
        words += f", {column.missing_ratio_reference:.0%} in training"
        if rise > limits.maximum_missing_rise:
            yield QualityFinding(rule="missing", breaks=True, column=name, ratio=rise, reason=words)
    if column.n_in_new_categories and column.n_current:
        ratio = column.n_in_new_categories / column.n_current
        beyond = ratio - profile.unseen_ratio.get(name, 0.0)
        if beyond > 0:
            yield QualityFinding(
                rule="unseen",
                breaks=beyond > limits.maximum_unseen_ratio,
                column=name,
                ratio=beyond,
                reason=f"{name}: {ratio:.0%} of the values are categories never seen in training",
            )


def _row_findings(
    rows: RowCounts, profile: QualityProfile, limits: QualitySpec
) -> Iterable[QualityFinding]:
    n_rows = max(1, rows.n_rows)
    beyond = rows.n_violating / n_rows - profile.violation_ratio
    if beyond > 0:
        worst = max(rows.violations, key=lambda name: rows.violations[name], default=None)
        yield QualityFinding(
            rule="contract",
            breaks=beyond > limits.maximum_violation_ratio,
            column=worst,
            ratio=beyond,
            reason=f"{rows.n_violating:,} of {rows.n_rows:,} rows break the contract, "
            f"most of them by {worst}",
        )
    for name, n_wild in rows.wild.items():
        ratio = n_wild / n_rows
        yield QualityFinding(
            rule="wild",
            breaks=ratio > limits.maximum_wild_ratio,
            column=name,
            ratio=ratio,
            reason=f"{name}: {n_wild:,} values lie far beyond {profile.lowest[name]:.6g} to "
            f"{profile.highest[name]:.6g}, the range in training",
        )
    repeats = rows.n_most_frequent / n_rows - profile.repeat_ratio
    if repeats > limits.maximum_repeat_ratio:
        reason = f"{rows.n_most_frequent:,} of {rows.n_rows:,} rows are one and the same"
        yield QualityFinding(rule="repeats", breaks=True, ratio=repeats, reason=reason)


def _truth_findings(
    coverage: Coverage, log: LogCounts, limits: QualitySpec
) -> Iterable[QualityFinding]:
    wrong = coverage.n_contradicted + coverage.n_unreadable
    n_answers = max(1, coverage.n_rows + coverage.n_unusable)
    skewed = log.n_future + coverage.n_early
    counted: list[tuple[QualityRule, int, int, float, str]] = [
        ("answers", coverage.n_unusable, n_answers, limits.maximum_violation_ratio,
         "answers are no numbers"),
        ("clocks", skewed, n_answers, limits.maximum_skew_ratio,
         "rows are dated in the future or after their truth"),
        ("truth", wrong, max(1, wrong + coverage.n_with_truth), limits.maximum_contradicted_ratio,
         "truths contradict each other or cannot be read"),
        ("lost", log.n_lost, log.n_lost + n_answers, limits.maximum_lost_ratio,
         "records of the log cannot be read"),
    ]  # fmt: skip
    for rule, n, of, limit, words in counted:
        if n:
            reason = f"{n:,} of {of:,} {words}"
            yield QualityFinding(rule=rule, breaks=n / of > limit, ratio=n / of, reason=reason)


def _odd(drift: DriftReport | None, log: LogCounts) -> Iterable[QualityFinding]:
    if drift is not None and drift.new_columns:
        reason = f"new columns that no model sees: {', '.join(drift.new_columns[:5])}"
        yield QualityFinding(rule="new_columns", breaks=False, ratio=0.0, reason=reason)
    if log.n_duplicates:
        reason = f"{log.n_duplicates:,} events came twice and count once"
        yield QualityFinding(rule="duplicates", breaks=False, ratio=0.0, reason=reason)
    if log.n_other_versions:
        reason = f"{log.n_other_versions:,} rows of other versions are left out"
        yield QualityFinding(rule="other_versions", breaks=False, ratio=0.0, reason=reason)


def _merely_odd(found: QualityFinding) -> QualityFinding:
    return found.model_copy(update={"breaks": False})
