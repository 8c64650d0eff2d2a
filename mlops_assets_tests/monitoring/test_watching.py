"""Windows from a real log to a kept verdict."""

import functools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.errors import MonitoringError
from mlops_assets.monitoring.due import due_window
from mlops_assets.monitoring.references import References
from mlops_assets.monitoring.store import RECENT
from mlops_assets.monitoring.watching import Watched, choose_version, watch_window
from mlops_assets.serving.prediction_log.glance import LogGlance, rows_since
from mlops_assets.serving.prediction_log.tables import PREDICTIONS
from mlops_assets.spec import ModelSpec
from mlops_assets_tests.modeling.conftest import PackagedModel, package
from mlops_assets_tests.modeling.toy import document, tree_document
from mlops_assets_tests.monitoring.logged import FixedVersions, ServedToy, references_of

DAY, NEXT = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, 1, tzinfo=UTC)
KEY = "2026-03-02"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[PackagedModel, References]:
    model = package(tree_document(), tmp_path_factory.mktemp("toy") / "model", n_rows=1_500)
    return model, references_of(model)


@pytest.fixture
def served(trained: tuple[PackagedModel, References], tmp_path: Path) -> ServedToy:
    model, references = trained
    return ServedToy(model, tmp_path, FixedVersions({"1": references}))


def test_a_day_like_the_training_is_healthy_once_its_truth_has_come(served: ServedToy) -> None:
    sessions = served.sessions(800, seed=1)
    ids = served.predict(sessions, DAY)
    first = watch_window(served.watch, served.model.spec, KEY, NEXT)
    assert first.record.drift is not None
    assert (first.record.drift.state, first.record.verdict.window.n_with_truth) == ("no_drift", 0)
    served.tell(ids, sessions["effect"].to_list(), NEXT)
    later = watch_window(served.watch, served.model.spec, KEY, NEXT + timedelta(hours=6))
    assert (later.record.verdict.verdict, later.is_changed) == ("healthy", False)
    assert later.record.verdict.window.n_with_truth == 800
    assert later.record.errors
    assert served.store.recent("toy").find(KEY) is not None
    assert served.store.window("toy", KEY) == later.record


def test_moved_inputs_are_found_and_told_once(served: ServedToy) -> None:
    served.predict(served.sessions(400, seed=2, hours=6.0), DAY)
    found = watch_window(served.watch, served.model.spec, KEY, NEXT)
    assert found.record.verdict.signals.drift.state == "found"
    assert "hours" in {column.column for column in found.record.verdict.signals.drift.columns}


def test_truth_that_says_worse_makes_the_window_harmful(served: ServedToy) -> None:
    sessions = served.sessions(600, seed=3)
    ids = served.predict(sessions, DAY)
    turned = ["Worsen" if told == "Improve" else "Improve" for told in sessions["effect"]]
    served.tell(ids, turned, NEXT)
    found = watch_window(served.watch, served.model.spec, KEY, NEXT)
    assert found.record.verdict.signals.realised.state == "worse"
    assert found.record.verdict.verdict in ("concept_drift", "drift_harmful")
    assert found.is_changed
    assert not watch_window(served.watch, served.model.spec, KEY, NEXT).is_changed


def test_judging_twice_is_judging_once(served: ServedToy) -> None:
    served.predict(served.sessions(200, seed=4), DAY)
    once = watch_window(served.watch, served.model.spec, KEY, NEXT).record
    assert watch_window(served.watch, served.model.spec, KEY, NEXT).record == once
    assert len(served.store.recent("toy").windows) == 1


def test_a_version_of_another_task_cannot_be_judged_and_says_why(served: ServedToy) -> None:
    """The document asks for numbers now; what serves still answers classes."""
    served.predict(served.sessions(100, seed=5), DAY)
    target = {"column": "score", "task": "regression"}
    model = {"estimator": "sklearn.linear_model.Ridge"}
    found = watch_window(served.watch, document(target=target, model=model), KEY, NEXT).record
    assert found.verdict.verdict == "not_enough_data"
    assert "was evaluated for another task, without mean_absolute_error" in found.verdict.reason


def by_rows(served: ServedToy) -> ModelSpec:
    """The toy's document with windows of 100 rows."""
    spec = served.model.spec
    settings = spec.monitoring.window.model_copy(update={"every": "rows", "rows": 100})
    monitoring = spec.monitoring.model_copy(update={"window": settings})
    return spec.model_copy(update={"monitoring": monitoring})


def watch_rows(served: ServedToy, number: int) -> Watched:
    return watch_window(served.watch, by_rows(served), f"v1-{number:05d}", NEXT)


def due_rows(served: ServedToy) -> str:
    """The window of rows that is due, as the sensor asks."""
    spec = by_rows(served)
    since = functools.partial(rows_since, served.log.uri(spec.service, PREDICTIONS))
    recent = served.store.recent("toy")
    found = due_window(spec.monitoring.window, recent, LogGlance(), since, "1", NEXT)
    return "" if found is None else found.key


@pytest.mark.parametrize(("n_more", "due"), [(49, ""), (50, "v1-00002")])
def test_rows_behind_a_window_count_for_the_next(served: ServedToy, n_more: int, due: str) -> None:
    served.predict(served.sessions(150, seed=5), DAY)
    first = watch_rows(served, 1).record
    assert (first.verdict.window.n_rows, first.n_behind) == (100, 50)
    assert due_rows(served) == ""
    served.predict(served.sessions(n_more, seed=6), DAY + timedelta(hours=4))
    assert due_rows(served) == due


def test_two_windows_that_came_at_once_are_due_one_after_the_other(served: ServedToy) -> None:
    served.predict(served.sessions(200, seed=5), DAY)
    watch_rows(served, 1)
    assert due_rows(served) == "v1-00002"
    watch_rows(served, 2)
    assert due_rows(served) == ""


def test_a_window_judged_again_forgets_no_row_behind_it(served: ServedToy) -> None:
    sessions = served.sessions(100, seed=5)
    ids = served.predict(sessions, DAY)
    first = watch_rows(served, 1)
    served.predict(served.sessions(60, seed=6), DAY + timedelta(hours=4))
    served.tell(ids, sessions["effect"].to_list(), NEXT)
    again = watch_rows(served, 1)
    assert again.record.window == first.record.window
    assert again.record.verdict.window.n_with_truth == 100
    served.predict(served.sessions(40, seed=7), DAY + timedelta(hours=8))
    assert due_rows(served) == "v1-00002"


def test_a_window_of_rows_of_long_ago_keeps_its_bounds_and_version(served: ServedToy) -> None:
    served.predict(served.sessions(300, seed=5), DAY)
    windows = [watch_rows(served, number).record.window for number in (1, 2, 3)]
    served.store.documents.delete("toy", RECENT)  # as if a hundred others had been judged since
    assert watch_rows(served, 3).record.window == windows[2]
    served.store.documents.delete("toy", RECENT)
    served.predict(served.sessions(40, seed=6), DAY)
    assert watch_rows(served, 2).record.window == windows[1]


def test_a_window_of_long_ago_judges_the_version_that_it_judged(
    trained: tuple[PackagedModel, References], served: ServedToy
) -> None:
    served.predict(served.sessions(100, seed=5), DAY)
    watch_window(served.watch, served.model.spec, KEY, NEXT)
    served.store.documents.delete("toy", RECENT)  # as if a hundred others had been judged since
    served.predict(served.sessions(100, seed=6), DAY, version="2")
    served.versions.known["2"] = replace(trained[1], version="2")
    served.versions.champion_version = "2"
    again = watch_window(served.watch, served.model.spec, KEY, NEXT)
    assert again.record.verdict.window.model_version == "1"


def test_a_window_of_rows_behind_one_that_was_never_judged_is_refused(served: ServedToy) -> None:
    served.predict(served.sessions(200, seed=5), DAY)
    watch_rows(served, 1)
    with pytest.raises(MonitoringError, match="begins where v1-00002 ends, which was never judged"):
        watch_rows(served, 3)


@pytest.mark.parametrize(
    ("versions", "champion", "judged", "expected"),
    [
        pytest.param({"2": 500, "1": 40}, "1", None, "1", id="the_champion_with_enough_rows"),
        pytest.param({"2": 500, "1": 29}, "1", None, "2", id="else_the_one_that_answered_most"),
        pytest.param({"2": 500}, "3", "2", "2", id="what_it_judged_before"),
        pytest.param({}, "3", None, "3", id="nobody_answered"),
        pytest.param({}, None, None, None, id="nobody_serves"),
    ],
)
def test_which_version_a_window_judges(
    versions: dict[str, int], champion: str | None, judged: str | None, expected: str | None
) -> None:
    assert choose_version(versions, champion, judged, 30) == expected
