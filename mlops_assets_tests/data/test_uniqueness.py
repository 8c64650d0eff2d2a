import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.data.uniqueness import SeenKeys

Row = tuple[int | None, str | None]


def all_of(rows: pl.DataFrame) -> pl.Series:
    return pl.repeat(True, len(rows), dtype=pl.Boolean, eager=True)


def marks(rows: list[Row], sizes: list[int]) -> list[bool]:
    frame = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.String}, orient="row")
    seen, found, at = SeenKeys(["a", "b"]), [], 0
    for size in [*sizes, len(rows)]:
        batch = frame.slice(at, size)
        found += seen.mark_repeated(batch, all_of(batch)).to_list()
        at += size
    return found


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(
        st.tuples(st.none() | st.integers(0, 3), st.none() | st.sampled_from("xy")), max_size=30
    ),
    sizes=st.lists(st.integers(0, 6), max_size=8),
)
def test_the_first_of_equal_rows_is_kept_in_any_batches(rows: list[Row], sizes: list[int]) -> None:
    expected = [None not in row and row in rows[:place] for place, row in enumerate(rows)]
    assert marks(rows, sizes) == expected


def test_rows_that_do_not_count_are_no_first() -> None:
    seen = SeenKeys(["a"])
    batch = pl.DataFrame({"a": [1, 1, 2]})
    assert seen.mark_repeated(batch, pl.Series([False, True, True])).to_list() == [False] * 3
    assert seen.mark_repeated(batch.head(1), all_of(batch.head(1))).to_list() == [True]


def test_half_a_million_keys_do_not_collide() -> None:
    seen = SeenKeys(["a"])
    for start in range(0, 500_000, 50_000):
        batch = pl.DataFrame({"a": pl.int_range(start, start + 50_000, eager=True)})
        assert not seen.mark_repeated(batch, all_of(batch)).any()
