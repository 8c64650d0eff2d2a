"""Which side of the split a row stands on, for ever: `SplitRule`.

Here: the rule, how it is made from a document and a frame, how it is applied, and which rows may
judge two models that were trained under different rules.
Not here: the columns that rules read (`features.py` puts them into the frame).

A rule is small and complete: written as a tag of a registered version, it says years later which
rows that version was trained on. Rows are told apart by SHA-256 of their id, not by Polars' own
hash, which may change between its versions.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict

from mlops_assets.spec import ModelSpec


class SplitRule(BaseModel):
    """Which rows train and which validate.

    Attributes:
        method: time: rows at or after `cut_at` validate. stratified and grouped: rows whose hash of
            `salt` and `id_columns` falls into the lowest `ratio` of its range validate.
        ratio: Share of rows (or groups) that validate, as declared.
        salt: Changes which rows validate.
        id_columns: The columns that identify a row or its group; none for time.
        time_column: The time column, if the document has one.
        cut_at: time only: the oldest time that validates, aware UTC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["time", "stratified", "grouped"]
    ratio: float
    salt: str
    id_columns: list[str] = []
    time_column: str | None = None
    cut_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JudgeableRows:
    """The rows that may judge a candidate beside a champion.

    Attributes:
        mask: True for each row of the frame that may.
        reason: How many they are, and which were left out and why.
    """

    mask: pl.Series
    reason: str


def make_rule(spec: ModelSpec, frame: pl.DataFrame) -> SplitRule:
    """The rule that a document declares, with the cut that this frame's newest row gives it."""
    raise NotImplementedError


def sides(rule: SplitRule, frame: pl.DataFrame) -> pl.Series:
    """True for each row that validates under a rule."""
    raise NotImplementedError


def judgeable(
    candidate: SplitRule, champion: SplitRule | None, frame: pl.DataFrame, decided_at: datetime
) -> JudgeableRows:
    """Rows dated before the decision that neither model was trained on."""
    raise NotImplementedError
