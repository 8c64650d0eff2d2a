"""What is measured of an arm, as sums: a million requests take as much room as ten.

The unit of the statistics is the sticky key where there is one: requests of one caller resemble
each other, so what counts is how many callers there were. Each sum says how its values gather in
units; `Moments.of`, `Histogram.of` and `Counts.of` make them from values and the unit of each.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from mlops_assets.rollout.record import Record

LATENCY_EDGES_SECONDS: tuple[float, ...] = tuple(
    float(f"{0.0001 * 2 ** (step / 8):.6g}") for step in range(161)
)
"""Upper bounds of latency bins where we choose them: 0.1 ms to 105 s, each 9 % above the former."""


class Moments(Record):
    """Sums over values whose mean is judged: error flags, scores, losses.

    With m the number of values of a unit and s their sum:

    Attributes:
        n: Values, Σ m.
        n_units: Units.
        total: Sum of the values, Σ s.
        size_squares: Σ m².
        cross: Σ m·s.
        squares: Σ s².
    """

    kind: Literal["moments"] = "moments"
    n: int = Field(ge=0)
    n_units: int = Field(ge=0)
    total: float
    size_squares: float = Field(ge=0)
    cross: float
    squares: float = Field(ge=0)

    @staticmethod
    def of(values: ArrayLike, units: ArrayLike | None = None) -> "Moments":
        """The sums of some values.

        Args:
            values: Numbers; none may be missing.
            units: The unit of each value; None makes each value a unit.

        >>> Moments.of([0, 1, 1], ["ann", "bob", "bob"]).squares
        4.0
        """
        array = np.asarray(values, dtype=np.float64)
        if units is None:
            return Moments.of_units(np.ones(array.size), array)
        _, at = np.unique(np.asarray(units), return_inverse=True)
        return Moments.of_units(np.bincount(at), np.bincount(at, weights=array))

    @staticmethod
    def of_units(sizes: ArrayLike, sums: ArrayLike) -> "Moments":
        """The sums, from the number of values of each unit and their sum."""
        m, s = np.asarray(sizes, dtype=np.float64), np.asarray(sums, dtype=np.float64)
        return Moments(
            n=int(m.sum()),
            n_units=m.size,
            total=float(s.sum()),
            size_squares=float(m @ m),
            cross=float(m @ s),
            squares=float(s @ s),
        )

    @staticmethod
    def of_flags(n: int, n_true: int) -> "Moments":
        """The sums of yes and no where each request is a unit, as counters tell.

        >>> Moments.of_flags(200, 3).total
        3.0
        """
        return Moments(n=n, n_units=n, total=n_true, size_squares=n, cross=n_true, squares=n_true)

    @property
    def mean(self) -> float | None:
        """Mean of the values; None without any."""
        return self.total / self.n if self.n else None


class Histogram(Record):
    """Counts of values in fixed bins, for a quantile.

    Attributes:
        edges: Upper bounds of all bins but the last, growing, each within its bin.
        counts: Values in each bin; one more than edges, the last is for what lies above.
        n_units: Units.
        design_effect: How many values weigh as one because units repeat, ≥ 1. 1: each is a unit.
    """

    kind: Literal["histogram"] = "histogram"
    edges: tuple[float, ...] = Field(min_length=1)
    counts: tuple[int, ...]
    n_units: int = Field(ge=0)
    design_effect: float = Field(1.0, ge=1)

    @staticmethod
    def of(
        values: ArrayLike,
        units: ArrayLike | None = None,
        *,
        edges: Sequence[float] = LATENCY_EDGES_SECONDS,
    ) -> "Histogram":
        """The histogram of some values."""
        array = np.asarray(values, dtype=np.float64)
        at = np.searchsorted(np.asarray(edges), array, side="left")
        counts = np.bincount(at, minlength=len(edges) + 1)
        n_units = array.size if units is None else np.unique(np.asarray(units)).size
        return Histogram(
            edges=tuple(edges),
            counts=tuple(int(count) for count in counts),
            n_units=n_units,
            design_effect=_tail_effect(array, units),
        )

    @property
    def n(self) -> int:
        """Number of values."""
        return sum(self.counts)


class Counts(Record):
    """How often each class, or each range of the score, was predicted.

    Attributes:
        counts: Number of predictions by class or range; the ranges are fixed beforehand.
        n_units: Units.
        design_effect: As in `Histogram`.
    """

    kind: Literal["counts"] = "counts"
    counts: Mapping[str, int]
    n_units: int = Field(ge=0)
    design_effect: float = Field(1.0, ge=1)

    @staticmethod
    def of(labels: Sequence[str], units: ArrayLike | None = None) -> "Counts":
        """The counts of some labels."""
        array = np.asarray(labels, dtype=np.str_)
        names, found = np.unique(array, return_counts=True)
        n_units = array.size if units is None else np.unique(np.asarray(units)).size
        effects = [design_effect(Moments.of(array == name, units)) for name in names]
        return Counts(
            counts={str(name): int(n) for name, n in zip(names, found, strict=True)},
            n_units=n_units,
            design_effect=max([1.0, *effects]) if units is not None else 1.0,
        )

    @property
    def n(self) -> int:
        """Number of predictions."""
        return sum(self.counts.values())


Measure = Annotated[Moments | Histogram | Counts, Field(discriminator="kind")]


def design_effect(sums: Moments) -> float:
    """How many values weigh as one: variance of the sum over that of as many single requests.

    1 when each value is a unit of its own. It is estimated from the spread of the units and drawn
    towards its largest value, that of units which are all alike inside, by the weight of one
    average unit; so without any spread to estimate from it is the largest.

    Source: Kish (1965), Survey Sampling, section 8.2; in use for exact intervals since Korn and
    Graubard (1998), Survey Methodology 24:193.

    >>> design_effect(Moments.of_flags(100, 7))
    1.0
    >>> design_effect(Moments.of([1, 1, 1, 0, 0, 0], [1, 1, 1, 2, 2, 2]))
    3.0
    """
    if sums.n == 0 or sums.n_units == sums.n:
        return 1.0
    p = sums.total / sums.n
    largest = sums.size_squares / sums.n
    clustered = sums.squares - 2 * p * sums.cross + p * p * sums.size_squares
    single = sums.total - 2 * p * sums.total + p * p * sums.n  # of flags: n·p·(1 − p)
    prior = sums.n / sums.n_units / 4  # one average unit of flags at their widest, p = 1/2
    effect = (max(clustered, 0.0) + prior * largest) / (max(single, 0.0) + prior)
    return float(min(max(effect, 1.0), max(largest, 1.0)))


def _tail_effect(values: NDArray[np.float64], units: ArrayLike | None) -> float:
    """The larger design effect of being above the median and above the 95 % quantile."""
    if units is None or values.size == 0:
        return 1.0
    limits = np.quantile(values, [0.5, 0.95])
    return max(1.0, *(design_effect(Moments.of(values > limit, units)) for limit in limits))
