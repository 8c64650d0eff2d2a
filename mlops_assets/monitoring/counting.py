"""Reading rows once and keeping counts, in memory bounded by a batch.

Here: `sketch_reference`, which chooses the bins from a sample and counts on them, and
`sketch_window`, which counts on the bins of its reference.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.data.batches import BatchedRows, open_batches
from mlops_assets.data.source_rows import SourceRows
from mlops_assets.errors import MonitoringError
from mlops_assets.monitoring.binning import find_bins
from mlops_assets.monitoring.layout import (
    ColumnLayout,
    Layout,
    Selection,
    plan_layout,
)
from mlops_assets.monitoring.sketch import (
    NO_TIME,
    SAMPLE_ROWS,
    ColumnCounts,
    RowSample,
    Sketch,
    bounded_names,
    newest_blocks,
    places_of,
)
from mlops_assets.monitoring.values import epoch_seconds, read_values

_BLOCK_SECONDS = {"day": 86_400, "hour": 3_600}
_PLANNING_ROWS = 200_000  # the bins' weights are then known to 5 %; counts are of all rows
_PLANNING_SLICES = 40
_THREADS = 2  # counting is NumPy and Polars, which release the interpreter

Codes = NDArray[np.int64]


def sketch_reference(
    rows: pl.DataFrame | pl.LazyFrame, selection: Selection, *, sliceable: bool = True
) -> Sketch:
    """The bins and counts of a reference.

    Args:
        rows: The training frame, with the predictions when they are watched.
        selection: What is watched.
        sliceable: A part in the middle can be read without what stands before it, as in Parquet,
            Delta and frames. False: rows are written to a scratch file first.

    Raises:
        MonitoringError: a watched column is not there, or there are no rows.
        SourceError: the rows cannot be read.
    """
    with open_batches(SourceRows(rows.lazy(), sliceable=sliceable)) as source:
        missing = [c.name for c in selection.columns if c.name not in source.schema]
        missing += [n for n in selection.slices if n not in {c.name for c in selection.columns}]
        if missing:
            raise MonitoringError(
                f"the reference has no column {', '.join(map(repr, missing))}; "
                f"it has {', '.join(source.schema)}"
            )
        layout = plan_layout(selection, _planning_sample(source, selection))
        counted = _count(source, layout)
    if counted.n_rows == 0:
        raise MonitoringError("the reference has no rows; train on some first")
    return counted


def sketch_window(
    rows: pl.DataFrame | pl.LazyFrame, layout: Layout, *, sliceable: bool = True
) -> Sketch:
    """The counts of a window on the bins of its reference. No rows are a sketch, too.

    Args:
        rows: Predictions of the window, under the names of the reference's columns.
        layout: Of the reference: `reference.layout`.
        sliceable: As in `sketch_reference`.

    Raises:
        SourceError: the rows cannot be read.
    """
    with open_batches(SourceRows(rows.lazy(), sliceable=sliceable)) as source:
        return _count(source, layout)


def _planning_sample(source: BatchedRows, selection: Selection) -> dict[str, pl.Series]:
    """Values of up to 200,000 rows, in slices spread over all of them."""
    n_rows = source.frame.select(pl.len()).collect(engine="streaming").item()
    names = {column.name for column in selection.columns}
    names |= {selection.time_column} if selection.time_column in source.schema else set()
    frame = source.frame.select(sorted(filter(None, names)))
    if n_rows <= _PLANNING_ROWS:
        sample = frame.collect(engine="streaming")
    else:
        size = _PLANNING_ROWS // _PLANNING_SLICES
        starts = np.linspace(0, n_rows - size, _PLANNING_SLICES).astype(int)
        sample = pl.concat([frame.slice(int(at), size).collect() for at in starts])
    read = partial(read_values, sample, time_column=selection.time_column)
    return {column.name: read(column=column).values for column in selection.columns}


def _count(source: BatchedRows, layout: Layout) -> Sketch:
    wanted = [*layout.columns, *([layout.time_column] if layout.time_column else [])]
    there = [name for name in dict.fromkeys(wanted) if name in source.schema]
    unknown = frozenset(source.schema) - set(wanted)
    total: Sketch | None = None
    with ThreadPoolExecutor(_THREADS) as pool:
        for batch in _batches(source, there):
            part = _sketch_batch(batch, layout, unknown, pool)
            total = part if total is None else total.merge(part)
        if total is None:
            total = _sketch_batch(
                pl.DataFrame(schema={name: source.schema[name] for name in there}),
                layout,
                unknown,
                pool,
            )
    return total


def _batches(source: BatchedRows, columns: list[str]) -> Iterator[pl.DataFrame]:
    schema = {name: source.schema[name] for name in columns}
    return BatchedRows(source.frame.select(columns), schema).batches()


def _sketch_batch(
    batch: pl.DataFrame, layout: Layout, unknown: frozenset[str], pool: ThreadPoolExecutor
) -> Sketch:
    blocks, block_of = _blocks(batch, layout)
    columns = list(layout.columns.values())
    binned = list(pool.map(partial(_bin, batch, layout), columns))
    codes = {c.column.name: found[0] for c, found in zip(columns, binned, strict=True)}
    slices = [np.isin(codes[part.column], part.bins) for part in layout.slices]
    in_slices = [np.flatnonzero(mask) for mask in slices]
    count = partial(_count_column, block_of=block_of, n_blocks=blocks.size, slices=in_slices)
    counted = pool.map(lambda pair: count(pair[0], *pair[1]), zip(columns, binned, strict=True))
    return Sketch(
        layout,
        batch.height,
        blocks,
        {c.column.name: found for c, found in zip(columns, counted, strict=True)},
        _sample(codes, blocks[block_of] if blocks.size else block_of),
        unknown,
    )


def _blocks(batch: pl.DataFrame, layout: Layout) -> tuple[Codes, Codes]:
    """The blocks of a batch, and which of them each row is in."""
    name = layout.time_column
    if name is None or name not in batch.columns or not batch[name].dtype.is_temporal():
        return np.zeros(1, dtype=np.int64), np.zeros(batch.height, dtype=np.int64)
    number = (epoch_seconds(batch[name]) // _BLOCK_SECONDS[layout.block]).cast(pl.Int64)
    own = number.fill_null(NO_TIME).to_numpy()
    blocks = newest_blocks(np.unique(own))
    return blocks, places_of(blocks, own)


def _bin(
    batch: pl.DataFrame, layout: Layout, column: ColumnLayout
) -> tuple[Codes, ColumnCounts, str | None]:
    """The judged bin of each row, and the counts that do not depend on blocks."""
    read = read_values(batch, column.column, layout.time_column)
    empty = np.zeros((0, 0), dtype=np.int64)
    if column.is_number:
        codes, counts = _bin_numbers(read.values, column, ColumnCounts(empty, empty))
    else:
        codes, counts = _bin_categories(read.values, column, ColumnCounts(empty, empty))
    return codes, counts, read.problem


def _bin_numbers(
    found: pl.Series, column: ColumnLayout, counts: ColumnCounts
) -> tuple[Codes, ColumnCounts]:
    there = found.is_not_null().to_numpy()
    values = found.to_numpy() if there.all() else found.drop_nulls().to_numpy()
    fine = find_bins(column.edges, values)
    n_fine = column.edges.size + 1
    mean = float(values.mean()) if values.size else 0.0
    codes = np.full(found.len(), column.n_bins, dtype=np.int64)
    codes[there] = column.judged[fine]
    return codes, ColumnCounts(
        counts.by_block,
        counts.by_slice,
        fine=np.bincount(fine, minlength=n_fine),
        sums=np.bincount(fine, weights=values, minlength=n_fine).astype(np.float64),
        mean=mean,
        squares=float(np.square(values - mean).sum()),
    )


def _bin_categories(
    found: pl.Series, column: ColumnLayout, counts: ColumnCounts
) -> tuple[Codes, ColumnCounts]:
    tally = found.rename("name").drop_nulls().value_counts(sort=True)
    names = tally["name"].to_list()
    bins = [column.bin_of(name) for name in names]
    codes = found.replace_strict(
        pl.Series(names, dtype=pl.String),
        pl.Series(bins, dtype=pl.Int64),
        default=column.n_bins,
        return_dtype=pl.Int64,
    ).fill_null(column.n_bins)
    kept, n_dropped = bounded_names(column, dict(zip(names, tally["count"], strict=True)))
    return codes.to_numpy(), ColumnCounts(
        counts.by_block, counts.by_slice, names=kept, n_unnamed=n_dropped
    )


def _count_column(
    column: ColumnLayout,
    codes: Codes,
    counts: ColumnCounts,
    problem: str | None,
    *,
    block_of: Codes,
    n_blocks: int,
    slices: list[Codes],
) -> ColumnCounts:
    n_bins = column.n_bins + 1
    cells = block_of * n_bins + codes
    shape = (n_blocks, n_bins)
    size = n_blocks * n_bins
    by_slice = np.zeros((len(slices), *shape), dtype=np.int64)
    for position, rows in enumerate(slices):
        by_slice[position] = np.bincount(cells[rows], minlength=size).reshape(shape)
    return ColumnCounts(
        by_block=np.bincount(cells, minlength=size).reshape(shape),
        by_slice=by_slice,
        fine=counts.fine,
        sums=counts.sums,
        mean=counts.mean,
        squares=counts.squares,
        names=counts.names,
        n_unnamed=counts.n_unnamed,
        problem=problem,
    )


def _sample(codes: dict[str, Codes], blocks: Codes) -> RowSample:
    """Rows by random keys, which the content decides: the same rows, the same sample."""
    n = blocks.size
    hasher = hashlib.sha256()
    for column in codes.values():
        hasher.update(np.bincount(column).tobytes() + column[:1_000].tobytes())
    rng = np.random.default_rng(list(hasher.digest()))
    keys = rng.random(n)
    chosen = np.argpartition(keys, SAMPLE_ROWS)[:SAMPLE_ROWS] if n > SAMPLE_ROWS else np.arange(n)
    chosen = chosen[np.argsort(keys[chosen])]
    stacked = [column[chosen].astype(np.uint8) for column in codes.values()]
    matrix = np.stack(stacked, axis=1) if stacked else np.zeros((chosen.size, 0), dtype=np.uint8)
    return RowSample(keys[chosen], blocks[chosen], matrix)
