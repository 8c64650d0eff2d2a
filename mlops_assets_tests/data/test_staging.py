import gc
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.data.owners import Owner
from mlops_assets.data.staging import MARKERS, Stage, clear_left_stages
from mlops_assets.data.table_folder import TableFolder


@pytest.fixture
def folder(tmp_path: Path) -> TableFolder:
    return TableFolder(str(tmp_path / "table"), {})


def names(folder: TableFolder) -> list[str]:
    return sorted(path.name for path in Path(folder.uri).rglob("*") if path.is_file())


def written(folder: TableFolder, rows: int = 2) -> Stage:
    stage = Stage(folder)
    stage.write("rows", pl.DataFrame({"a": [1] * rows, "b": [None] * rows}))
    stage.close()
    return stage


def as_if_killed(folder: TableFolder, stage: str) -> None:
    owner = Owner.this_process()
    gone = owner.model_copy(update={"started": owner.started - 3600})
    folder.write(f"{MARKERS}/{stage}.json", gone.model_dump_json().encode())


def test_rows_of_a_part_lie_in_the_order_in_which_they_were_written(folder: TableFolder) -> None:
    with Stage(folder) as stage:
        for number in range(100):  # more parts than files are kept open
            stage.write(f"part-{number % 50:02d}", pl.DataFrame({"a": [number]}))
        files = stage.close()
        rows = pl.scan_parquet([f"{folder.uri}/{file.path}" for file in files]).collect()
    assert rows["a"].to_list() == [x for part in range(50) for x in (part, part + 50)]
    assert {file.part for file in files} == {f"part-{number:02d}" for number in range(50)}
    assert sum(file.n_rows for file in files) == 100


def test_a_file_knows_its_size_rows_and_missing_values(folder: TableFolder) -> None:
    with Stage(folder) as stage:
        stage.write("rows", pl.DataFrame({"a": [1, None]}))
        stage.write("rows", pl.DataFrame({"a": [None, None]}, {"a": pl.Int64}))
        stage.write("rows", pl.DataFrame({"a": []}, {"a": pl.Int64}))
        [file] = stage.close()
    assert (file.n_rows, file.null_counts) == (4, {"a": 3})


def test_files_that_nobody_took_go(folder: TableFolder) -> None:
    with written(folder):
        assert len(names(folder)) == 2
    assert names(folder) == []


def test_a_write_that_is_broken_off_leaves_no_file(folder: TableFolder) -> None:
    """The file that was being written was forgotten, and its marker removed: it stayed for ever."""
    with Stage(folder) as stage:
        stage.write("rows", pl.DataFrame({"a": [1]}))
        with pytest.raises(ValueError, match="schema"):
            stage.write("rows", pl.DataFrame({"a": ["text"]}))
    del stage
    gc.collect()  # whoever drops an open stream finishes its file
    assert names(folder) == []


def test_released_files_stay(folder: TableFolder) -> None:
    with written(folder) as stage:
        stage.release()
    assert [name.startswith("rows-00000-stage-") for name in names(folder)] == [True]


def test_the_stage_of_a_living_process_is_left_alone(folder: TableFolder) -> None:
    with written(folder):
        clear_left_stages(folder, set)
        assert len(names(folder)) == 2


def test_what_a_killed_process_left_goes(folder: TableFolder) -> None:
    stage = Stage(folder)
    stage.write("rows", pl.DataFrame({"a": [1]}))
    half_written = [name for name in names(folder) if name.endswith("#1")]
    stage.close()
    for name in half_written or [f"rows-00001-{stage.name}.parquet#1"]:
        (Path(folder.uri) / name).write_bytes(b"half")
    as_if_killed(folder, stage.name)
    with written(folder) as other:
        clear_left_stages(folder, set)
        assert len(names(folder)) == 2
        assert all(other.name in name for name in names(folder))


def test_a_kill_after_the_commit_leaves_the_files(folder: TableFolder) -> None:
    stage = written(folder)
    as_if_killed(folder, stage.name)
    clear_left_stages(folder, lambda: {stage.name})
    assert names(folder) == [f"rows-00000-{stage.name}.parquet"]
    stage.release()


class EndsMeanwhile(TableFolder):
    """A folder one of whose writers commits and ends while another looks at the markers."""

    committed: frozenset[str] = frozenset()

    def files(self, folder: str) -> list[str]:
        found = super().files(folder)
        for marker in found:
            self.committed |= {Path(marker).stem}
            as_if_killed(self, Path(marker).stem)
        return found


def test_a_process_that_commits_and_ends_meanwhile_keeps_its_files(folder: TableFolder) -> None:
    """Versions were read before it was asked who is gone: the files of a last commit went."""
    stage, looked_at = written(folder), EndsMeanwhile(folder.uri, {})
    clear_left_stages(looked_at, lambda: looked_at.committed)
    assert names(folder) == [f"rows-00000-{stage.name}.parquet"]
    stage.release()
