"""A file that is wrong ends in an error or a violation that names it, nothing half-written."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.data.snapshots import DatasetSnapshot, Lake
from mlops_assets.data.sources import open_source
from mlops_assets.errors import SourceError
from mlops_assets_tests.data.documents import model

CONTRACT = {
    "columns": {
        "id": {"type": "integer", "unique": True},
        "at": {"type": "datetime"},
        "bpm": {"type": "number", "nullable": True, "minimum": 20, "maximum": 300},
    }
}
NOW = datetime(2013, 2, 1, tzinfo=UTC)


def write(content: bytes | None, folder: Path) -> DatasetSnapshot:
    if content is not None:
        (folder / "visits.csv").write_bytes(content)
    spec = model(CONTRACT, time_column="at")
    lake = Lake(str(folder / "lake"))
    return lake.write_snapshot(spec, open_source(spec.source, base=folder), now=NOW)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, r"there is no file .*visits.csv", id="missing_file"),
        pytest.param(b"", "is empty", id="empty_file"),
        pytest.param(b"id,at,bpm\n", "has a header and no rows", id="header_only"),
        pytest.param(b"id;at;bpm\n1;2013-01-01;5\n", "separator seems", id="wrong_delimiter"),
        pytest.param(b"id,at,bpm\n1,caf\xe9,5\n", "not UTF-8: line 2", id="not_utf_8"),
        pytest.param(b"id,at,bpm\n1,2013-01-01\n", "line 2 has 2", id="ragged_rows"),
        pytest.param(b"id,id,bpm\n1,1,1\n", "names columns twice: id", id="duplicate_header"),
    ],
)
def test_a_file_that_cannot_be_read_leaves_no_lake(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=message):
        write(content, tmp_path)
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        pytest.param("1,2013-01-01,90\n1,2013-01-01,90", "id unique 2: 1", id="duplicate_ids"),
        pytest.param("1,2013-01-01,fast", "bpm type 1: fast", id="mixed_types"),
        pytest.param("1,1/2/2013,90", "at type 1: 1/2/2013", id="dates_that_do_not_parse"),
        pytest.param("1,2013-01-01,999999999", "bpm maximum 1: 999999999", id="an_outlier"),
        pytest.param("1,2013-01-01,inf", "bpm finite 1: inf", id="infinity"),
        pytest.param("1,,90\n2,NA,90", "at nullable 1: None", id="an_all_null_column"),
        pytest.param("x,2013-01-01,", "id type 1: x", id="text_for_a_number"),
    ],
)
def test_a_value_that_does_not_fit_is_a_violation_with_its_row(
    rows: str, broken: str, tmp_path: Path
) -> None:
    report = write(f"id,at,bpm\n{rows}\n".encode(), tmp_path).contract
    assert not report.passed
    found = [
        f"{one.column} {one.rule} {one.examples[0].row}: {one.examples[0].value}"
        for one in report.columns
    ]
    assert broken in found


def test_a_file_with_other_columns_fails_by_their_names(tmp_path: Path) -> None:
    report = write(b"id,when,bpm\n1,2013-01-01,90\n", tmp_path).contract
    assert not report.passed
    assert "column 'at' is missing from the source" in report.reason


def test_a_file_of_two_rows_passes(tmp_path: Path) -> None:
    content = b"id,at,bpm\n1,2013-01-01,90\n2,2013-01-02 05:00,\n"
    snapshot = write(content, tmp_path)
    assert snapshot.contract.passed
    assert snapshot.null_counts == {"id": 0, "at": 0, "bpm": 1}
