"""Which side of the split a row stands on, for ever: `SplitRule`.

Here: the rule, how it is made from a document and a frame, how it is applied, and which rows may
judge two models that were trained under different rules.
Not here: the columns that rules read (`features.py` puts them into the frame), and whether the
sides that came out can be trained on (`balance.py`).

A rule is small and complete: written as a tag of a registered version, it says years later which
rows that version was trained on. Rows are told apart by SHA-256 of their id, not by Polars' own
hash, which may change between its versions.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mlops_assets.errors import FeatureError
from mlops_assets.spec import ModelSpec

TIME = "__time"
ID_PREFIX = "__id_"


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


def id_columns(spec: ModelSpec) -> list[str]:
    """The columns whose values decide a row's side; none when time does."""
    if spec.split_method == "time":
        return []
    if spec.split_method == "grouped":
        return [str(spec.split.group or spec.entity_key)]
    return spec.split.id_columns or [*spec.features.source_columns, spec.target.column]


def make_rule(spec: ModelSpec, frame: pl.DataFrame) -> SplitRule:
    """The rule that a document declares, with the cut that this frame's newest rows give it.

    Raises:
        FeatureError: all rows would stand on one side of the cut.
    """
    rule = SplitRule(
        method=spec.split_method,
        ratio=spec.split.validation_ratio,
        salt=spec.split.salt,
        id_columns=id_columns(spec),
        time_column=spec.time_column,
    )
    if rule.method != "time":
        return rule
    return rule.model_copy(update={"cut_at": _cut(spec, frame[TIME])})


def _cut(spec: ModelSpec, times: pl.Series) -> datetime:
    """The oldest time that validates: a window back from the newest row, or by the ratio.

    Rows of the same time stay together, so the newer side may hold more than its share.
    """
    ordered = times.sort()
    window = spec.split.validation_window
    if window is not None:
        declared = f"split.validation_window {window}"
        after: datetime = ordered[-1] - window
        newer = ordered.filter(ordered > after)  # half-open, so 7d hold seven days and no more
        cut: datetime = newer[0]
    else:
        declared = f"split.validation_ratio {spec.split.validation_ratio}"
        n_training = round(ordered.len() * (1 - spec.split.validation_ratio))
        cut = ordered[min(max(n_training, 1), ordered.len() - 1)]
        if cut == ordered[0] and cut < ordered[-1]:  # most rows share the oldest time
            cut = ordered.filter(ordered > cut)[0]
    if cut <= ordered[0]:
        raise FeatureError(
            f"{declared} leaves no row of {spec.time_column} to train on: the rows run from "
            f"{ordered[0]} to {ordered[-1]} and all {ordered.len():,} would validate"
        )
    return cut.astimezone(UTC)


def sides(rule: SplitRule, frame: pl.DataFrame) -> pl.Series:
    """True for each row that validates under a rule.

    Raises:
        FeatureError: the frame lacks a column that the rule reads.
    """
    if missing := _missing(rule, frame):
        raise FeatureError(f"the split rule reads {', '.join(missing)}, which the frame lacks")
    if rule.method == "time":
        return (frame[TIME] >= rule.cut_at).alias("validates")
    fractions = _fractions(frame.select(ID_PREFIX + name for name in rule.id_columns), rule.salt)
    return pl.Series("validates", fractions < rule.ratio)


def _missing(rule: SplitRule, frame: pl.DataFrame) -> list[str]:
    if rule.method == "time":
        return [] if TIME in frame.columns else [str(rule.time_column)]
    return [name for name in rule.id_columns if ID_PREFIX + name not in frame.columns]


def _fractions(ids: pl.DataFrame, salt: str) -> NDArray[np.float64]:
    """A number in [0, 1) for each row, the same for ever: SHA-256 of salt and values.

    Each value stands with its length before it, so that no two rows of different values read the
    same; a missing value is a dash. About 1 µs a row.
    """
    parts = [
        pl.concat_str(pl.col(name).str.len_bytes(), pl.lit(":"), name).fill_null("-")
        for name in ids.columns
    ]
    texts = ids.select(pl.concat_str(parts, separator=",")).to_series().to_list()
    start = hashlib.sha256(f"{len(salt.encode())}:{salt};".encode())
    digests = bytearray()
    for text in texts:
        hashed = start.copy()
        hashed.update(text.encode())
        digests += hashed.digest()[:8]
    whole = np.frombuffer(bytes(digests), dtype=">u8")
    return (whole >> np.uint64(11)) / np.float64(2**53)  # 53 bits: exact in a double, below 1


def canonical_text(values: pl.Series) -> pl.Series:
    """Values as text that does not depend on how a source happened to type them.

    Whole numbers read the same as integer and as float, since one missing value turns a column of
    integers into floats; other floats are the decimal form of their bits, which no library's
    rounding can change; times are microseconds since 1970, UTC.

    Raises:
        FeatureError: lists, records, bytes, times of day or lengths of time.

    >>> canonical_text(pl.Series([5.0, None, -0.5])).to_list()
    ['5', None, 'f-4620693217682128896']
    """
    dtype = values.dtype
    if dtype.is_nested() or dtype in (pl.Binary, pl.Time, pl.Duration):
        raise FeatureError(f"column {values.name} of type {dtype} cannot identify a row")
    if dtype == pl.Decimal:
        values, dtype = values.cast(pl.Float64), pl.Float64()
    if dtype.is_float():
        return _float_text(values.cast(pl.Float64))
    if dtype == pl.Boolean:
        return values.replace_strict({True: "true", False: "false"}, return_dtype=pl.String)
    if dtype.is_temporal():
        values = values.cast(pl.Datetime("us")) if dtype == pl.Date else values
        return values.dt.epoch("us").cast(pl.String)
    return values.cast(pl.String)


def _float_text(values: pl.Series) -> pl.Series:
    values = values.fill_nan(None)
    numbers = values.fill_null(0.0).to_numpy() + 0.0  # -0.0 becomes 0.0
    whole = (numbers == np.trunc(numbers)) & (np.abs(numbers) < 2**53)
    integers = np.where(whole, numbers, 0).astype(np.int64)
    bits = pl.Series(numbers.view(np.int64)).cast(pl.String)
    texts = pl.select(
        pl.when(pl.Series(whole))
        .then(pl.Series(integers).cast(pl.String))
        .otherwise(pl.concat_str(pl.lit("f"), bits))
    ).to_series()
    return texts.set(values.is_null(), None).alias(values.name)


def judgeable(
    candidate: SplitRule, champion: SplitRule | None, frame: pl.DataFrame, decided_at: datetime
) -> JudgeableRows:
    """Rows dated before the decision that neither model was trained on.

    When the champion's rule cannot be applied to this frame, no row is known to be new to it, and
    all are left out.
    """
    mask = sides(candidate, frame)
    told = [f"{mask.sum():,} validate the candidate"]
    if TIME in frame.columns:
        later = mask & (frame[TIME] >= decided_at)
        if n_later := later.sum():
            told.append(f"{n_later:,} of them are not dated before {decided_at.isoformat()}")
        mask &= ~later
    if champion is not None:
        if unknown := _not_applicable(champion, candidate, frame):
            told.append(f"none is known to be new to the champion, since {unknown}")
            return JudgeableRows(pl.repeat(False, frame.height, eager=True), "; ".join(told))
        trained = mask & ~sides(champion, frame)
        if n_trained := trained.sum():
            told.append(f"the champion was trained on {n_trained:,} of them")
        mask &= ~trained
    return JudgeableRows(mask, f"{mask.sum():,} rows: {'; '.join(told)}")


def _not_applicable(champion: SplitRule, candidate: SplitRule, frame: pl.DataFrame) -> str:
    """Why the champion's rule cannot be applied to this frame; empty when it can."""
    if missing := _missing(champion, frame):
        return f"its split rule reads {', '.join(missing)}, which this frame lacks"
    if champion.method == "time" and champion.time_column != candidate.time_column:
        return (
            f"it was split by {champion.time_column}, and the time column is now "
            f"{candidate.time_column}"
        )
    return ""
