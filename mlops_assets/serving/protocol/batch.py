"""Rows as the model takes them: one column for each feature, whichever protocol brought them.

Here: the values that a feature may have, and how decoded JSON or tensor values become columns.
Not here: how requests are laid out (`v1.py`, `v2.py`) and how columns are fed to a model.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.serving.protocol.refusal import RequestError, shown

LARGEST = float(np.finfo(np.float32).max)
"""Models compute in 32 bits; scikit-learn refuses what does not fit, and so do we."""
FEW = 64
"""Up to so many values Python is quicker than numpy: it keeps the interpreter's lock, for which a
thread of the server may wait, and getting it back costs more than the computation."""


Row = Sequence[Any]


class Batch(msgspec.Struct, frozen=True):
    """Columns of equal length, in the order of the model's features.

    Numbers and booleans are float64 with NaN where missing; categories are objects, `str` or None.
    Cutting rows into 30 columns and joining those again takes longer than the model itself, so a
    batch keeps the form in which it came: columns or rows.

    Attributes:
        n_rows: Number of rows.
        rows: Rows of values, each of its feature's kind, when they came so.
        fields: The features, for rows.
    """

    n_rows: int
    _columns: tuple[NDArray[Any], ...] | None = None
    rows: list[Row] | None = None
    fields: Sequence[FeatureField] = ()

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        """The columns."""
        if self._columns is not None:
            return self._columns
        if self.rows is not None:
            pairs = zip(self.fields, zip(*self.rows, strict=True), strict=True)
            return tuple(build_column(field, values, field.name) for field, values in pairs)
        return ()


class Answer(msgspec.Struct, frozen=True):
    """What a model says about a batch.

    Attributes:
        labels: One value for each row: the class, or the number of a regression.
        probabilities: Rows by classes; None for a regression.
    """

    labels: list[Any]
    probabilities: NDArray[Any] | None


def plain_rows_type(features: Sequence[FeatureField]) -> Any:
    """The type of rows as most callers send them, for msgspec: each value of its feature's kind.

    msgspec counts and compares at a tenth of what Python or numpy take for it. Rows of numbers are
    lists, since those become an array: a tuple takes the decoder twice as long.
    """
    number = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
    types: dict[str, Any] = {"number": number | None, "category": str | None}
    row: Any = tuple[tuple(types.get(field.kind, bool | None) for field in features)]  # type: ignore[misc]
    if all(field.kind == "number" for field in features):
        length = msgspec.Meta(min_length=len(features), max_length=len(features))
        row = Annotated[list[number | None], length]
    return Annotated[list[row], msgspec.Meta(min_length=1)]


def build_column(field: FeatureField, values: Sequence[Any], where: str) -> NDArray[Any]:
    """Values of one feature as its column.

    Args:
        field: The feature.
        values: JSON values, null as None.
        where: Names the column in a refusal; `{row}` in it stands for the row. It is no format:
            callers choose the names of tensors.

    Raises:
        RequestError: 400, a value is none of the feature's kind.
    """
    if field.kind == "category":
        return _categories(field, values, where)
    try:
        column = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        row = next(i for i, value in enumerate(values) if not _is_number(value))
        raise _wrong(field, values[row], where.replace("{row}", str(row))) from error
    if column.ndim > 1:  # each value is a list, and all are equally long
        raise _wrong(field, values[0], where.replace("{row}", "0"))
    return check_numbers(field, column, where)


def check_numbers(field: FeatureField, column: NDArray[Any], where: str) -> NDArray[Any]:
    """The column, if every value is missing or fits; booleans must be 0 or 1.

    Raises:
        RequestError: 400, a value is infinite, beyond 32 bits, or no boolean.
    """
    wrong = np.abs(column) > LARGEST  # a missing value compares false
    if field.kind == "boolean":
        wrong |= (column != 0) & (column != 1) & ~np.isnan(column)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise _wrong(field, float(column[row]), where.replace("{row}", str(row)))
    return column


def require_answers(numbers: NDArray[Any], batch: Batch) -> None:
    """Refuse a batch with a row to which the model has no number to say.

    Raises:
        RequestError: names the first such row. 400: a value is missing in it, which the model does
            not take. 500: nothing is missing, so it is the model's fault.
    """
    finite = np.isfinite(numbers)
    if finite.all():
        return
    row = int(np.argmin(finite.reshape(len(numbers), -1).all(axis=1)))
    if any(_is_missing(column[row]) for column in batch.columns):
        raise RequestError(400, f"row {row}: expected no missing value, which this model refuses")
    raise RequestError(500, f"row {row}: the model's answer is no number")


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _categories(field: FeatureField, values: Sequence[Any], where: str) -> NDArray[Any]:
    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        if value is None or type(value) is str:
            column[row] = value
        elif isinstance(value, bool | int) or (isinstance(value, float) and value.is_integer()):
            column[row] = category_text(value)
        else:
            raise _wrong(field, value, where.replace("{row}", str(row)))
    return column


def category_text(value: str | float | bool) -> str:
    """A category as the text by which the model knows it.

    >>> category_text(3.0), category_text(True), category_text("a")
    ('3', 'true', 'a')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else str(int(value))


def _is_number(value: Any) -> bool:
    try:
        float(value if value is not None else 0.0)
    except (TypeError, ValueError, OverflowError):
        return False
    return not isinstance(value, str | list | dict)


def expected(field: FeatureField) -> str:
    """What a feature takes, in words."""
    return {
        "number": f"a number of at most {LARGEST:.1e} or null",
        "category": "text, a whole number, a boolean or null",
        "boolean": "true, false or null",
    }[field.kind]


def _wrong(field: FeatureField, value: object, where: str) -> RequestError:
    return RequestError(400, f"{where}: expected {expected(field)}, found {shown(value)}")
