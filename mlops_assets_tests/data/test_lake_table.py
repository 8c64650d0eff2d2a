import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.data.snapshots import Lake
from mlops_assets.errors import LakeError

WRITER = """
import sys
import polars as pl
from mlops_assets.data.snapshots import Lake
lake, writer = Lake(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for number in range(4):
    for name in (f"both-{number}", f"{writer}-{number}"):
        uri, version = lake.write_frame("visits", "frame", pl.DataFrame({"name": [name]}), name)
        print(name, version, flush=True)
"""


def race(root: Path) -> list[dict[str, int]]:
    """Two processes that write at the same time, some of it the same: versions by content."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("left", "right")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    answers = [writer.communicate(timeout=60)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    pairs = [[line.split() for line in answer.splitlines()] for answer in answers]
    return [{name: int(version) for name, version in one} for one in pairs]


def test_two_writers_at_once_get_one_version_for_each_content(tmp_path: Path) -> None:
    """Delta's own history numbered versions wrongly here: a writer got another one's rows."""
    left, right = race(tmp_path)
    assert all(left[f"both-{number}"] == right[f"both-{number}"] for number in range(4))
    versions = {**left, **right}
    assert sorted(versions.values()) == list(range(12))
    lake, uri = Lake(str(tmp_path)), f"{tmp_path}/visits/frame"
    for name, version in versions.items():
        assert lake.read_frame(uri, version).collect()["name"].to_list() == [name]
    assert len(list(Path(uri).glob("*.parquet"))) == 12


def test_a_path_may_hold_any_sign(tmp_path: Path) -> None:
    lake = Lake(f"{tmp_path}/my lake [50%] é")
    rows = pl.DataFrame({"a": [1]})
    uri, version = lake.write_frame("visits", "frame", rows, "d")
    assert lake.read_frame(uri, version).collect().equals(rows)


def test_another_tool_reads_the_table(tmp_path: Path) -> None:
    rows = pl.DataFrame({"a [K pop]": [1, None], "b": ["x", "y"]})
    uri, version = Lake(str(tmp_path)).write_frame("visits", "frame", rows, "d")
    assert pl.read_delta(uri, version=version).equals(rows)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(pl.DataFrame({"a": []}, {"a": pl.Float64}), id="no_rows"),
        pytest.param(pl.DataFrame({"a": [1.5], "b": [["x"]]}), id="a_list"),
        pytest.param(pl.DataFrame({"a": range(30_000)}), id="several_batches"),
    ],
)
def test_a_frame_comes_back_as_it_was(rows: pl.DataFrame, tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    for frame in (rows, rows.lazy()):
        uri, version = lake.write_frame("visits", "frame", frame, "d")
        assert lake.read_frame(uri, version).collect().equals(rows)
        assert version == 0


def test_a_table_or_version_that_is_not_there_is_named(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    uri, _ = lake.write_frame("visits", "frame", pl.DataFrame({"a": [1]}), "d")
    with pytest.raises(LakeError, match="at version 7 cannot be read"):
        lake.read_frame(uri, 7)
    with pytest.raises(LakeError, match=r"there is no Delta table at .*nowhere"):
        lake.read_frame(f"{tmp_path}/nowhere", 0)


def test_a_root_that_cannot_be_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LakeError, match="cannot be"):
        Lake(str(tmp_path / "file")).write_frame("visits", "frame", pl.DataFrame({"a": [1]}), "d")


def test_a_commit_of_somebody_else_is_no_version_of_ours(tmp_path: Path) -> None:
    lake, rows = Lake(str(tmp_path)), pl.DataFrame({"a": [1]})
    uri, _ = lake.write_frame("visits", "frame", rows, "d")
    pl.DataFrame({"a": [2]}).write_delta(uri, mode="append")
    assert lake.write_frame("visits", "frame", rows, "d") == (uri, 0)
    assert lake.write_frame("visits", "frame", rows, "other") == (uri, 2)
    assert lake.read_frame(uri, 0).collect().equals(rows)
