"""The verdict of a window: pure functions from four signals to one word, and why.

Here: `Signals`, the truth table `RULES`, and `judge_window`. Light, so that a sensor may import it.
Not here: how a signal is made (`quality.py`, the drift engine, `estimation.py`, `realised.py`), and
what follows from a verdict (`retraining/decision.py`).

Four signals say what is known, each with a word for "nothing":

quality     whether the window's data can be believed at all
drift       whether inputs or predictions differ from those that the model was trained on
estimated   whether performance is worse than at the evaluation, as an estimate without truth says;
            an estimate that is not trusted says nothing
realised    the same, as truth says; too little truth says nothing

The table in docs/monitoring.md is made from `RULES`; a test keeps it current.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import AwareDatetime, Field

from mlops_assets.monitoring.record import Record

Quality = Literal["sound", "broken", "unknown"]
Drift = Literal["found", "none", "unknown"]
Performance = Literal["worse", "held", "unknown"]
Verdict = Literal[
    "healthy",
    "drift_harmless",
    "drift_harmful",
    "concept_drift",
    "broken_data",
    "not_enough_data",
]

MEANINGS: Mapping[Verdict, str] = {
    "healthy": "nothing speaks against the model",
    "drift_harmless": "inputs or predictions moved, and the model does as well as before",
    "drift_harmful": "the model does worse, and nothing says that its inputs are not the cause",
    "concept_drift": "the model does worse, and its inputs do not explain it: what it learned "
    "no longer holds",
    "broken_data": "the data cannot be believed, so nothing is concluded from it",
    "not_enough_data": "nobody can tell",
}
"""What each verdict means, in the words of the docs."""

_MOST_COLUMNS = 10


class ColumnFinding(Record):
    """One column that explains a verdict.

    Attributes:
        column: Its name; `prediction` for what the model answered.
        score: How far it moved, or which share of it is broken.
        measure: What the score is, such as `wasserstein` or `missing share`.
        reason: In words.
    """

    column: str
    score: float
    measure: str
    reason: str


class SliceFinding(Record):
    """The rows with one value of a column, and how much of the loss comes from them.

    Attributes:
        column: The column.
        value: Its value.
        n_rows: Rows of the window.
        share: Share of the window's rows.
        share_before: Share at the evaluation.
        loss: Mean loss of these rows now.
        loss_before: At the evaluation; None when there were none.
        explains: Share of the whole increase of the loss that is due to them; above 1 when other
            rows did better than before.
        reason: In words.
    """

    column: str
    value: str
    n_rows: int
    share: float
    share_before: float
    loss: float
    loss_before: float | None
    explains: float
    reason: str


class QualitySignal(Record):
    """Whether the window's data can be believed."""

    state: Quality
    reason: str
    columns: tuple[ColumnFinding, ...] = ()


class DriftSignal(Record):
    """Whether inputs or predictions moved; the columns that did, the most telling first."""

    state: Drift
    reason: str
    columns: tuple[ColumnFinding, ...] = ()


class PerformanceSignal(Record):
    """What truth, or a trusted estimate, says of performance; slices, the most telling first."""

    state: Performance
    reason: str
    slices: tuple[SliceFinding, ...] = ()


class Signals(Record):
    """All that is known of a window."""

    quality: QualitySignal
    drift: DriftSignal
    estimated: PerformanceSignal
    realised: PerformanceSignal


class WindowFacts(Record):
    """Which window it is, and how much of it there is.

    Attributes:
        model: Name of the model.
        model_version: The version that it judges; None when it is unknown.
        start: Begin, included.
        end: End, excluded.
        n_rows: Rows that this version answered.
        n_with_truth: Rows of these whose truth is known.
    """

    model: str
    model_version: str | None = None
    start: AwareDatetime
    end: AwareDatetime
    n_rows: int = Field(ge=0)
    n_with_truth: int = Field(0, ge=0)


class WindowVerdict(Record):
    """What is said of a window, with what it rests on.

    Attributes:
        window: Which.
        verdict: In one word.
        reason: In words, with the column and the slice that explain it.
        signals: What was known.
        columns: The columns that explain it, the most telling first.
        worst_slice: The slice that explains most of a loss; None when there is no loss, or no slice
            stands out.
    """

    window: WindowFacts
    verdict: Verdict
    reason: str
    signals: Signals
    columns: tuple[ColumnFinding, ...] = ()
    worst_slice: SliceFinding | None = None

    def table(self) -> list[dict[str, str]]:
        """What explains the verdict, a row for each signal, column and slice."""
        rows = [
            {"what": name, "found": signal.state, "why": signal.reason}
            for name, signal in self.signals
        ]
        rows += [
            {"what": f"column {c.column}", "found": f"{c.measure} {c.score:.3g}", "why": c.reason}
            for c in self.columns
        ]
        if (worst := self.worst_slice) is not None:
            what = f"slice {worst.column} = {worst.value}"
            found = f"{worst.explains:.0%} of the loss"
            rows.append({"what": what, "found": found, "why": worst.reason})
        return rows


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the truth table: it applies where each signal is one of those named.

    Attributes:
        drift: Words of the drift signal; empty: any.
        estimated: Words of the estimate; empty: any.
        realised: Words of realised performance; empty: any.
        verdict: What then is said.
        why: In words.
    """

    drift: tuple[Drift, ...]
    estimated: tuple[Performance, ...]
    realised: tuple[Performance, ...]
    verdict: Verdict
    why: str

    def applies(self, drift: Drift, estimated: Performance, realised: Performance) -> bool:
        """Whether it does."""
        pairs = ((drift, self.drift), (estimated, self.estimated), (realised, self.realised))
        return all(not allowed or found in allowed for found, allowed in pairs)


RULES: tuple[Rule, ...] = (
    Rule((), ("held",), ("worse",), "concept_drift", "performance fell, and inputs that a trusted "
         "estimate knows do not explain it"),
    Rule(("none",), ("unknown",), ("worse",), "concept_drift", "performance fell while inputs and "
         "predictions stayed as they were"),
    Rule((), ("worse",), ("worse",), "drift_harmful", "performance fell, as the inputs let expect"),
    Rule(("found",), ("unknown",), ("worse",), "drift_harmful", "performance fell and inputs "
         "moved; whether they are the cause nobody can tell"),
    Rule(("unknown",), ("unknown",), ("worse",), "drift_harmful", "performance fell; whether "
         "inputs moved nobody can tell"),
    Rule(("found",), (), ("held",), "drift_harmless", "inputs or predictions moved, and truth says "
         "that performance held"),
    Rule((), (), ("held",), "healthy", "truth says that performance held"),
    Rule((), ("worse",), ("unknown",), "drift_harmful", "a trusted estimate says that performance "
         "fell; truth is still to come"),
    Rule(("found",), ("held",), ("unknown",), "drift_harmless", "inputs or predictions moved, and "
         "a trusted estimate says that performance held"),
    Rule(("none",), (), ("unknown",), "healthy", "inputs and predictions are as they were, and "
         "nothing says that performance fell"),
    Rule(("found",), ("unknown",), ("unknown",), "not_enough_data", "inputs or predictions moved; "
         "what that does to performance nobody can tell"),
    Rule(("unknown",), (), ("unknown",), "not_enough_data", "nothing is known of drift, and "
         "truth is missing"),
)  # fmt: skip
"""For data that is sound and enough: the first rule that applies gives the verdict."""


def judge_window(window: WindowFacts, signals: Signals, *, minimum_rows: int) -> WindowVerdict:
    """One word for a window, and why.

    Broken data is told first, however little there is of it; then too few rows; then the first of
    `RULES` that applies.
    """
    columns: tuple[ColumnFinding, ...] = ()
    worst: SliceFinding | None = None
    verdict: Verdict
    if signals.quality.state == "broken":
        verdict, why = "broken_data", signals.quality.reason
        columns = signals.quality.columns
    elif window.n_rows < minimum_rows:
        verdict, why = (
            "not_enough_data",
            f"{window.n_rows:,} rows, at least {minimum_rows:,} needed",
        )
    else:
        rule = rule_for(signals.drift.state, signals.estimated.state, signals.realised.state)
        verdict, why = rule.verdict, rule.why
        worst = _worst_slice(signals)
        columns = signals.drift.columns if signals.drift.state == "found" else ()
        why = f"{why} ({'; '.join(_told(signals))})"
    return WindowVerdict(
        window=window,
        verdict=verdict,
        reason=_sentence(why, columns, worst),
        signals=signals,
        columns=columns[:_MOST_COLUMNS],
        worst_slice=worst,
    )


def rule_for(drift: Drift, estimated: Performance, realised: Performance) -> Rule:
    """The first rule that applies; there is always one."""
    return next(rule for rule in RULES if rule.applies(drift, estimated, realised))


def table_of_rules() -> str:
    """The truth table as Markdown, for the docs."""

    def words(allowed: Sequence[str]) -> str:
        return " or ".join(allowed) if allowed else "any"

    lines = [
        "| quality | rows | drift | estimated | realised | verdict | because |",
        "|---|---|---|---|---|---|---|",
        "| broken | any | any | any | any | `broken_data` | the data cannot be believed |",
        "| any other | too few | any | any | any | `not_enough_data` | few rows prove nothing |",
    ]
    lines += [
        f"| any other | enough | {words(rule.drift)} | {words(rule.estimated)} | "
        f"{words(rule.realised)} | `{rule.verdict}` | {rule.why} |"
        for rule in RULES
    ]
    return "\n".join(lines) + "\n"


def _told(signals: Signals) -> list[str]:
    """What the signals that decide say; those that know nothing last."""
    told = [
        ("realised", signals.realised.state, signals.realised.reason),
        ("estimated", signals.estimated.state, signals.estimated.reason),
        ("drift", signals.drift.state, signals.drift.reason),
    ]
    known = [f"{name}: {reason}" for name, state, reason in told if state != "unknown"]
    unknown = [f"{name} unknown: {reason}" for name, state, reason in told if state == "unknown"]
    return known + unknown


def _worst_slice(signals: Signals) -> SliceFinding | None:
    losing = [s for s in (signals.realised, signals.estimated) if s.state == "worse" and s.slices]
    return losing[0].slices[0] if losing else None


def _sentence(why: str, columns: Sequence[ColumnFinding], worst: SliceFinding | None) -> str:
    parts = [why]
    if columns:
        named = ", ".join(column.column for column in columns[:3])
        more = f" and {len(columns) - 3} more" if len(columns) > 3 else ""
        parts.append(f"columns: {named}{more}")
    if worst is not None:
        parts.append(worst.reason)
    return "; ".join(parts)
