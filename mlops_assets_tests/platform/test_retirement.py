"""Retiring a model: what goes, what stays, and the way back."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
import yaml

from mlops_assets.errors import PlatformError
from mlops_assets.platform.home import Home
from mlops_assets.platform.instance import code_location
from mlops_assets.platform.retirement import mark_retired, read_retired, retire, unretire
from mlops_assets.spec.reading import COMPONENT_TYPE
from mlops_assets_tests.documents import churn_document
from mlops_assets_tests.platform.conftest import Tiny

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def apple(tiny: Tiny) -> Tiny:
    """The project, its model `apple` made, and a document that gives it a schedule."""
    document = churn_document(
        name="apple", schedule={"cron": "0 3 * * *"}, refresh={"cron": "0 * * * *"}
    )
    folder = tiny.project / "mlops_assets_tests" / "platform" / "defs" / "apple"
    folder.mkdir(parents=True)
    content = {"type": COMPONENT_TYPE, "attributes": document}
    (folder / "defs.yaml").write_text(yaml.safe_dump(content))
    tiny.materialize("apple")
    return tiny


def schedule_states(tiny: Tiny) -> dict[str, str]:
    """What Dagster's records say of schedules; of those that it lacks, their definition says it."""
    with tiny.instance() as instance:
        return {s.name: s.status.value for s in instance.all_instigator_state()}


STOPPED = {"apple_schedule": "STOPPED", "apple_refresh": "STOPPED"}


def test_service_schedule_and_memory_of_it(apple: Tiny) -> None:
    manifest = apple.home.root / "serving" / "manifests" / "apple-service.json"
    assert manifest.exists()
    gone = retire(apple.home, apple.project, "apple", NOW)
    assert (gone.service, gone.n_aliases, gone.schedules) == ("apple-service", 0, tuple(STOPPED))
    assert not manifest.exists()
    assert schedule_states(apple) == STOPPED
    assert read_retired(apple.home) == {"apple": "2026-01-02T03:04:05+00:00"}
    with apple.instance() as instance:  # the evidence stays
        assert instance.get_latest_materialization_event(dg.AssetKey(["apple", "evaluation"]))
    assert (apple.home.root / "records" / "apple" / "evaluation.json").exists()


def test_retiring_twice_changes_nothing(apple: Tiny) -> None:
    retire(apple.home, apple.project, "apple", NOW)
    gone = retire(apple.home, apple.project, "apple", datetime.now(UTC))
    assert gone.service is None
    assert read_retired(apple.home) == {"apple": "2026-01-02T03:04:05+00:00"}
    assert schedule_states(apple) == STOPPED


def test_the_way_back(apple: Tiny) -> None:
    retire(apple.home, apple.project, "apple", NOW)
    with apple.instance() as instance:
        unretire(apple.home, instance, code_location(apple.project), "apple")
        unretire(apple.home, instance, code_location(apple.project), "apple")
    assert read_retired(apple.home) == {}
    assert schedule_states(apple) == {}
    apple.materialize("apple")
    assert (apple.home.root / "serving" / "manifests" / "apple-service.json").exists()


def test_a_model_whose_document_is_gone_can_be_retired(tiny: Tiny) -> None:
    tiny.materialize("apple")
    gone = retire(tiny.home, tiny.project, "apple", NOW)
    assert (gone.service, gone.schedules) == ("apple-service", ())


def test_an_unknown_model_is_refused_with_those_there_are(tiny: Tiny) -> None:
    tiny.materialize("pear")
    with pytest.raises(PlatformError, match="no model is named 'plum'; found: pear"):
        retire(tiny.home, tiny.project, "plum", NOW)
    assert not tiny.home.retired.exists()


@pytest.mark.parametrize(("text", "what"), [("[", "is not JSON"), ('["ab"]', "holds a list")])
def test_a_damaged_list_is_named(home: Path, text: str, what: str) -> None:
    home.mkdir()
    Home(home).retired.write_text(text)
    with pytest.raises(PlatformError, match=rf"retired\.json {what}"):
        read_retired(Home(home))
    assert Home(home).retired.read_text() == text


def test_models_that_are_retired_at_once_are_all_remembered(home: Path) -> None:
    home.mkdir()
    names = [f"model_{number}" for number in range(20)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda name: mark_retired(Home(home), name, NOW), names))
    assert sorted(read_retired(Home(home))) == sorted(names)
