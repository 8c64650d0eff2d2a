"""A small past through real training, gates, verdicts and decisions."""

import pytest
import yaml

from mlops_assets.backtest.history import build_history
from mlops_assets.backtest.policies import MEANINGS, OWN, standard_policies
from mlops_assets.backtest.report import BacktestReport, draw_report, policy_yaml
from mlops_assets.backtest.running import run_backtest
from mlops_assets.errors import HistoryError
from mlops_assets.spec.retraining import RetrainingSpec
from mlops_assets_tests.backtest.pasts import past_rows, past_spec

SPEC = past_spec()


@pytest.fixture(scope="module")
def report() -> BacktestReport:
    policies = standard_policies(SPEC)
    chosen = {name: policies[name] for name in ("never", "weekly", OWN)}
    return run_backtest(build_history(SPEC, past_rows()), chosen)


def test_the_policy_that_listens_to_truth_recovers_when_the_world_turns(
    report: BacktestReport,
) -> None:
    """From day 28 on the first model is wrong the other way round: its ROC-AUC falls below 0.5."""
    never, own = report.score("never"), report.score(OWN)
    assert never.mean is not None
    assert own.mean is not None
    assert own.mean > never.mean + 0.1
    assert own.regret is not None
    assert never.regret is not None
    assert own.regret < never.regret
    assert 1 <= own.n_promoted <= 4
    attempts = report.played[2].attempts
    assert {attempt.trigger for attempt in attempts} == {"realised"}
    assert attempts[0].outcome == "refused"  # trained on days before the turn, the gates see it
    assert attempts[-1].outcome == "promoted"
    assert own.cpu_minutes > 0


def test_all_policies_begin_with_the_same_model(report: BacktestReport) -> None:
    assert len({played.reigns[0].version for played in report.played}) == 1
    before = [score.by_period["2024-01-21"] for score in report.scores]
    assert before[0] == pytest.approx(before[2])


def test_the_recommended_policy_is_a_part_of_a_document(report: BacktestReport) -> None:
    document = yaml.safe_load(report.policy)
    found = RetrainingSpec.model_validate(document["retraining"])
    assert found == standard_policies(SPEC)[report.recommended]
    assert report.recommended != "never"


@pytest.mark.parametrize("name", MEANINGS)
def test_every_policy_can_be_written_and_read(name: str) -> None:
    policy = standard_policies(SPEC)[name]
    assert (
        RetrainingSpec.model_validate(yaml.safe_load(policy_yaml(policy))["retraining"]) == policy
    )


def test_the_report_can_be_kept_and_drawn(report: BacktestReport) -> None:
    assert BacktestReport.model_validate_json(report.model_dump_json()) == report
    assert draw_report(report).startswith(b"\x89PNG")
    with pytest.raises(KeyError):
        report.score("drift")


def test_a_model_without_a_policy_has_no_own_one() -> None:
    assert OWN not in standard_policies(past_spec(retraining=None))
    assert list(standard_policies(SPEC)) == list(MEANINGS)


def test_less_than_a_window_cannot_be_played() -> None:
    history = build_history(SPEC, past_rows(22))
    short = type(history)(SPEC, history.rows, history.log, history.begin, history.begin)
    with pytest.raises(HistoryError, match="no whole window"):
        run_backtest(short, standard_policies(SPEC))
