"""Windows of bad data, and kills: a defined verdict or a clear error, and nothing lost."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.data.documents import ModelDocuments
from mlops_assets.errors import MonitoringError
from mlops_assets.monitoring.references import References
from mlops_assets.monitoring.store import RECENT, MonitoringStore
from mlops_assets.monitoring.watching import Watched, watch_window
from mlops_assets.retraining.attempts import OutsideFacts
from mlops_assets.retraining.state import Request
from mlops_assets.retraining.store import STATE, RetrainingStore
from mlops_assets.retraining.ticking import tick
from mlops_assets_tests.modeling.conftest import PackagedModel, package
from mlops_assets_tests.modeling.toy import tree_document
from mlops_assets_tests.monitoring.logged import FixedVersions, ServedToy, references_of

DAY, NEXT = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, 1, tzinfo=UTC)
KEY = "2026-03-02"
QUICK = {
    "triggers": ["drift", "estimated", "realised"],
    "verdicts": ["drift_harmful", "concept_drift", "drift_harmless", "not_enough_data"],
    "violations": 1,
    "of_windows": 1,
    "minimum_rows": 1,
}
"""A policy that jumps at everything; only broken data must not set it off."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[PackagedModel, References]:
    spec = tree_document(retraining=QUICK)
    model = package(spec, tmp_path_factory.mktemp("toy") / "model", n_rows=1_500)
    return model, references_of(model)


@pytest.fixture
def served(trained: tuple[PackagedModel, References], tmp_path: Path) -> ServedToy:
    model, references = trained
    return ServedToy(model, tmp_path, FixedVersions({"1": references}))


def judge(served: ServedToy, now: datetime = NEXT, *, n_lost: int = 0) -> Watched:
    return watch_window(served.watch, served.model.spec, KEY, now, n_lost=n_lost)


def decided(served: ServedToy) -> str:
    """What retraining makes of the windows: the rule."""
    store = RetrainingStore(served.store.documents)
    facts = OutsideFacts(champion="1")
    return tick(store, served.store, served.model.spec, facts, NEXT).decision.rule


def an_empty_window(served: ServedToy) -> None:
    pass


def a_constant_column(served: ServedToy) -> None:
    served.predict(served.sessions(400, seed=1), DAY, changed={"feature__age": 33.0})


def all_missing(served: ServedToy) -> None:
    served.predict(served.sessions(400, seed=1), DAY, changed={"feature__hours": None})


def new_categories_only(served: ServedToy) -> None:
    served.predict(served.sessions(400, seed=1), DAY, changed={"feature__genre": "polka"})


def an_outlier(served: ServedToy) -> None:
    served.predict(served.sessions(400, seed=1), DAY)
    served.predict(served.sessions(60, seed=2), DAY, changed={"feature__age": 40.0})
    one = served.sessions(60, seed=3)
    served.predict(one, DAY, changed={"feature__hours": 1e9})


def the_same_row_again(served: ServedToy) -> None:
    row = {"feature__hours": 2.0, "feature__age": 30.0, "feature__genre": "rock",
           "feature__alone": True}  # fmt: skip
    served.predict(served.sessions(400, seed=1), DAY, changed=row)


def answers_that_are_no_numbers(served: ServedToy) -> None:
    nan = float("nan")
    served.predict(
        served.sessions(200, seed=1), DAY, changed={"probabilities": [nan, nan], "probability": nan}
    )


def contradicting_truth(served: ServedToy) -> None:
    sessions = served.sessions(300, seed=1)
    ids = served.predict(sessions, DAY)
    served.tell(ids, ["Improve"] * 300, NEXT)
    served.tell(ids, ["Worsen"] * 300, NEXT + timedelta(minutes=1))


def truth_before_its_prediction(served: ServedToy) -> None:
    sessions = served.sessions(300, seed=1)
    ids = served.predict(sessions, DAY + timedelta(hours=5))
    served.tell(ids, sessions["effect"].to_list(), DAY)


def an_unknown_version(served: ServedToy) -> None:
    served.predict(served.sessions(300, seed=1), DAY, version="99")


@pytest.mark.parametrize(
    ("happens", "verdict", "why"),
    [
        (an_empty_window, "not_enough_data", "0 rows"),
        (a_constant_column, None, "age"),
        (all_missing, "broken_data", "hours"),
        (new_categories_only, "broken_data", "genre"),
        (an_outlier, "broken_data", "hours"),
        (the_same_row_again, "broken_data", "one and the same"),
        (answers_that_are_no_numbers, "broken_data", "no numbers"),
        (contradicting_truth, "broken_data", "contradict"),
        (truth_before_its_prediction, "broken_data", "dated in the future or after their truth"),
        (an_unknown_version, "not_enough_data", "99"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_bad_input_has_a_verdict_that_says_why(
    served: ServedToy, happens: Callable[[ServedToy], None], verdict: str | None, why: str
) -> None:
    happens(served)
    found = judge(served).record.verdict
    assert verdict is None or found.verdict == verdict, found.reason
    assert why in found.reason
    if verdict == "broken_data":
        assert decided(served) in ("quiet", "broken_data")


def test_broken_data_holds_up_what_the_calendar_asks_for(served: ServedToy) -> None:
    all_missing(served)
    judge(served)
    policy = {**QUICK, "schedule": {"cron": "0 0 * * *"}}
    spec = tree_document(retraining=policy)
    store = RetrainingStore(served.store.documents)
    facts = OutsideFacts(champion="1")
    tick(store, served.store, spec, facts, DAY)
    decision = tick(store, served.store, spec, facts, NEXT).decision
    assert (decision.action, decision.rule) == ("wait", "broken_data")


def test_one_row_proves_nothing(served: ServedToy) -> None:
    served.predict(served.sessions(200, seed=1), DAY - timedelta(minutes=199))  # one is of this day
    found = judge(served).record.verdict
    assert (found.window.n_rows, found.verdict) == (1, "not_enough_data")


def test_events_that_came_twice_count_once(served: ServedToy) -> None:
    sessions = served.sessions(300, seed=1)
    ids = served.predict(sessions, DAY)
    once = judge(served).record.verdict
    served.predict(sessions, DAY + timedelta(seconds=5), ids=ids)
    twice = judge(served).record
    assert twice.verdict.window.n_rows == once.window.n_rows == 300
    assert twice.quality is not None
    assert "300 events came twice" in twice.quality.reason


def test_events_of_a_version_long_gone_are_left_out_and_told(served: ServedToy) -> None:
    served.predict(served.sessions(300, seed=1), DAY)
    served.predict(served.sessions(100, seed=2, hours=30.0), DAY, version="7")
    found = judge(served).record
    assert (found.verdict.window.model_version, found.verdict.window.n_rows) == ("1", 300)
    assert found.quality is not None
    assert "100 rows of other versions" in found.quality.reason


def test_rows_from_the_future_break_the_window_that_lasts_still(served: ServedToy) -> None:
    served.predict(served.sessions(300, seed=1), DAY + timedelta(hours=10))
    found = judge(served, DAY + timedelta(hours=9)).record
    assert found.verdict.verdict == "broken_data"
    assert not found.is_ended


def test_records_that_were_lost_break_a_window_when_they_are_many(served: ServedToy) -> None:
    served.predict(served.sessions(300, seed=1), DAY)
    assert judge(served, n_lost=20).record.verdict.verdict != "broken_data"
    found = judge(served, n_lost=60).record.verdict
    assert (found.verdict, "cannot be read" in found.reason) == ("broken_data", True)


def test_what_is_logged_while_a_window_is_judged_counts_the_next_time(served: ServedToy) -> None:
    served.predict(served.sessions(200, seed=1), DAY)
    first = judge(served)
    served.predict(served.sessions(100, seed=2), DAY + timedelta(hours=4))
    second = judge(served)
    assert first.record.verdict.window.n_rows == 200
    assert second.record.verdict.window.n_rows == 300
    assert second.record.log_version != first.record.log_version


def test_a_record_that_cannot_be_read_is_named_and_the_window_can_be_judged_again(
    served: ServedToy,
) -> None:
    served.predict(served.sessions(100, seed=1), DAY)
    judge(served)
    recent = Path(served.store.documents.path("toy", RECENT))
    recent.write_text(recent.read_text()[:50])
    with pytest.raises(MonitoringError, match=str(recent)):
        served.store.recent("toy")
    recent.unlink()
    judge(served)
    assert len(served.store.recent("toy").windows) == 1


_WRITER = """
import sys
from datetime import UTC, datetime
from mlops_assets.data.documents import ModelDocuments
documents = ModelDocuments(sys.argv[1])
number = 0
while True:
    number += 1
    with documents.alone("toy"):
        documents.write("toy", "state", '{"number": %d, "filler": "%s"}' % (number, "x" * 200_000))
    print(number, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_document(tmp_path: Path) -> None:
    documents = ModelDocuments(str(tmp_path))
    for pause in (1, 2, 3):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            told = [int(process.stdout.readline()) for _ in range(5 * pause)]
            os.kill(process.pid, signal.SIGKILL)
        text = documents.read("toy", "state")
        assert text is not None
        assert text.endswith('x"}')
        assert f'"number": {told[-1]}' in text or int(text[11 : text.index(",")]) > told[-1]
    with documents.alone("toy"):  # the kernel took the lock back
        documents.write("toy", "state", "{}")


def test_killed_between_the_record_and_the_recent_windows_the_next_judging_mends_it(
    served: ServedToy,
) -> None:
    served.predict(served.sessions(200, seed=1), DAY)
    judge(served)
    served.store.documents.delete("toy", RECENT)  # as if killed before it was written
    assert served.store.window("toy", KEY) is not None
    judge(served)
    assert served.store.recent("toy").find(KEY) is not None


def test_killed_after_the_decision_the_same_run_is_asked_for(served: ServedToy) -> None:
    store = RetrainingStore(served.store.documents)
    spec, facts = served.model.spec, OutsideFacts(champion="1")
    store.ask("toy", Request(who="ada", at=DAY, why="new tariff"))
    first = tick(store, served.store, spec, facts, NEXT).decision
    assert first.action == "retrain"
    again = tick(store, served.store, spec, facts, NEXT + timedelta(seconds=5)).decision
    assert (again.rule, again.run_key) == ("unconfirmed", first.run_key)
    state = store.read("toy")
    assert state is not None
    assert len(state.attempts) == 1


def test_a_state_of_a_later_platform_is_refused_and_kept(tmp_path: Path) -> None:
    documents = ModelDocuments(str(tmp_path))
    documents.write("toy", STATE, '{"format": 9}')
    windows, store = MonitoringStore(documents), RetrainingStore(documents)
    with pytest.raises(Exception, match="format 9"):
        tick(store, windows, tree_document(retraining=QUICK), OutsideFacts(champion="1"), NEXT)
    assert documents.read("toy", STATE) == '{"format": 9}'
