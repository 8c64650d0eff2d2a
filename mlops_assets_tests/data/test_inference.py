import polars as pl
import pytest

from mlops_assets.data.inference import infer_types, typed_rows
from mlops_assets.data.source_rows import SourceRows


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        pytest.param(["1", " -2", None], "integer", id="whole_numbers"),
        pytest.param(["1", "2.5", "1e3"], "number", id="numbers"),
        pytest.param(["1.0", "2.0"], "number", id="numbers_that_are_whole"),
        pytest.param(["007", "8"], "string", id="codes_with_leading_zeros"),
        pytest.param(["0.5", "0", "00.1"], "string", id="a_number_with_leading_zeros"),
        pytest.param(["0", "-0.5"], "number", id="zero_is_no_code"),
        pytest.param(["1234567890123456789012"], "string", id="digits_beyond_64_bits"),
        pytest.param(["0.1234567890123456789012"], "number", id="many_decimals"),
        pytest.param(["true", "FALSE"], "boolean", id="booleans"),
        pytest.param(["yes", "no"], "string", id="yes_and_no_are_text"),
        pytest.param(["2013-01-01", None], "date", id="dates"),
        pytest.param(["2013-01-01", "2013-01-01 05:00"], "datetime", id="datetimes"),
        pytest.param(["2013-01-01", "soon"], "string", id="dates_and_text"),
        pytest.param(["1", "nan"], "string", id="nan_is_text"),
        pytest.param([None, None], "string", id="no_value_at_all"),
    ],
)
def test_the_type_of_a_column(texts: list[str | None], found: str) -> None:
    batch = pl.DataFrame({"x": texts}, {"x": pl.String})
    assert infer_types([batch], ["x"]) == {"x": found}
    assert infer_types([batch[:1], batch[1:]], ["x"]) == {"x": found}


def test_the_last_row_counts_as_the_first_does() -> None:
    texts = pl.DataFrame({"x": ["1"] * 20_000 + ["x"]})
    assert infer_types([texts], ["x"]) == {"x": "string"}


def test_text_rows_are_typed_over_all_values() -> None:
    rows = SourceRows(pl.LazyFrame({"a": ["1", "2"], "b": ["1", "x"]}), is_text=True)
    assert typed_rows(rows).collect().to_dict(as_series=False) == {"a": [1, 2], "b": ["1", "x"]}
