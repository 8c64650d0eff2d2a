from typing import Any

import pytest
from pydantic import ValidationError

from mlops_assets.spec import ModelSpec

SMALLEST: dict[str, Any] = {
    "name": "wait_time",
    "description": "How long will it take?",
    "owners": ["team:desk"],
    "source": {"path": "visits.parquet"},
    "features": {"numeric": ["age"]},
    "target": {"column": "minutes", "task": "regression"},
    "model": {"estimator": "sklearn.linear_model.Ridge"},
}


@pytest.mark.parametrize(
    ("fields", "method"),
    [
        pytest.param({}, "stratified", id="neither_time_nor_entity"),
        pytest.param({"entity_key": "patient"}, "grouped", id="entity"),
        pytest.param({"split": {"group": "ward"}}, "grouped", id="group"),
        pytest.param({"entity_key": "patient", "time_column": "at"}, "time", id="time_wins"),
        pytest.param(
            {"time_column": "at", "split": {"method": "stratified"}}, "stratified", id="declared"
        ),
    ],
)
def test_default_of_the_split(fields: dict[str, Any], method: str) -> None:
    assert ModelSpec.model_validate(SMALLEST | fields).split_method == method


@pytest.mark.parametrize(
    ("task", "metric"), [("binary", "roc_auc"), ("multiclass", "roc_auc"), ("regression", "r2")]
)
def test_default_of_the_metric(task: str, metric: str) -> None:
    target = {"column": "minutes", "task": task}
    assert ModelSpec.model_validate(SMALLEST | {"target": target}).metric == metric


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"split": {"method": "time"}}, "time only with time_column"),
        ({"split": {"method": "grouped"}}, "grouped only with split.group or entity_key"),
        ({"split": {"validation_window": "7d"}}, "validation_window only with split.method time"),
        (
            {"source": {"path": "a", "partitions": {"every": "day", "start": "2013-01-01"}}},
            "source",
        ),
        ({"contract": {"maximum_age": "1d"}}, "maximum_age only with time_column"),
        ({"target": {"column": "age", "task": "regression"}}, "a column that is not a feature"),
        ({"evaluation": {"metric": "roc_auc"}}, "with task regression one of r2"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as raised:
        ModelSpec.model_validate(SMALLEST | fields)
    assert problem in str(raised.value)


def test_all_that_does_not_go_together_is_told_at_once() -> None:
    fields = {"split": {"method": "time"}, "contract": {"maximum_age": "1d"}}
    with pytest.raises(ValidationError) as raised:
        ModelSpec.model_validate(SMALLEST | fields)
    assert "split.method" in str(raised.value)
    assert "contract.maximum_age" in str(raised.value)


def test_names_follow_the_model_unless_they_are_given() -> None:
    spec = ModelSpec.model_validate(SMALLEST)
    assert (spec.registered_model, spec.service) == ("wait_time", "wait-time")
    named = ModelSpec.model_validate(SMALLEST | {"registry": {"name": "Wait"}})
    assert named.registered_model == "Wait"


def test_a_document_survives_being_written_as_json_and_read() -> None:
    spec = ModelSpec.model_validate(
        SMALLEST | {"time_column": "at", "split": {"validation_window": "7d"}}
    )
    assert ModelSpec.model_validate_json(spec.model_dump_json()) == spec
