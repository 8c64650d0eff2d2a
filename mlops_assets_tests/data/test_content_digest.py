import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.data.content_digest import ContentDigest, digest_of_parts

ALL_TYPES = pl.DataFrame(
    {
        "integer": [1, None, -3, 4],
        "number": [1.5, float("nan"), None, -0.0],
        "text": ["x", None, "", "éz"],
        "boolean": [True, None, False, True],
        "date": [date(2013, 1, 1), None, date(1969, 1, 1), None],
        "datetime": [datetime(2013, 1, 1, tzinfo=UTC), None, None, None],
        "list": [[1, None], [], None, [2, 3]],
        "texts": [["a", "b"], ["ab"], None, []],
        "struct": [{"a": 1, "b": "x"}, None, {"a": None, "b": None}, {"a": 3, "b": ""}],
        "bytes": [b"1", None, b"", b"22"],
        "decimal": [Decimal("1.10"), None, Decimal("3"), None],
        "nothing": pl.Series([None] * 4, dtype=pl.String),
    }
)


def digest(rows: pl.DataFrame, sizes: list[int] | None = None) -> str:
    content, at = ContentDigest(rows.schema), 0
    for size in [*(sizes or []), len(rows)]:
        content.update(rows.slice(at, size))
        at += size
    return content.hexdigest()


@settings(deadline=None, max_examples=25)
@given(sizes=st.lists(st.integers(0, 3), max_size=6))
def test_the_digest_does_not_depend_on_the_batches(sizes: list[int]) -> None:
    assert digest(ALL_TYPES, sizes) == digest(ALL_TYPES)


@settings(deadline=None, max_examples=25)
@given(
    rows=st.lists(
        st.tuples(
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.floats(),
            st.none() | st.text(max_size=5),
        ),
        max_size=20,
    ),
    sizes=st.lists(st.integers(0, 7), max_size=5),
)
def test_any_values_in_any_batches_give_one_digest(rows: list[Any], sizes: list[int]) -> None:
    frame = pl.DataFrame(
        rows, schema={"i": pl.Int64, "f": pl.Float64, "s": pl.String}, orient="row"
    )
    assert digest(frame, sizes) == digest(frame)
    assert digest(frame) == digest(pl.concat([frame.head(2), frame.slice(2)], rechunk=False))


@pytest.mark.parametrize("column", ALL_TYPES.columns)
def test_every_change_of_a_value_changes_the_digest(column: str) -> None:
    one = ALL_TYPES.select(column)
    others = [one.reverse(), one.head(3), one.rename({column: "other"})]
    others.append(
        one[[0, 0, 2, 3]] if column != "nothing" else one.select(pl.lit("").alias(column))
    )
    digests = [digest(one), *(digest(other) for other in others if not other.equals(one))]
    assert len(set(digests)) == len(digests)


def test_where_texts_end_counts() -> None:
    assert digest(pl.DataFrame({"s": ["ab", "c"]})) != digest(pl.DataFrame({"s": ["a", "bc"]}))
    assert digest(pl.DataFrame({"s": [None, ""]})) != digest(pl.DataFrame({"s": ["", None]}))


def test_types_count() -> None:
    assert digest(pl.DataFrame({"i": [1]})) != digest(pl.DataFrame({"i": [1]}, {"i": pl.Int32}))


def test_every_nan_is_the_same() -> None:
    other = np.array([0x7FF8000000000001], dtype="<u8").view("<f8")
    assert digest(pl.DataFrame({"f": other})) == digest(pl.DataFrame({"f": [float("nan")]}))


def test_bytes_under_a_missing_value_do_not_count() -> None:
    hidden = pl.DataFrame({"s": ["a", "b"]}).with_columns(
        pl.when(pl.col("s") == "a").then(pl.col("s"))
    )
    assert digest(hidden) == digest(pl.DataFrame({"s": ["a", None]}))


def test_another_process_gives_the_same_digest() -> None:
    code = (
        "from mlops_assets_tests.data.test_content_digest import ALL_TYPES, digest\n"
        "print(digest(ALL_TYPES))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == digest(ALL_TYPES)


def test_the_format_of_the_digest_stays() -> None:
    """From this code when it was written: a change makes every stored dataset look new."""
    rows = pl.DataFrame({"a": [1, None], "b": ["x", ""]})
    assert digest(rows) == "caf6d8bca10ad67c2d6fea6c3887939f0c5b0af4a6253e84675cefe08cc56834"


def test_the_order_of_partitions_does_not_count() -> None:
    assert digest_of_parts({"a": "1", "b": "2"}) == digest_of_parts({"b": "2", "a": "1"})
    assert digest_of_parts({"a": "1", "b": "2"}) != digest_of_parts({"a": "2", "b": "1"})
