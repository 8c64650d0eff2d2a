from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops_assets.data.source_rows import SourceRows
from mlops_assets.data.sources import open_source, source_columns, source_fingerprint
from mlops_assets.errors import SourceError
from mlops_assets.spec import SourceSpec


def frame(n: int = 2) -> pl.DataFrame:
    return pl.DataFrame({"a": range(n)})


def lazy(n: int = 2) -> pl.LazyFrame:
    return frame(n).lazy()


def with_facts(n: int = 2) -> SourceRows:
    return SourceRows(lazy(n), {"simulated": "yes"})


def failing(n: int = 2) -> pl.DataFrame:
    raise RuntimeError(f"no connection to {n}")


def of_dicts(n: int = 2) -> list[dict[str, int]]:
    return [{"a": number} for number in range(n)]


lazy.fingerprint = lambda n=2: f"{n} rows"  # type: ignore[attr-defined]
NOT_A_FUNCTION = 1


def source(name: str, **arguments: Any) -> SourceSpec:
    function = name if ":" in name else f"{__name__}:{name}"
    return SourceSpec.model_validate({"python": {"function": function, "arguments": arguments}})


@pytest.mark.parametrize("name", ["frame", "lazy", "with_facts"])
def test_a_function_gives_rows(name: str, tmp_path: Path) -> None:
    rows = open_source(source(name, n=3), base=tmp_path)
    assert rows.frame.collect()["a"].to_list() == [0, 1, 2]
    assert rows.facts == ({"simulated": "yes"} if name == "with_facts" else {})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("failing", "RuntimeError: no connection to 2", id="it_fails"),
        pytest.param("of_dicts", "returned list, allowed: a Polars DataFrame", id="other_result"),
        pytest.param("nowhere", "has no attribute 'nowhere'", id="no_such_function"),
        pytest.param("no.such.module:load", "No module named 'no'", id="no_such_module"),
        pytest.param("NOT_A_FUNCTION", "is no function", id="no_function"),
    ],
)
def test_a_function_that_cannot_be_used_is_named(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=message):
        open_source(source(name), base=tmp_path)


def test_arguments_that_do_not_fit_are_an_error_of_the_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="unexpected keyword argument 'm'"):
        open_source(source("frame", m=3), base=tmp_path)


def test_the_fingerprint_is_what_the_function_says(tmp_path: Path) -> None:
    assert source_fingerprint(source("lazy", n=3), base=tmp_path) == "3 rows"
    assert source_fingerprint(source("frame"), base=tmp_path) is None
    assert source_columns(source("frame"), base=tmp_path) is None
