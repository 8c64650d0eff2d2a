"""`ModelPipeline` as a document in another project's folder uses it."""

import traceback
from pathlib import Path

import dagster as dg
import pytest
from dagster.components.core.component_tree import ComponentTreeException
from dagster.components.testing import create_defs_folder_sandbox

from mlops_assets.component import ModelPipeline
from mlops_assets_tests.documents import churn_document


def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changes: object) -> ModelPipeline:
    monkeypatch.chdir(tmp_path)
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(
            component_cls=ModelPipeline,
            defs_path="churn",
            defs_yaml_contents={
                "type": "mlops_assets.component.ModelPipeline",
                "attributes": churn_document(**changes),
            },
        )
        with sandbox.load_component_and_build_defs(path) as (component, definitions):
            dg.Definitions.validate_loadable(definitions)
            assert isinstance(component, ModelPipeline)
            return component


@pytest.mark.parametrize("text", ["2", "1e3", "None", "[1, 2]", "true"])
def test_a_string_stays_a_string(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    component = load(tmp_path, monkeypatch, registry={"tags": {"build": text}})
    assert component.spec.registry.tags == {"build": text}


def test_a_template_is_filled_in_and_gives_a_string(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILD_NUMBER", "1e3")
    component = load(tmp_path, monkeypatch, registry={"tags": {"build": "{{ env.BUILD_NUMBER }}"}})
    assert component.spec.registry.tags == {"build": "1e3"}


def test_a_template_without_a_value_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ComponentTreeException) as raised:
        load(tmp_path, monkeypatch, registry={"tags": {"build": "{{ env.NOT_SET_ANYWHERE }}"}})
    assert "is its environment variable set" in "".join(traceback.format_exception(raised.value))


def test_a_mistake_names_file_line_and_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ComponentTreeException) as raised:
        load(tmp_path, monkeypatch, split={"validation_ratio": 1.5})
    told = "".join(traceback.format_exception(raised.value))
    assert "split.validation_ratio" in told
    assert "defs.yaml:" in told
    assert "less than 1" in told
