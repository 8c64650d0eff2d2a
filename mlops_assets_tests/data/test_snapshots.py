import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops_assets.data.snapshots import DatasetSnapshot, Lake
from mlops_assets.data.source_rows import SourceRows
from mlops_assets.errors import ContractError, SourceError
from mlops_assets_tests.data.documents import model
from mlops_assets_tests.data.object_store import object_store, stored_names

NOW = datetime(2013, 2, 1, tzinfo=UTC)
QUARANTINE = {
    "columns": {"a": {"type": "integer", "maximum": 10}},
    "on_violation": "quarantine",
    "allowed_violation_ratio": 0.5,
}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def write(
    lake: Lake, rows: pl.DataFrame, contract: dict[str, Any] | None = None, **parts: Any
) -> DatasetSnapshot:
    return lake.write_snapshot(model(contract, **parts), SourceRows(rows.lazy()), now=NOW)


def files(lake: Lake) -> list[str]:
    """Files of a lake, without what Delta's local driver leaves of a commit killed in its write:
    `<file>#1`, which nothing ever lists."""
    root = Path(lake.root)
    found = [path for path in root.rglob("*") if path.is_file() and "#" not in path.name]
    return sorted(str(path.relative_to(root)) for path in found)


def test_a_snapshot_says_what_it_holds(lake: Lake) -> None:
    rows = SourceRows(pl.LazyFrame({"a": [1, None], "b": ["x", "y"]}), facts={"simulated": "yes"})
    snapshot = lake.write_snapshot(model(), rows, now=NOW)
    assert lake.read_snapshot(snapshot).collect().equals(rows.frame.collect())
    assert snapshot.uri == f"{lake.root}/visits/dataset"
    assert (snapshot.version, snapshot.n_rows, snapshot.partition) == (0, 2, None)
    assert snapshot.columns == {"a": "integer", "b": "string"}
    assert snapshot.null_counts == {"a": 1, "b": 0}
    assert snapshot.facts == {"simulated": "yes"}
    assert (snapshot.quarantine_uri, snapshot.n_quarantined) == (None, 0)
    assert DatasetSnapshot.model_validate_json(snapshot.model_dump_json()) == snapshot


def test_the_same_content_gives_the_same_version_and_writes_nothing(lake: Lake) -> None:
    rows = pl.DataFrame({"a": [1, 2]})
    first = write(lake, rows)
    before = files(lake)
    assert write(lake, rows) == first
    assert files(lake) == before


def test_content_that_comes_back_gives_its_former_version(lake: Lake) -> None:
    one, other = pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2], "b": ["new column"]})
    versions = [write(lake, rows).version for rows in (one, other, one, other)]
    assert versions == [0, 1, 0, 1]


def test_a_snapshot_stays_readable_whatever_is_written_since(lake: Lake) -> None:
    first = write(lake, pl.DataFrame({"a": [1]}))
    for number in range(2, 5):
        write(lake, pl.DataFrame({"a": [number]}))
    assert lake.read_snapshot(first).collect()["a"].to_list() == [1]


def test_quarantined_rows_lie_beside_the_snapshot_as_they_came(lake: Lake) -> None:
    rows = pl.DataFrame({"a": ["1", "many", "999999999", "3"], "b": ["w", "x", "y", "z"]})
    snapshot = write(lake, rows, QUARANTINE)
    assert lake.read_snapshot(snapshot).collect().rows() == [(1, "w"), (3, "z")]
    assert snapshot.quarantine_uri is not None
    assert snapshot.quarantine_version is not None
    aside = lake.read_frame(snapshot.quarantine_uri, snapshot.quarantine_version).collect()
    assert aside.rows() == [
        (2, "many", "x", "a: integer"),
        (3, "999999999", "y", "a: at most 10"),
    ]
    assert aside.columns == ["__row", "a", "b", "__reason"]
    assert (snapshot.n_quarantined, snapshot.contract.passed) == (2, True)


def test_too_many_bad_rows_fail_and_are_quarantined_all_the_same(lake: Lake) -> None:
    snapshot = write(lake, pl.DataFrame({"a": [1, 11, 12]}), QUARANTINE)
    assert not snapshot.contract.passed
    assert (snapshot.n_rows, snapshot.n_quarantined) == (1, 2)


def test_a_snapshot_of_no_good_row_can_be_read(lake: Lake) -> None:
    snapshot = write(lake, pl.DataFrame({"a": [11, 12]}), QUARANTINE)
    rows = lake.read_snapshot(snapshot).collect()
    assert len(rows) == 0
    assert dict(rows.schema) == {"a": pl.Int64}


def test_without_quarantine_all_rows_are_kept_to_look_at(lake: Lake) -> None:
    snapshot = write(lake, pl.DataFrame({"a": [1, 11]}), {**QUARANTINE, "on_violation": "fail"})
    assert (snapshot.n_rows, snapshot.n_quarantined) == (2, 0)
    assert snapshot.contract.n_violating_rows == 1


def test_two_rows_are_enough_for_a_snapshot(lake: Lake) -> None:
    assert write(lake, pl.DataFrame({"a": [1, 2]}), QUARANTINE).n_rows == 2


def test_no_rows_are_refused_and_nothing_is_written(lake: Lake) -> None:
    with pytest.raises(SourceError, match="visits: the source has no rows"):
        write(lake, pl.DataFrame({"a": []}))
    assert files(lake) == []


def test_a_source_that_changes_meanwhile_is_refused(lake: Lake) -> None:
    rows = SourceRows(pl.LazyFrame({"a": [1]}), is_unchanged=lambda: False)
    with pytest.raises(SourceError, match="the source changed while it was read; run again"):
        lake.write_snapshot(model(), rows, now=NOW)
    assert files(lake) == []


def test_a_time_column_in_text_is_read_as_one(lake: Lake) -> None:
    rows = pl.DataFrame({"a": [1, 2], "at": ["2013-01-31 12:00", "soon"]})
    snapshot = write(lake, rows, time_column="at")
    assert snapshot.columns["at"] == "datetime"
    assert snapshot.contract.age_seconds == 12 * 3600
    assert [(one.column, one.rule) for one in snapshot.contract.columns] == [("at", "type")]


def test_a_time_column_under_a_contract_for_numbers_is_refused(lake: Lake) -> None:
    contract = {"columns": {"at": {"type": "integer"}}}
    with pytest.raises(ContractError, match=r"contract.columns.at.type: found integer, allowed"):
        write(lake, pl.DataFrame({"at": [1]}), contract, time_column="at")


def test_text_columns_without_contract_get_the_type_of_all_their_values(lake: Lake) -> None:
    rows = pl.DataFrame({"a": ["1", "2"], "zip": ["01234", "5"], "b": ["1.5", None]})
    source = SourceRows(rows.lazy(), is_text=True)
    snapshot = lake.write_snapshot(model(), source, now=NOW)
    assert snapshot.columns == {"a": "integer", "zip": "string", "b": "number"}


def test_object_storage_works_as_a_folder_does() -> None:
    rows = pl.DataFrame({"a": [1, 11, 3] * 50_000})
    with object_store() as options:
        lake = Lake("s3://bucket/lake", options)
        first = write(lake, rows, QUARANTINE)
        names = stored_names(options)
        assert write(lake, rows, QUARANTINE) == first
        assert stored_names(options) == names
        assert write(lake, rows.head(1), QUARANTINE).version == 1
        assert lake.read_snapshot(first).collect()["a"].to_list() == [1, 3] * 50_000


KILLED = """
import os, sys
from datetime import UTC, datetime
import polars as pl
from mlops_assets_tests.data.test_snapshots import NOW, QUARANTINE, after
from mlops_assets.data.snapshots import Lake
from mlops_assets_tests.data.documents import model
Lake(sys.argv[1]).write_snapshot(model(QUARANTINE), after(sys.argv[2]), now=NOW)
"""


def after(moment: str) -> SourceRows:
    """Rows of a second snapshot, whose writer stops when all are staged if told so."""

    def stop() -> bool:
        Path(os.environ["STOPPED"]).touch()
        time.sleep(60)
        return True

    frame = pl.LazyFrame({"a": [5, 6, 11] * 60_000})
    return SourceRows(frame, is_unchanged=stop if moment == "staged" else None, sliceable=True)


@pytest.mark.parametrize("moment", ["staged", "marked", "quarantined"])
def test_a_kill_leaves_the_former_snapshot_and_a_rerun_ends_as_without_it(
    moment: str, tmp_path: Path
) -> None:
    lake, unkilled = Lake(str(tmp_path / "lake")), Lake(str(tmp_path / "unkilled"))
    former = write(lake, pl.DataFrame({"a": [1, 2]}), QUARANTINE)
    write(unkilled, pl.DataFrame({"a": [1, 2]}), QUARANTINE)
    stopped = tmp_path / "stopped"
    visible: dict[str, Callable[[], bool]] = {
        "staged": lambda: stopped.exists(),
        "marked": lambda: any(Path(former.uri).glob("_staged/*.json")),
        "quarantined": lambda: (Path(lake.root) / "visits/quarantine/_delta_log").exists(),
    }
    command = [sys.executable, "-c", KILLED, lake.root, moment]
    with subprocess.Popen(command, env={**os.environ, "STOPPED": str(stopped)}) as process:
        while not visible[moment]() and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert lake.read_snapshot(former).collect()["a"].to_list() == [1, 2]
    rerun = lake.write_snapshot(model(QUARANTINE), after("never"), now=NOW)
    expected = unkilled.write_snapshot(model(QUARANTINE), after("never"), now=NOW)
    assert (rerun.digest, rerun.version) == (expected.digest, expected.version)
    assert len(files(lake)) == len(files(unkilled))
