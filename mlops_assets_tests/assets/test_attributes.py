from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.assets.attributes import IMAGE_TAG, code_version, image_of
from mlops_assets.automation.schedules import ASSETS
from mlops_assets_tests.documents import churn_document, churn_spec

MODEL = churn_document()["model"]


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        pytest.param({}, set(), id="nothing"),
        pytest.param({"description": "Other words."}, set(), id="words_change_no_result"),
        pytest.param({"owners": ["team:other"]}, set(), id="owners_change_no_result"),
        pytest.param({"source": {"path": "b.csv"}}, {"dataset"}, id="source"),
        pytest.param({"split": {"salt": "1"}}, {"features"}, id="split"),
        pytest.param({"model": MODEL | {"seed": 1}}, {"trained_model"}, id="seed"),
        pytest.param({"gates": {"slices": None}}, {"evaluation"}, id="gates"),
        pytest.param({"registry": {"name": "other"}}, {"model_version"}, id="registry"),
        pytest.param({"serving": {"cpu": "2"}}, {"inference_service"}, id="serving"),
    ],
)
def test_a_change_makes_stale_only_what_it_changes(
    changes: dict[str, object], changed: set[str]
) -> None:
    before, after = churn_spec(), churn_spec(**changes)
    assert {a for a in ASSETS if code_version(before, a) != code_version(after, a)} == changed


def test_an_edit_of_the_source_function_makes_the_dataset_stale() -> None:
    def version(function: str) -> str:
        return code_version(churn_spec(source={"python": {"function": function}}), "dataset")

    flights = "mlops_assets.defs.flight_delay.source:load_flights"
    assert version(flights) == version(flights)
    assert version("not_a_module.at_all:load") != version(flights)


def test_a_function_is_found_without_running_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading the documents imported the packages above a function, and failed when they did."""
    package = tmp_path / "visits_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "source.py").write_text("def load(): ...")
    monkeypatch.syspath_prepend(tmp_path)

    def version() -> str:
        function = "visits_of_a_test.source:load"
        return code_version(churn_spec(source={"python": {"function": function}}), "dataset")

    before = version()
    (package / "source.py").write_text("def load(): return 1")
    assert version() != before


def test_a_source_that_is_not_utf_8_has_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It kept the code location from loading, as a compiled module did."""
    text = "# coding: latin-1\ndef load(): return 'café'"
    (tmp_path / "cafes_of_a_test.py").write_bytes(text.encode("latin-1"))
    monkeypatch.syspath_prepend(tmp_path)
    with_source = churn_spec(source={"python": {"function": "cafes_of_a_test:load"}})
    assert code_version(with_source, "dataset") != code_version(churn_spec(), "dataset")


def test_an_edit_of_an_estimator_of_ones_own_makes_the_model_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "estimators_of_a_test.py"
    monkeypatch.syspath_prepend(tmp_path)
    spec = churn_spec(model={"estimator": "estimators_of_a_test.Own"})
    versions = []
    for text in ("class Own: ...", "class Own: ...", "class Own: x = 1"):
        module.write_text(text)
        versions.append(code_version(spec, "trained_model"))
    assert versions[0] == versions[1] != versions[2]


def test_the_image_of_a_run_is_the_one_that_its_pod_was_made_from() -> None:
    pinned = "registry.example.com/platform@sha256:" + "0" * 64
    assert image_of(dg.DagsterRun("churn_pipeline")) == "none"
    assert image_of(dg.DagsterRun("churn_pipeline", tags={"dagster/image": pinned})) == pinned


def test_the_tag_of_the_image_is_the_launchers() -> None:
    from dagster._core.storage.tags import DOCKER_IMAGE_TAG

    assert DOCKER_IMAGE_TAG == IMAGE_TAG
