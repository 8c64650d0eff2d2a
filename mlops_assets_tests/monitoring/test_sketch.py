from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlops_assets.errors import MonitoringError
from mlops_assets.monitoring import sketch as module
from mlops_assets.monitoring.counting import sketch_reference, sketch_window
from mlops_assets.monitoring.layout import HASHED_BINS, Selection, WatchedColumn
from mlops_assets.monitoring.sketch import Sketch
from mlops_assets.monitoring.stored import read_sketch, write_sketch
from mlops_assets_tests.monitoring.drifting import SHOP, shop, shop_day, shop_reference


def assert_same_counts(left: Sketch, right: Sketch) -> None:
    assert left.n_rows == right.n_rows
    assert left.blocks.tolist() == right.blocks.tolist()
    for name, counts in left.columns.items():
        other = right.columns[name]
        assert np.array_equal(counts.by_block, other.by_block), name
        assert np.array_equal(counts.by_slice, other.by_slice), name
        assert np.array_equal(counts.fine, other.fine), name
        assert counts.sums == pytest.approx(other.sums), name
        assert counts.deviation == pytest.approx(other.deviation), name
        assert dict(counts.names) == dict(other.names), name
        assert counts.n_unnamed == other.n_unnamed, name


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 500), max_size=4))
def test_windows_merge_to_what_one_reading_counts(cuts: list[int]) -> None:
    reference = shop_reference(700)
    rows = shop(500, seed=3, first_day=28, n_days=3)
    ends = [0, *sorted(cuts), 500]
    parts = [sketch_window(rows[low:high], reference.layout) for low, high in pairwise(ends)]
    parts = [part for part in parts if part.n_rows] or parts
    assert_same_counts(reduce(Sketch.merge, parts), sketch_window(rows, reference.layout))


def test_an_empty_window_merges_as_nothing() -> None:
    reference = shop_reference(700)
    day, nothing = shop_day(reference), sketch_window(shop(0), reference.layout)
    assert nothing.n_rows == 0
    assert_same_counts(nothing.merge(day), day)


def test_rows_are_counted_by_day() -> None:
    reference = sketch_reference(shop(280, n_days=28), SHOP)
    assert reference.blocks.size == 28
    assert set(reference.columns["age"].by_block.sum(axis=1)) == {10}


def test_a_file_is_counted_as_a_frame(tmp_path: Path) -> None:
    rows = shop(30_000)
    rows.write_parquet(tmp_path / "rows.parquet", row_group_size=4_000)
    from_file = sketch_reference(pl.scan_parquet(tmp_path / "rows.parquet"), SHOP)
    assert_same_counts(from_file, sketch_reference(rows, SHOP))


def test_sketches_on_other_bins_do_not_merge() -> None:
    reference, other = shop_reference(700), shop_reference(700, seed=9)
    with pytest.raises(MonitoringError, match="different bins"):
        shop_day(reference).merge(shop_day(other))


def test_a_reference_needs_its_columns_and_rows() -> None:
    with pytest.raises(MonitoringError, match="no column 'plan'"):
        sketch_reference(shop(100).drop("plan"), SHOP)
    with pytest.raises(MonitoringError, match="no rows"):
        sketch_reference(shop(0), SHOP)


def test_the_sample_is_uniform_over_merged_windows() -> None:
    column = Selection((WatchedColumn("x", "number"),))
    reference = sketch_reference(pl.DataFrame({"x": [0.0, 1.0, 2.0]}), column)
    parts = [
        sketch_window(pl.DataFrame({"x": np.full(n, value)}), reference.layout)
        for n, value in ((30_000, 0.0), (10_000, 1.0))
    ]
    sample = parts[0].merge(parts[1]).sample
    assert sample.n == module.SAMPLE_ROWS
    share = (sample.codes[:, 0] == parts[1].sample.codes[0, 0]).mean()
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / sample.n)


def test_names_are_bounded_and_their_rows_still_count() -> None:
    column = Selection((WatchedColumn("tail", "category"),))
    known = pl.DataFrame({"tail": [f"n{i}" for i in range(1_500)]})
    reference = sketch_reference(known, column)
    names = reference.columns["tail"]
    assert len(names.names) == 1_500  # 1,000 tracked and 500 others
    many = pl.DataFrame({"tail": [f"m{i}" for i in range(3_000)] + ["m7"] * 9 + ["n1"]})
    window = sketch_window(many, reference.layout).columns["tail"]
    assert window.n_unnamed == 2_000
    assert (window.names["m7"], window.names["n1"], window.n) == (10, 1, 3_010)


def test_rare_categories_share_bins_by_name_and_not_by_frequency() -> None:
    column = Selection((WatchedColumn("tail", "category"),))
    rng = np.random.default_rng(0)
    names = np.append(np.repeat("common", 5_000), rng.integers(0, 4_000, 5_000).astype(str))
    layout = sketch_reference(pl.DataFrame({"tail": names}), column).layout.columns["tail"]
    assert layout.names == ("common",)
    assert layout.n_bins == 1 + HASHED_BINS


def test_old_blocks_become_one_when_there_are_too_many() -> None:
    column = Selection((WatchedColumn("x", "number"),), time_column="at", block="hour")
    hours = pl.datetime_range(
        pl.datetime(2020, 1, 1), pl.datetime(2020, 8, 1), "1h", eager=True, time_zone="UTC"
    )
    rows = pl.DataFrame({"at": hours, "x": np.arange(len(hours)) % 7.0})
    whole = sketch_reference(rows[:3_000], column)
    late = sketch_window(rows[3_000:], whole.layout)
    both = whole.merge(late)
    assert both.blocks.size == module.MOST_BLOCKS
    assert both.columns["x"].n == len(hours)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        pytest.param(
            np.arange(1_000.0), ["to 257", "above 257 to 499", "above 499 to 741", "above 741"],
            id="quarters",
        ),
        pytest.param(np.arange(1_000) % 3, ["0", "1", "2", "(other values)"], id="few_values"),
        pytest.param(
            np.append(np.zeros(99_000), np.arange(1.0, 1_001.0)), ["to 0", "above 0"],
            id="nearly_all_are_zero",
        ),
    ],
)  # fmt: skip
def test_each_number_is_in_one_slice(values: NDArray[np.float64], wanted: list[str]) -> None:
    selection = Selection((WatchedColumn("x", "number"),), slices=("x",))
    layout = sketch_reference(pl.DataFrame({"x": values}), selection).layout
    assert [part.value for part in layout.slices] == [*wanted, "(missing)"]
    bins = [place for part in layout.slices for place in part.bins]
    assert sorted(bins) == list(range(layout.columns["x"].n_bins + 1))


def test_the_blocks_of_one_reading_are_bounded_too() -> None:
    """30,000 hours of eleven columns and nine slices took 1.8 GB."""
    column = Selection((WatchedColumn("x", "number"),), time_column="at", block="hour")
    first = datetime(2020, 1, 1, tzinfo=UTC)
    hours = [None, *(first + timedelta(hours=hour) for hour in range(6_000))]
    sketch = sketch_reference(pl.DataFrame({"at": hours, "x": np.arange(6_001) % 7.0}), column)
    by_block = sketch.columns["x"].by_block.sum(axis=1)
    assert sketch.blocks.size == module.MOST_BLOCKS
    assert by_block[~sketch.timed_blocks].tolist() == [1]
    assert by_block[sketch.timed_blocks].tolist() == [2_002, *[1] * 3_998]
    twice = sketch.merge(sketch)
    assert twice.columns["x"].by_block.sum(axis=1).tolist() == (2 * by_block).tolist()


def test_a_row_without_a_time_counts_in_no_day() -> None:
    rows = shop(100).with_columns(
        pl.when(pl.int_range(pl.len()) < 5).then(None).otherwise(pl.col("at")).alias("at")
    )
    sketch = sketch_reference(rows, SHOP)
    assert (~sketch.timed_blocks).sum() == 1
    assert sketch.columns["age"].by_block[~sketch.timed_blocks].sum() == 5


def test_a_stored_sketch_is_read_as_it_was() -> None:
    reference = shop_reference(700)
    for sketch in (reference, shop_day(reference), sketch_window(shop(0), reference.layout)):
        again = read_sketch(write_sketch(sketch))
        assert_same_counts(again, sketch)
        assert again.layout.digest == sketch.layout.digest
        assert again.layout.slices == sketch.layout.slices
        assert np.array_equal(again.sample.codes, sketch.sample.codes)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(
            lambda text: text.replace('"format": 1', '"format": 2'), "format 2", id="format"
        ),
        pytest.param(lambda text: text[:-20], "cannot be read", id="cut_off"),
        pytest.param(lambda _: "[]", "cannot be read", id="other_json"),
        pytest.param(lambda text: text.replace("basic", "cheap"), "digest", id="other_bins"),
    ],
)
def test_a_damaged_sketch_is_refused(damage: object, message: str) -> None:
    text = write_sketch(shop_reference(200))
    with pytest.raises(MonitoringError, match=message):
        read_sketch(damage(text))  # type: ignore[operator]
