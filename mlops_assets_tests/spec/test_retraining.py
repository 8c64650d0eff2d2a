from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from mlops_assets.spec.reading import read_document
from mlops_assets.spec.retraining import RetrainingSpec, TrainingWindowSpec
from mlops_assets_tests.spec.conftest import SHORTEST, problems_of


def test_an_empty_section_is_the_shipped_policy(write: Callable[[str], Path]) -> None:
    policy = read_document(write(SHORTEST + "  retraining: {}\n")).retraining
    assert policy is not None
    assert (policy.violations, policy.of_windows, policy.cooldown) == (3, 5, timedelta(days=3))
    assert policy.verdicts == ["drift_harmful", "concept_drift"]
    assert policy.training_window.keep == "all"


def test_without_the_section_nothing_retrains(write: Callable[[str], Path]) -> None:
    assert read_document(write(SHORTEST)).retraining is None


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        pytest.param("{violations: 6}", "retraining.violations: found 6", id="k_above_n"),
        pytest.param("{verdicts: [broken_data]}", "'broken_data'", id="broken_data_never"),
        pytest.param("{verdicts: [healthy]}", "'healthy'", id="health_never"),
        pytest.param("{triggers: [drift, drift]}", "each word once", id="a_trigger_twice"),
        pytest.param("{cooldown: soon}", "such as 7d", id="a_word_for_a_duration"),
        pytest.param("{schedule: {cron: monthly}}", "five fields", id="a_word_for_a_cron"),
        pytest.param(
            "{training_window: {keep: rows, rows: 100}}",
            "training_window only with time_column",
            id="a_window_needs_times",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused(
    section: str, problem: str, write: Callable[[str], Path]
) -> None:
    found = problems_of(write(SHORTEST + f"  retraining: {section}\n"))
    assert len(found) == 1
    assert problem in found[0]


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({"keep": "rows", "rows": 100}, True),
        ({"keep": "duration", "duration": "90d"}, True),
        ({"keep": "since_champion"}, True),
        ({"keep": "rows"}, False),
        ({"keep": "all", "rows": 100}, False),
        ({"keep": "duration", "duration": "0s"}, False),
        ({"keep": "duration", "duration": "90d", "rows": 100}, False),
    ],
)
def test_a_training_window_says_how_much_it_keeps(fields: dict[str, object], allowed: bool) -> None:
    if allowed:
        assert TrainingWindowSpec.model_validate(fields).keep == fields["keep"]
        return
    with pytest.raises(ValidationError):
        TrainingWindowSpec.model_validate(fields)


def test_k_may_equal_n() -> None:
    assert RetrainingSpec(violations=5, of_windows=5).violations == 5
