"""The data half of a model document: source, contract, features, target and split."""

from datetime import date
from typing import Literal

from pydantic import Field, JsonValue, model_validator

from mlops_assets.spec.base import Document, Duration, FieldProblem, ImportPath, refusal

ColumnType = Literal["string", "integer", "number", "boolean", "datetime", "date"]
DatetimePart = Literal["year", "month", "day", "weekday", "hour", "minute", "day_of_year"]
Task = Literal["binary", "multiclass", "regression"]

_CATEGORY_TYPES: dict[str, tuple[str, type]] = {
    "string": (
        "text, as the type says; in quotes, or YAML makes numbers, true and false of it",
        str,
    ),
    "integer": ("a whole number, as the type says", int),
    "number": ("a whole number, as the type says", int),
    "boolean": ("true or false, as the type says", bool),
}


class SqlSpec(Document):
    """Rows of an SQL query."""

    url_variable: str
    """Environment variable that holds the SQLAlchemy URL; the URL itself never stands here."""
    query: str
    """The SELECT statement. Its column names are the dataset's."""


class PythonSourceSpec(Document):
    """Rows that a Python function returns."""

    function: ImportPath
    """A function that returns a Polars frame or lazy frame; imported in the step, not at load."""
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of the function."""


class PartitionsSpec(Document):
    """Cuts the dataset by the time column, so that parts load and backfill on their own."""

    every: Literal["day", "week", "month"]
    """Length of one partition."""
    start: date = Field(strict=False)
    """First day of the first partition; with month the first of one."""

    @model_validator(mode="after")
    def _months_begin_on_the_first(self) -> "PartitionsSpec":
        if self.every == "month" and self.start.day != 1:
            allowed = "the first day of a month with every: month"
            raise refusal([FieldProblem(("start",), str(self.start), allowed)])
        return self


class SourceSpec(Document):
    """Where the rows come from. Exactly one of path, sql and python."""

    path: str | None = None
    """File, glob, folder or URL (through fsspec). Relative to the document's folder."""
    format: Literal["csv", "parquet", "delta"] | None = None
    """Format at `path`; by default told by its ending (a folder with `_delta_log` is delta)."""
    separator: str | None = Field(None, min_length=1, max_length=1)
    """Column separator of CSV; by default a comma."""
    null_values: list[str] = Field(default_factory=lambda: ["", "NA"])
    """Texts of CSV that mean that a value is missing."""
    sql: SqlSpec | None = None
    """An SQL query instead of a path."""
    python: PythonSourceSpec | None = None
    """A Python function instead of a path."""
    partitions: PartitionsSpec | None = None
    """Partitions by the time column; by default the dataset is one piece."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "SourceSpec":
        given = [name for name in ("path", "sql", "python") if getattr(self, name) is not None]
        if len(given) != 1:
            found = ", ".join(given) or None
            raise refusal([FieldProblem((), found, "exactly one of path, sql and python")])
        return self


class ColumnContract(Document):
    """What the values of one column must satisfy."""

    type: ColumnType
    """Type of the values. Text that cannot be read as this type is a violation."""
    nullable: bool = False
    """Whether values may be missing."""
    minimum: float | None = None
    """Smallest allowed number."""
    maximum: float | None = None
    """Largest allowed number."""
    categories: list[str | int | bool] | None = None
    """The allowed values; by default any."""
    unique: bool = False
    """Whether no value may stand twice."""
    datetime_format: str | None = None
    """Format of datetimes and dates in text (strftime); by default ISO 8601."""
    description: str = ""
    """What the column means."""

    @model_validator(mode="after")
    def _rules_fit_type(self) -> "ColumnContract":
        problems = [*self._range_problems(), *self._category_problems()]
        if self.datetime_format is not None and self.type not in ("datetime", "date"):
            allowed = f"only with type datetime or date, not {self.type}"
            problems.append(FieldProblem(("datetime_format",), self.datetime_format, allowed))
        if problems:
            raise refusal(problems)
        return self

    def _range_problems(self) -> list[FieldProblem]:
        problems = []
        for name in ("minimum", "maximum"):
            value = getattr(self, name)
            if value is not None and self.type not in ("integer", "number"):
                allowed = f"only with type integer or number, not {self.type}"
                problems.append(FieldProblem((name,), value, allowed))
        if problems or self.minimum is None or self.maximum is None:
            return problems
        if self.minimum > self.maximum:
            allowed = f"at most the maximum, {self.maximum:g}"
            problems.append(FieldProblem(("minimum",), self.minimum, allowed))
        return problems

    def _category_problems(self) -> list[FieldProblem]:
        if self.categories is None:
            return []
        if not self.categories:
            return [FieldProblem(("categories",), [], "at least one value")]
        words, kind = _CATEGORY_TYPES.get(self.type, (f"none with type {self.type}", None))
        return [
            FieldProblem(("categories", position), value, words)
            for position, value in enumerate(self.categories)
            if type(value) is not kind
        ]


class ContractSpec(Document):
    """What the dataset must satisfy before anything is trained on it."""

    columns: dict[str, ColumnContract] = Field(default_factory=dict)
    """Contract of each column, by name. Other columns pass through unchecked."""
    unique_together: list[list[str]] = Field(default_factory=list)
    """Groups of columns whose values together may stand only once."""
    allowed_violation_ratio: float = Field(0.0, ge=0, le=1)
    """Share of rows that may break the contract before the check fails."""
    on_violation: Literal["fail", "quarantine"] = "fail"
    """fail: the check blocks all that follows. quarantine: bad rows are kept beside the snapshot
    with the reason, the rest goes on while the share of bad rows is allowed."""
    maximum_age: Duration | None = None
    """How old the newest row may be by the time column; by default any age."""


class FeaturesSpec(Document):
    """Which columns the model sees. Callers of the predictor send these columns."""

    numeric: list[str] = Field(default_factory=list)
    """Columns used as numbers."""
    categorical: list[str] = Field(default_factory=list)
    """Columns used as categories; missing and unknown ones are handled by the model."""
    boolean: list[str] = Field(default_factory=list)
    """Columns used as yes or no."""
    datetime: dict[str, list[DatetimePart]] = Field(default_factory=dict)
    """Datetime columns and the parts of each to use, as numeric features `<column>_<part>`."""
    function: ImportPath | None = None
    """A function from lazy frame to lazy frame that adds columns before the selection. It must
    compute each row from that row alone, or it would leak across the split."""
    maximum_single_column_score: float = Field(0.98, gt=0.5, le=1)
    """A feature that alone predicts the target this well (ROC-AUC, or R² for regression) gives it
    away and blocks training."""

    @model_validator(mode="after")
    def _some_and_once(self) -> "FeaturesSpec":
        if not self.source_columns:
            raise refusal([FieldProblem((), None, "at least one feature")])
        seen: set[str] = set()
        problems = []
        for field in ("numeric", "categorical", "boolean", "datetime"):
            for position, name in enumerate(getattr(self, field)):
                at = name if field == "datetime" else position
                if name in seen:
                    problems.append(FieldProblem((field, at), name, "each column once"))
                seen.add(name)
        if problems:
            raise refusal(problems)
        return self

    @property
    def source_columns(self) -> list[str]:
        """Columns read from the dataset (or made by `function`), in document order."""
        return [*self.numeric, *self.categorical, *self.boolean, *self.datetime]


class TargetSpec(Document):
    """What the model predicts."""

    column: str
    """Column that holds the answer. Rows without it are left out and counted."""
    task: Task
    """binary: yes or no. multiclass: one of several classes. regression: a number."""
    positive: str | int | bool | None = None
    """binary: the value that means yes; every other value means no. By default the larger of the
    two values that occur."""

    @model_validator(mode="after")
    def _positive_is_binary(self) -> "TargetSpec":
        if self.positive is not None and self.task != "binary":
            allowed = f"only with task binary, not {self.task}"
            raise refusal([FieldProblem(("positive",), self.positive, allowed)])
        return self


class SplitSpec(Document):
    """How rows are split into training and validation. A row keeps its side for ever, so that no
    champion was trained on a row that judges its challenger."""

    method: Literal["time", "stratified", "grouped"] | None = None
    """time: the newest rows validate. stratified: by a hash of the row's id, checked to keep the
    shares of the classes. grouped: by a hash of the group, so that none stands on both sides.
    Default: time with a time column, else grouped with an entity key, else stratified."""
    validation_ratio: float = Field(0.2, gt=0, lt=1)
    """Share of rows (or groups) that validate."""
    validation_window: Duration | None = None
    """time only: the length of the newest part that validates, instead of the ratio."""
    group: str | None = None
    """grouped: the column that names the group; by default the entity key."""
    id_columns: list[str] = Field(default_factory=list)
    """stratified: the columns that identify a row; default: all features and target."""
    salt: str = "0"
    """Changes which rows validate. A champion split with another salt is not compared on rows that
    it was trained on; they are left out."""
