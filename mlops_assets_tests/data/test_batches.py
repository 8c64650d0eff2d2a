from pathlib import Path

import polars as pl
import pytest

from mlops_assets.data import scratch
from mlops_assets.data.batches import open_batches
from mlops_assets.data.source_rows import SourceRows
from mlops_assets.errors import SourceError

ROWS = pl.DataFrame({"a": range(70_000), "text": ["x" * 50] * 70_000})


@pytest.mark.parametrize("sliceable", [True, False])
def test_all_rows_come_in_order_and_again(sliceable: bool, tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "rows.parquet")
    frame = pl.scan_parquet(tmp_path / "rows.parquet")
    with open_batches(SourceRows(frame, sliceable=sliceable)) as source:
        for _ in range(2):
            batches = list(source.batches())
            assert len(batches) > 1
            assert pl.concat(batches).equals(ROWS)


def test_no_rows_are_no_batches() -> None:
    with open_batches(SourceRows(ROWS.head(0).lazy())) as source:
        assert list(source.schema) == ["a", "text"]
        assert list(source.batches()) == []


def test_wide_rows_come_in_small_batches() -> None:
    wide = pl.DataFrame({"text": ["x" * 2_000] * 80_000})
    with open_batches(SourceRows(wide.lazy(), sliceable=True)) as source:
        sizes = [len(batch) for batch in source.batches()]
    assert sum(sizes) == 80_000
    assert max(sizes[1:]) < 34_000


def test_of_many_columns_few_rows_are_read_before_their_size_is_known() -> None:
    wide = pl.DataFrame({f"x{n}": [0.0] * 4_000 for n in range(500)})
    with open_batches(SourceRows(wide.lazy(), sliceable=True)) as source:
        assert [len(batch) for batch in source.batches()] == [2_000, 2_000]


def test_a_plan_that_fails_is_an_error_of_the_source() -> None:
    failing = ROWS.lazy().with_columns(pl.col("text").cast(pl.Int64))
    with pytest.raises(SourceError, match="cannot be read"), open_batches(SourceRows(failing)):
        pass


def test_scratch_files_go_when_the_block_ends() -> None:
    before = set(scratch.scratch_folder().iterdir())
    with open_batches(SourceRows(ROWS.lazy())):
        assert set(scratch.scratch_folder().iterdir()) != before
    assert set(scratch.scratch_folder().iterdir()) == before
