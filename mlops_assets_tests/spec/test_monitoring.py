import pytest
from pydantic import ValidationError

from mlops_assets.spec.monitoring import MonitoringSpec, WindowSpec
from mlops_assets_tests.documents import churn_spec


def test_by_default_a_day_is_judged() -> None:
    spec = MonitoringSpec()
    assert (spec.window.every, spec.window.rows) == ("day", None)


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        pytest.param({"every": "rows", "rows": 30}, True, id="fewest_rows"),
        pytest.param({"every": "rows", "rows": 29}, False, id="one_row_too_few"),
        pytest.param({"every": "rows"}, False, id="rows_without_a_number"),
        pytest.param({"every": "hour", "rows": 500}, False, id="an_hour_with_a_number"),
        pytest.param({"every": "hour"}, True, id="an_hour"),
    ],
)
def test_rows_go_with_windows_of_rows(fields: dict[str, object], *, allowed: bool) -> None:
    if allowed:
        WindowSpec.model_validate(fields)
        return
    with pytest.raises(ValidationError, match="rows"):
        WindowSpec.model_validate(fields)


def test_a_slice_is_a_feature() -> None:
    assert churn_spec(monitoring={"slices": ["plan"]}).monitoring.slices == ["plan"]
    with pytest.raises(ValidationError, match=r"slices.1: found 'churned', allowed: a feature"):
        churn_spec(monitoring={"slices": ["plan", "churned"]})


@pytest.mark.parametrize(("draws", "allowed"), [(998, False), (999, True)])
def test_fewest_draws_reject_one_column_in_twenty(draws: int, *, allowed: bool) -> None:
    if allowed:
        MonitoringSpec.model_validate({"drift": {"draws": draws}})
        return
    with pytest.raises(ValidationError, match="999"):
        MonitoringSpec.model_validate({"drift": {"draws": draws}})
