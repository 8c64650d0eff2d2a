"""What every source answers with: lazy rows and facts about where they come from."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True, slots=True)
class SourceRows:
    """The rows of a source, not yet read.

    Attributes:
        frame: The rows in source order, columns typed as the source types them (CSV: inferred over
            the whole file).
        facts: What a reader of the metadata should know, such as `{"simulated": "yes, seed 0"}`.
        as_text: Sources of text only (CSV): the same rows with the named columns left as text, so
            that values that do not fit a contract can be shown as they stand in the file.
    """

    frame: pl.LazyFrame
    facts: dict[str, str] = field(default_factory=dict)
    as_text: Callable[[Collection[str]], pl.LazyFrame] | None = None
