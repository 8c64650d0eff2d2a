from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops_assets.data.inference import typed_rows
from mlops_assets.data.sources import open_source, source_columns, source_fingerprint
from mlops_assets.errors import SourceError
from mlops_assets.spec import SourceSpec

ROWS = pl.DataFrame({"id": [1, 2], "name": ["x", None]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ROWS.write_csv(tmp_path / "visits.csv")
    ROWS.write_parquet(tmp_path / "visits.parquet")
    ROWS.write_delta(tmp_path / "table")
    return tmp_path


@pytest.mark.parametrize("path", ["visits.csv", "visits.parquet", "table"])
def test_each_format_gives_the_same_rows(path: str, folder: Path) -> None:
    spec = SourceSpec(path=path)
    rows = open_source(spec, base=folder)
    assert typed_rows(rows).collect().equals(ROWS)
    assert rows.facts["source"] == path
    assert rows.is_text is path.endswith("csv")
    assert source_columns(spec, base=folder) == {"id": "integer", "name": "string"}


@pytest.mark.parametrize("path", ["visits.csv", "visits.parquet"])
def test_a_file_that_changes_has_another_fingerprint(path: str, folder: Path) -> None:
    spec = SourceSpec(path=path)
    before = source_fingerprint(spec, base=folder)
    rows = open_source(spec, base=folder)
    assert rows.is_unchanged is not None
    assert rows.is_unchanged()
    file = folder / path
    file.write_bytes(file.read_bytes() + b"3,y\n")
    assert not rows.is_unchanged()
    assert source_fingerprint(spec, base=folder) != before


def test_a_delta_table_is_read_at_the_version_that_it_had(folder: Path) -> None:
    spec = SourceSpec(path="table")
    before = source_fingerprint(spec, base=folder)
    rows = open_source(spec, base=folder)
    ROWS.write_delta(folder / "table", mode="append")
    assert len(rows.frame.collect()) == 2
    assert rows.facts["delta_version"] == "0"
    assert source_fingerprint(spec, base=folder) != before


@pytest.mark.parametrize(
    ("options", "content", "read"),
    [
        pytest.param({}, 'a,b\nNA,\n"",x\n', [(None, None), (None, "x")], id="missing_by_default"),
        pytest.param(
            {"null_values": ["-"]}, 'a,b\nNA,-\n"",x\n', [("NA", None), ("", "x")], id="as_declared"
        ),
        pytest.param({"separator": ";"}, "a;b\n1,5;2\n", [("1,5", "2")], id="semicolons"),
        pytest.param({}, "a,b\n1,2\n\n3,4\n\n", [("1", "2"), ("3", "4")], id="blank_lines_go"),
        pytest.param({}, '\ufeffa,b\r\n"1,\n2",007\r\n', [("1,\n2", "007")], id="quotes_and_bom"),
    ],
)
def test_values_of_csv_stay_text(
    options: dict[str, Any], content: str, read: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "visits.csv").write_text(content, newline="")
    spec = SourceSpec.model_validate({"path": "visits.csv", **options})
    assert open_source(spec, base=tmp_path).frame.collect().rows() == read


def test_several_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.csv").write_text(f"x\n{name}\n")
    rows = open_source(SourceSpec(path="*.csv"), base=tmp_path)
    assert rows.frame.collect()["x"].to_list() == ["a", "b", "c"]
    assert rows.facts["n_files"] == "3"


def test_csv_files_with_different_headers_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("y,x\n1,2\n")
    with pytest.raises(SourceError, match=r"b.csv has the columns y, x; .*a.csv has x, y"):
        open_source(SourceSpec(path="*.csv"), base=tmp_path)


def test_parquet_files_may_differ_in_order_and_width(tmp_path: Path) -> None:
    pl.DataFrame({"x": [1], "y": ["a"]}, {"x": pl.Int32, "y": pl.String}).write_parquet(
        tmp_path / "a.parquet"
    )
    pl.DataFrame({"y": ["b"], "x": [2.5]}).write_parquet(tmp_path / "b.parquet")
    rows = open_source(SourceSpec(path="*.parquet"), base=tmp_path).frame.collect()
    assert rows.rows() == [(1.0, "a"), (2.5, "b")]


def test_folders_that_name_a_value_give_a_column(tmp_path: Path) -> None:
    for year in (2012, 2013):
        (tmp_path / f"data/year={year}").mkdir(parents=True)
        pl.DataFrame({"x": [1]}).write_parquet(tmp_path / f"data/year={year}/a.parquet")
    rows = open_source(SourceSpec(path="data"), base=tmp_path).frame.collect()
    assert rows.rows() == [(1, "2012"), (1, "2013")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("x.parquet", b"", "x.parquet is empty", id="an_empty_parquet_file"),
        pytest.param("x.parquet", b"a,b\n1,2\n", "cannot be read as Parquet", id="no_parquet"),
        pytest.param("x.csv", b"", "x.csv is empty", id="an_empty_csv_file"),
    ],
)
def test_a_file_that_is_none_is_named(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    spec = SourceSpec(path=name)
    for ask in (open_source, source_columns):
        with pytest.raises(SourceError, match=message):
            ask(spec, base=tmp_path)


def test_a_folder_that_is_no_delta_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no Delta table at"):
        open_source(SourceSpec(path="nowhere", format="delta"), base=tmp_path)
