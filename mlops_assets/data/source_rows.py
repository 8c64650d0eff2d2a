"""What every source answers with: lazy rows and facts about where they come from."""

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True, slots=True)
class SourceRows:
    """The rows of a source, not yet read.

    Attributes:
        frame: The rows in source order.
        facts: What a reader of the metadata should know, such as `{"simulated": "yes, seed 0"}`.
        is_text: All columns are text still, as they stand in a CSV file, so that a value that does
            not fit its contract can be shown. `typed_rows` infers types over all values.
        sliceable: A part in the middle can be read without what stands before it (Parquet).
        is_unchanged: Whether the source is still what it was when it was opened.
    """

    frame: pl.LazyFrame
    facts: dict[str, str] = field(default_factory=dict)
    is_text: bool = False
    sliceable: bool = False
    is_unchanged: Callable[[], bool] | None = None
