from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.backtest.history import build_history, read_history
from mlops_assets.backtest.judging import Judge
from mlops_assets.backtest.training import Trainer
from mlops_assets.errors import HistoryError
from mlops_assets.modeling.features import TARGET, build_frame
from mlops_assets.modeling.split import TIME
from mlops_assets_tests.backtest.pasts import ROWS_A_DAY, START, past_rows, past_spec
from mlops_assets_tests.documents import churn_spec

DAY = timedelta(days=1)
BEGIN = START + 20 * DAY


def test_it_is_played_from_the_declared_day_to_the_last_whole_window() -> None:
    history = build_history(past_spec(), past_rows(30))
    assert history.begin == BEGIN
    windows = history.windows()
    assert [w.key for w in windows] == [f"2024-01-{day}" for day in range(21, 30)]
    assert history.log.height == 10 * ROWS_A_DAY


def test_by_default_a_quarter_of_the_time_is_left_to_train_on() -> None:
    history = build_history(past_spec(history={"truth_column": "left_at"}), past_rows(40))
    assert history.begin == START + 10 * DAY


def test_windows_of_rows_hold_so_many_rows_each() -> None:
    spec = past_spec(monitoring={"window": {"every": "rows", "rows": 400}})
    history = build_history(spec, past_rows(30))
    windows = history.windows()
    assert len(windows) == 3
    sizes = [high - low for low, high in (history.positions(w.start, w.end) for w in windows)]
    assert sizes == [400] * 3


def test_rows_of_the_same_moment_stay_in_one_window_of_rows() -> None:
    spec = past_spec(monitoring={"window": {"every": "rows", "rows": 200}})
    by_day = past_rows(30).with_columns(pl.col("at").dt.truncate("1d"))
    history = build_history(spec, by_day)
    places = [history.positions(w.start, w.end) for w in history.windows()]
    assert places == [(at, at + 300) for at in range(0, 1_500, 300)]


def test_a_day_without_a_row_is_no_window_that_is_due() -> None:
    rows = past_rows(30).filter(pl.col("at").dt.day() != 23)
    history = build_history(past_spec(), rows)
    judge = Judge(history, Trainer(history))
    due = {w.key: judge.is_due(w, None, w.end) for w in history.windows()}
    assert [key for key, is_due in due.items() if not is_due] == ["2024-01-23"]


def test_candidates_of_the_same_minute_have_names_of_their_own() -> None:
    trainer = Trainer(build_history(past_spec(), past_rows(30)))
    moments = [BEGIN, BEGIN + timedelta(seconds=1)]
    versions = [trainer.train(now, None).version for now in moments]
    assert versions == ["2024-01-21T00:00:00", "2024-01-21T00:00:01"]


def test_truth_comes_as_late_as_it_truly_did() -> None:
    history = build_history(past_spec(), past_rows(30))
    window = history.windows()[0]
    assert history.n_truths(window) == ROWS_A_DAY
    assert history.n_truths(window, window.end) == 0
    at_noon = window.start + timedelta(hours=30 + 12)
    assert history.n_truths(window, at_noon) == ROWS_A_DAY // 2


def test_the_frame_of_a_moment_holds_no_later_row_and_no_later_truth() -> None:
    rows, now = past_rows(30), BEGIN + 2 * DAY
    history = build_history(past_spec(), rows)
    built = build_frame(history.known(now), past_spec())
    newest = built.frame[TIME].max()
    assert isinstance(newest, datetime)
    assert newest < now - timedelta(hours=30)
    assert built.frame[TARGET].null_count() == 0
    assert built.facts.n_without_target == ROWS_A_DAY * 30 // 24  # there, their truth not yet
    assert history.n_known(now) == 22 * ROWS_A_DAY


def test_it_is_read_through_the_contract(tmp_path: Path) -> None:
    spec = past_spec(source={"path": "past.parquet"})
    past_rows(30).write_parquet(tmp_path / "past.parquet")
    assert read_history(spec, tmp_path).log.height == 10 * ROWS_A_DAY
    broken = past_rows(30).with_columns(months=-5)
    broken.write_parquet(tmp_path / "past.parquet")
    with pytest.raises(HistoryError, match="the contract refuses the history"):
        read_history(spec, tmp_path)


def test_an_old_history_is_not_refused_for_its_age(tmp_path: Path) -> None:
    spec = past_spec(source={"path": "past.parquet"})
    contract = spec.contract.model_copy(update={"maximum_age": DAY})
    past_rows(30).write_parquet(tmp_path / "past.parquet")
    assert read_history(spec.model_copy(update={"contract": contract}), tmp_path).log.height


@pytest.mark.parametrize(
    "begin", [START, START + 30 * DAY], ids=["nothing_before", "nothing_after"]
)
def test_some_rows_must_train_and_some_must_play(begin: datetime) -> None:
    with pytest.raises(HistoryError, match="nothing can be played from"):
        build_history(past_spec(), past_rows(30), begin=begin)


def test_a_model_without_times_has_no_past() -> None:
    with pytest.raises(HistoryError, match="only a model with time_column"):
        build_history(churn_spec(), past_rows(10))
