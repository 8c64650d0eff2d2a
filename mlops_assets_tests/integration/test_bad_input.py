"""Bad data through the whole pipeline: what is wrong is named, and nothing is half-made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops_assets_tests.documents import churn_document, churn_rows, write_churn
from mlops_assets_tests.integration.conftest import Platform, materialized, told

Rows = pl.DataFrame


def no_contract(**changes: Any) -> dict[str, Any]:
    return {"contract": {"columns": {}}, **changes}


def text(content: bytes) -> Callable[[Path], object]:
    """Writes these bytes."""
    return lambda path: path.write_bytes(content)


def rows(change: Callable[[Rows], Rows]) -> Callable[[Path], object]:
    """Writes the usual rows, changed."""
    return lambda path: write_churn(path.parent, change(churn_rows()))


CASES = [
    pytest.param(lambda _: None, {}, "dataset", "churn.csv", id="missing_file"),
    pytest.param(text(b""), {}, "dataset", "empty", id="empty_file"),
    pytest.param(text(b"customer,months,spend,plan,churned\n"), {}, "dataset", "no rows",
                 id="header_only"),
    pytest.param(
        lambda path: churn_rows().write_csv(path, separator=";"), {}, "dataset", "separator",
        id="wrong_delimiter",
    ),
    pytest.param(
        text(churn_rows().write_csv().encode().replace(b"basic", b"b\xe4")),
        {}, "dataset", "UTF-8", id="not_utf8",
    ),
    pytest.param(rows(lambda r: r.drop("churned")), {}, "dataset", "churned", id="missing_target"),
    pytest.param(
        rows(lambda r: r.drop("churned")), no_contract(), "features", "churned",
        id="missing_target_without_contract",
    ),
    pytest.param(
        rows(lambda r: r.with_columns(churned=pl.lit("no"))), {}, "features", "one class only",
        id="one_class_only",
    ),
    pytest.param(
        rows(lambda r: r.with_columns(spend=pl.lit(None, pl.Float64))), {}, "features", "spend",
        id="all_null_column",
    ),
    pytest.param(
        rows(lambda r: pl.concat([r, r.head(3)])), {}, "dataset", "customer", id="duplicate_ids"
    ),
    pytest.param(
        rows(lambda r: r.with_columns(months=pl.col("months").cast(str).replace("7", "seven"))),
        {}, "dataset", "seven", id="mixed_types",
    ),
    pytest.param(
        rows(lambda r: r.with_columns(months=pl.col("months").cast(str).replace("7", "seven"))),
        no_contract(), "features", "seven", id="mixed_types_without_contract",
    ),
    pytest.param(
        rows(lambda r: r.with_columns(at=pl.lit("yesterday"))),
        no_contract(time_column="at"), "dataset", "yesterday", id="dates_that_do_not_parse",
    ),
    pytest.param(
        rows(lambda r: r.with_columns(months=pl.col("months").replace(7, 10**9))), {}, "dataset",
        "1000000000", id="outlier_beyond_the_contract",
    ),
    pytest.param(rows(lambda r: r.head(2)), {}, "features", "at least 10 are needed",
                 id="two_rows"),
    pytest.param(
        rows(lambda r: r), {"model": {"estimator": "sklearn.linear_model.Logistic"}},
        "trained_model", "model.estimator", id="estimator_that_does_not_exist",
    ),
    pytest.param(
        rows(lambda r: r), {"model": {"estimator": "sklearn.linear_model.LinearRegression"}},
        "trained_model", "model.estimator", id="estimator_that_does_not_fit_the_task",
    ),
]  # fmt: skip
BEFORE = {"dataset": set(), "features": {"dataset"}, "trained_model": {"dataset", "features"}}


@pytest.mark.parametrize(("write", "changes", "asset", "word"), CASES)
def test_bad_input_is_named_and_nothing_after_it_is_made(
    write: Callable[[Path], object],
    changes: dict[str, Any],
    asset: str,
    word: str,
    platform: Platform,
    tmp_path: Path,
) -> None:
    write(tmp_path / "churn.csv")
    result = platform.run(platform.definitions(tmp_path, **changes))
    assert not result.success
    assert word in told(result)
    made = set(materialized(result)) - {asset}  # a snapshot that breaks its contract is evidence
    assert made == BEFORE[asset]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda r: r.with_columns(spend=pl.lit(50.0)), id="constant_column"),
        pytest.param(
            lambda r: r.with_columns(
                spend=pl.when(pl.col("months") == 7).then(1e9).otherwise("spend")
            ),
            id="outlier_that_the_contract_allows",
        ),
    ],
)  # fmt: skip
def test_odd_but_possible_data_goes_through(
    change: Callable[[Rows], Rows], platform: Platform, tmp_path: Path
) -> None:
    write_churn(tmp_path, change(churn_rows()))
    document = churn_document()["contract"]
    result = platform.run(
        platform.definitions(tmp_path, contract=document), only=["dataset", "features"]
    )
    assert result.success, told(result)
