"""Windows from a real log to a kept verdict."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.monitoring.references import References
from mlops_assets.monitoring.watching import choose_version, watch_window
from mlops_assets_tests.modeling.conftest import PackagedModel, package
from mlops_assets_tests.modeling.toy import tree_document
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
