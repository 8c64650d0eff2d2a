from typing import Any

import pytest
from pydantic import ValidationError

from mlops_assets.spec import ColumnContract, FeaturesSpec, SourceSpec
from mlops_assets.spec.data import PartitionsSpec


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 1}, None),
        ({"type": "number", "minimum": 2, "maximum": 1}, "minimum: found 2.0"),
        ({"type": "string", "maximum": 1}, "maximum: found 1.0"),
        ({"type": "date", "datetime_format": "%d.%m.%Y"}, None),
        ({"type": "integer", "datetime_format": "%d"}, "datetime_format: found '%d'"),
        ({"type": "string", "categories": ["2", "1e3", "yes"]}, None),
        ({"type": "string", "categories": ["2", 3]}, "categories.1: found 3"),
        ({"type": "string", "categories": [True]}, "categories.0: found True"),
        ({"type": "integer", "categories": [1, True]}, "categories.1: found True"),
        ({"type": "boolean", "categories": [True]}, None),
        ({"type": "datetime", "categories": ["2013-01-01"]}, "categories.0"),
        ({"type": "string", "categories": []}, "at least one value"),
    ],
)
def test_rules_of_a_column_fit_its_type(fields: dict[str, Any], problem: str | None) -> None:
    if problem is None:
        ColumnContract.model_validate(fields)
        return
    with pytest.raises(ValidationError) as raised:
        ColumnContract.model_validate(fields)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    "fields", [{}, {"path": "a.csv", "sql": {"url_variable": "U", "query": "Q"}}]
)
def test_a_source_is_exactly_one_of_path_sql_and_python(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="exactly one of path, sql and python"):
        SourceSpec.model_validate(fields)


def test_partitions_of_a_month_begin_on_the_first() -> None:
    """Dagster's first partition is the next month then, and the rows before it were in none."""
    PartitionsSpec.model_validate({"every": "month", "start": "2013-01-01"})
    PartitionsSpec.model_validate({"every": "week", "start": "2013-01-15"})
    with pytest.raises(ValidationError, match=r"start: found '2013-01-15'.*first day of a month"):
        PartitionsSpec.model_validate({"every": "month", "start": "2013-01-15"})


def test_values_are_not_made_of_other_types() -> None:
    with pytest.raises(ValidationError):
        SourceSpec.model_validate({"path": 1})
    with pytest.raises(ValidationError):
        ColumnContract.model_validate({"type": "integer", "minimum": "1e3"})


def test_source_columns_are_listed_once_in_the_order_of_the_document() -> None:
    features = FeaturesSpec(
        numeric=["b", "a"], categorical=["c"], boolean=["d"], datetime={"t": ["hour", "weekday"]}
    )
    assert features.source_columns == ["b", "a", "c", "d", "t"]


def test_a_model_without_features_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least one feature"):
        FeaturesSpec()
