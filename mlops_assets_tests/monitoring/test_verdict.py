"""One word for a window: the truth table, each row and every combination."""

from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from mlops_assets.monitoring.verdict import (
    MEANINGS,
    RULES,
    ColumnFinding,
    Drift,
    DriftSignal,
    Performance,
    PerformanceSignal,
    Quality,
    QualitySignal,
    SliceFinding,
    Verdict,
    WindowFacts,
    judge_window,
    rule_for,
    table_of_rules,
)
from mlops_assets_tests.monitoring.windows import DAY, START, signals_of

DOCS = Path(__file__).parents[2] / "docs" / "monitoring.md"
FACTS = WindowFacts(model="churn", start=START, end=START + DAY, n_rows=100, n_with_truth=80)
COLUMN = ColumnFinding(column="age", score=0.4, measure="wasserstein", reason="it moved by 0.4 sd")
SLICE = SliceFinding(
    column="plan", value="gold", n_rows=50, share=0.5, share_before=0.1, loss=0.4, loss_before=0.2,
    explains=0.9, reason="rows with plan = gold explain 90% of the loss",
)  # fmt: skip


@pytest.mark.parametrize(
    ("drift", "estimated", "realised", "verdict"),
    [
        ("none", "unknown", "unknown", "healthy"),
        ("none", "held", "unknown", "healthy"),
        ("none", "worse", "unknown", "drift_harmful"),
        ("none", "unknown", "held", "healthy"),
        ("none", "held", "held", "healthy"),
        ("none", "worse", "held", "healthy"),
        ("none", "unknown", "worse", "concept_drift"),
        ("none", "held", "worse", "concept_drift"),
        ("none", "worse", "worse", "drift_harmful"),
        ("found", "unknown", "unknown", "not_enough_data"),
        ("found", "held", "unknown", "drift_harmless"),
        ("found", "worse", "unknown", "drift_harmful"),
        ("found", "unknown", "held", "drift_harmless"),
        ("found", "held", "held", "drift_harmless"),
        ("found", "worse", "held", "drift_harmless"),
        ("found", "unknown", "worse", "drift_harmful"),
        ("found", "held", "worse", "concept_drift"),
        ("found", "worse", "worse", "drift_harmful"),
        ("unknown", "unknown", "unknown", "not_enough_data"),
        ("unknown", "held", "unknown", "not_enough_data"),
        ("unknown", "worse", "unknown", "drift_harmful"),
        ("unknown", "unknown", "held", "healthy"),
        ("unknown", "held", "held", "healthy"),
        ("unknown", "worse", "held", "healthy"),
        ("unknown", "unknown", "worse", "drift_harmful"),
        ("unknown", "held", "worse", "concept_drift"),
        ("unknown", "worse", "worse", "drift_harmful"),
    ],
)
def test_the_truth_table(
    drift: Drift, estimated: Performance, realised: Performance, verdict: Verdict
) -> None:
    found = judge_window(FACTS, signals_of(drift, estimated, realised), minimum_rows=100)
    assert found.verdict == verdict


@pytest.mark.parametrize(
    "signals", list(product(get_args(Drift), get_args(Performance), get_args(Performance)))
)
def test_broken_data_outranks_all_else(
    signals: tuple[Drift, Performance, Performance],
) -> None:
    for n_rows in (0, 1, 10**6):
        facts = FACTS.model_copy(update={"n_rows": n_rows})
        found = judge_window(facts, signals_of(*signals, quality="broken"), minimum_rows=100)
        assert found.verdict == "broken_data"


@pytest.mark.parametrize("quality", ["sound", "unknown"])
@pytest.mark.parametrize(("n_rows", "enough"), [(0, False), (1, False), (99, False), (100, True)])
def test_too_few_rows_prove_nothing(n_rows: int, enough: bool, quality: Quality) -> None:
    facts = FACTS.model_copy(update={"n_rows": n_rows})
    signals = signals_of("found", "held", "worse", quality)
    found = judge_window(facts, signals, minimum_rows=100)
    assert found.verdict == ("concept_drift" if enough else "not_enough_data")


def test_every_rule_decides_somewhere() -> None:
    cases = product(get_args(Drift), get_args(Performance), get_args(Performance))
    assert {id(rule_for(*case)) for case in cases} == {id(rule) for rule in RULES}


def test_every_verdict_has_a_meaning() -> None:
    assert list(MEANINGS) == list(get_args(Verdict))


def test_the_columns_and_the_slice_that_explain_it_are_told() -> None:
    signals = signals_of("found", "unknown", "worse").model_copy(
        update={
            "drift": DriftSignal(state="found", reason="1 of 2 columns", columns=(COLUMN,)),
            "realised": PerformanceSignal(state="worse", reason="AUC fell", slices=(SLICE,)),
        }
    )
    found = judge_window(FACTS, signals, minimum_rows=30)
    assert found.reason == (
        "performance fell and inputs moved; whether they are the cause nobody can tell "
        "(realised: AUC fell; drift: 1 of 2 columns; estimated unknown: the estimate is unknown); "
        "columns: age; rows with plan = gold explain 90% of the loss"
    )
    assert (found.columns, found.worst_slice) == ((COLUMN,), SLICE)
    assert found.table()[-2:] == [
        {"what": "column age", "found": "wasserstein 0.4", "why": "it moved by 0.4 sd"},
        {"what": "slice plan = gold", "found": "90% of the loss", "why": SLICE.reason},
    ]


def test_broken_columns_explain_broken_data() -> None:
    broken = QualitySignal(state="broken", reason="age is missing", columns=(COLUMN,))
    signals = signals_of("found").model_copy(update={"quality": broken})
    found = judge_window(FACTS, signals, minimum_rows=30)
    assert (found.columns, found.reason) == ((COLUMN,), "age is missing; columns: age")


def test_the_table_of_the_docs_is_that_of_the_code() -> None:
    text = DOCS.read_text()
    assert table_of_rules() in text, "write verdict.table_of_rules() into docs/monitoring.md"
    for verdict, meaning in MEANINGS.items():
        assert f"| `{verdict}` | {meaning} |" in text
