"""How often a rollout is fooled by looking at every interval, and how soon it sees real harm.

    python benchmarks/rollout_peeking.py [--rollouts 2000]

Whole rollouts are simulated, all of them at once: a canary at 10 % beside a stable version, judged
after each interval of 1,000 requests, 300 intervals long. Three judges see the same requests:

- ours: intervals that stay valid at every look (`mlops_assets/rollout/sequential.py`)
- a z-test of two shares, repeated at each look at 5 %, which is what one would write first
- fixed thresholds as Flagger has them: an interval with more than 1 % errors is a failed check, and
  the fifth failed check rolls back (`request-success-rate` 99, `threshold` 5)

Exit 1: with any kind of value, ours rolls back more than 5 % of the identical versions.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from mlops_assets.rollout.likelihood import flag_difference
from mlops_assets.rollout.measures import Histogram, Moments
from mlops_assets.rollout.sequential import (
    error_difference,
    normal_half_width,
    quantile_interval,
)

ALPHA = 0.05
N_LOOKS = 300
PER_LOOK = {"challenger": 100, "stable": 900}
FLAGGER_MOST_ERRORS, FLAGGER_CHECKS = 0.01, 5

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Judge = Callable[[Floats, Floats, Floats, Floats], Booleans]


@dataclass(frozen=True)
class Fate:
    """What became of many rollouts: the look at which each was rolled back; 0 is never."""

    rolled_back_at: NDArray[np.int64]

    @property
    def ratio(self) -> float:
        """Share that was rolled back."""
        return float((self.rolled_back_at > 0).mean())

    @property
    def looks(self) -> float:
        """Median look at which it happened, of those to which it did."""
        found = self.rolled_back_at[self.rolled_back_at > 0]
        return float(np.median(found)) if found.size else float("nan")


def ours(margin: float) -> Judge:
    """`error_difference` for many rollouts at once, with one alpha for the whole rollout."""

    def judge(n_c: Floats, s_c: Floats, n_s: Floats, s_s: Floats) -> Booleans:
        low, _ = flag_difference((n_c, s_c), (n_s, s_s), alpha_low=ALPHA / 2, alpha_high=ALPHA / 2)
        p_c, p_s = s_c / n_c, s_s / n_s
        variance = p_c * (1 - p_c) / (n_c - 1) + p_s * (1 - p_s) / (n_s - 1)
        width = normal_half_width(
            1 / np.maximum(variance, 1e-12), alpha=ALPHA / 2, effect=margin or 0.01
        )
        enough = np.minimum(np.minimum(s_c, n_c - s_c), np.minimum(s_s, n_s - s_s)) >= 40
        return np.asarray((low > margin) | (enough & (p_c - p_s - width > margin)))

    return judge


def z_test(n_c: Floats, s_c: Floats, n_s: Floats, s_s: Floats) -> Booleans:
    """Two shares with a pooled variance, one-sided at 5 %, as if this were the only look."""
    pooled = (s_c + s_s) / (n_c + n_s)
    spread = np.sqrt(np.maximum(pooled * (1 - pooled) * (1 / n_c + 1 / n_s), 1e-12))
    return np.asarray((s_c / n_c - s_s / n_s) / spread > 1.6449)


def run_errors(p_stable: float, p_challenger: float, n: int, seed: int = 0) -> dict[str, Fate]:
    """Every judge on the same requests."""
    rng = np.random.default_rng(seed)
    judges = {"margin 0": ours(0.0), "margin 0.02": ours(0.02), "z-test": z_test}
    fates = {name: np.zeros(n, dtype=np.int64) for name in (*judges, "thresholds")}
    s_c, s_s, failed = np.zeros(n), np.zeros(n), np.zeros(n)
    for look in range(1, N_LOOKS + 1):
        new = rng.binomial(PER_LOOK["challenger"], p_challenger, n)
        s_c, s_s = s_c + new, s_s + rng.binomial(PER_LOOK["stable"], p_stable, n)
        n_c = np.full(n, float(look * PER_LOOK["challenger"]))
        n_s = np.full(n, float(look * PER_LOOK["stable"]))
        failed += new / PER_LOOK["challenger"] > FLAGGER_MOST_ERRORS
        verdicts = {name: judge(n_c, s_c, n_s, s_s) for name, judge in judges.items()}
        for name, is_bad in (*verdicts.items(), ("thresholds", failed >= FLAGGER_CHECKS)):
            fates[name] = np.where((fates[name] == 0) & is_bad, look, fates[name])
    return {name: Fate(found) for name, found in fates.items()}


def run_means(n: int, seed: int = 1) -> Fate:
    """An identical version by a loss with a long tail (exponential), margin 0."""
    rng = np.random.default_rng(seed)
    sums = {arm: np.zeros((3, n)) for arm in PER_LOOK}
    fate = np.zeros(n, dtype=np.int64)
    for look in range(1, N_LOOKS + 1):
        for arm, size in PER_LOOK.items():
            values = rng.exponential(1.0, (n, size))
            sums[arm] += np.stack([np.full(n, size), values.sum(1), (values**2).sum(1)])
        means = {arm: s[1] / s[0] for arm, s in sums.items()}
        variance = sum((s[2] / s[0] - means[arm] ** 2) / (s[0] - 1) for arm, s in sums.items())
        width = normal_half_width(1 / np.asarray(variance), alpha=ALPHA, effect=0.1)
        is_bad = means["challenger"] - means["stable"] > width
        fate = np.where((fate == 0) & is_bad, look, fate)
    return Fate(fate)


def run_quantiles(n: int, factor: float = 1.0, seed: int = 2) -> Fate:
    """The 95 % quantile of latency, in bins of 9 %, margin 0: by whole bins only."""
    rng = np.random.default_rng(seed)
    fate = np.zeros(n, dtype=np.int64)
    edges = 0.001 * 2 ** (np.arange(81) / 8)
    counts = {arm: np.zeros((n, edges.size + 1)) for arm in PER_LOOK}
    shares = {arm: _bin_shares(edges, factor if arm == "challenger" else 1.0) for arm in PER_LOOK}
    for look in range(1, N_LOOKS + 1):
        for arm, size in PER_LOOK.items():
            counts[arm] += rng.multinomial(size, shares[arm], n)
        if look % 3:
            continue  # a third of the looks is enough to see it, and the bins are slow to judge
        low = _edge_at(edges, counts["challenger"], look * PER_LOOK["challenger"], side="low")
        high = _edge_at(edges, counts["stable"], look * PER_LOOK["stable"], side="high")
        fate = np.where((fate == 0) & (low > high), look, fate)
    return Fate(fate)


def _bin_shares(edges: Floats, factor: float) -> Floats:
    """Chances of the bins for a lognormal latency around 10 ms."""
    from scipy.stats import norm

    below = norm.cdf(np.log(edges / (0.01 * factor)) / 0.5)
    return np.diff(np.concatenate([[0.0], below, [1.0]]))


def _edge_at(edges: Floats, counts: Floats, n: int, *, side: str) -> Floats:
    """The end of `quantile_interval` for many histograms of n values at once."""
    probe = Histogram(
        edges=tuple(np.linspace(0, 1, 10_001)[1:]), counts=(n, *[0] * 10_000), n_units=n
    )
    share = _bound_share(probe, side)
    below = counts.cumsum(axis=1)[:, :-1] / n
    if side == "low":
        at = (below <= share).sum(axis=1) - 1
        return np.where(at >= 0, edges[np.maximum(at, 0)], 0.0)
    at = (below < share).sum(axis=1)
    return np.where(at < edges.size, edges[np.minimum(at, edges.size - 1)], np.inf)


def _bound_share(probe: Histogram, side: str) -> float:
    """The share of values that bounds the quantile, read off a histogram of evenly spread ones."""
    n = probe.n
    even = np.diff(np.floor(np.linspace(0, 1, 10_001) * n)).astype(int)
    spread = Histogram(edges=probe.edges, counts=(*even.tolist(), 0), n_units=n)
    found = quantile_interval(spread, 0.95, alpha_low=ALPHA / 2, alpha_high=ALPHA / 2)
    assert found is not None
    return found.low if side == "low" else found.high


def run_callers(n: int, *, by_caller: bool, seed: int = 3) -> Fate:
    """An identical version, where each caller keeps coming back and has a share of errors of their
    own; 40 callers on the challenger and 360 beside it."""
    rng = np.random.default_rng(seed)
    fate = np.zeros(n, dtype=np.int64)
    callers = {"challenger": 40, "stable": 360}
    shares = {arm: rng.beta(0.2, 3.8, (n, size)) for arm, size in callers.items()}
    sizes = {arm: np.zeros((n, size)) for arm, size in callers.items()}
    errors = {arm: np.zeros((n, size)) for arm, size in callers.items()}
    for look in range(1, N_LOOKS + 1):
        for arm, size in callers.items():
            new = rng.poisson(2.5, (n, size))
            sizes[arm] += new
            errors[arm] += rng.binomial(new, shares[arm])
        if look % 10:
            continue
        for at in np.flatnonzero(fate == 0):
            arms = [_moments(sizes[arm][at], errors[arm][at], by_caller) for arm in callers]
            low = error_difference(*arms, effect=0.01, alpha_low=ALPHA, alpha_high=ALPHA).low
            fate[at] = look if low > 0 else 0
    return Fate(fate)


def _moments(sizes: Floats, errors: Floats, by_caller: bool) -> Moments:
    if by_caller:
        seen = sizes > 0
        return Moments.of_units(sizes[seen], errors[seen])
    return Moments.of_flags(int(sizes.sum()), int(errors.sum()))


ERRORS = [
    ("identical, 0.5 % errors", 0.005, 0.005),
    ("identical, 2 % errors", 0.02, 0.02),
    ("better: 2 % becomes 1 %", 0.02, 0.01),
    ("2 % becomes 3 %", 0.02, 0.03),
    ("2 % becomes 4 %, just the margin", 0.02, 0.04),
    ("2 % becomes 5 %", 0.02, 0.05),
    ("2 % becomes 10 %", 0.02, 0.10),
    ("0.1 % becomes 0.9 %", 0.001, 0.009),
    ("every second request fails", 0.005, 0.5),
]


def error_rows(n: int) -> Iterator[tuple[str, dict[str, Fate]]]:
    """Every scenario of errors."""
    for position, (name, before, after) in enumerate(ERRORS):
        yield name, run_errors(before, after, n, seed=position)


def main() -> int:
    """Prints the tables; 1 when an identical version is rolled back too often."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=2000)
    n = parser.parse_args().rollouts
    began, console, worst = time.monotonic(), Console(width=130), 0.0
    judges = ("margin 0", "margin 0.02", "z-test", "thresholds")
    title = f"rolled back, and median interval of those: {n:,} rollouts of {N_LOOKS} intervals each"
    table = Table("the new version", *judges, title=title)
    for name, fates in error_rows(n):
        table.add_row(name, *(_cell(fates[judge]) for judge in judges))
        allowed = {"identical": ("margin 0", "margin 0.02"), "just": ("margin 0.02",)}
        for word, fair in allowed.items():
            if word in name:
                worst = max(worst, *(fates[judge].ratio for judge in fair))
    console.print(table)
    others = {
        "identical, a loss with a long tail": run_means(n // 4),
        "identical, 95 % quantile of latency": run_quantiles(n),
        "identical, callers unlike each other, by caller": run_callers(n // 20, by_caller=True),
    }
    alone = {"the same, as if each request were a caller": run_callers(n // 20, by_caller=False)}
    slower = {f"{f:g} times slower": run_quantiles(n // 4, factor=f) for f in (1.25, 1.5, 2, 10)}
    table = Table("the new version", "margin 0", title="other kinds of values")
    for name, fate in {**others, **alone, **slower}.items():
        table.add_row(name, _cell(fate))
    console.print(table)
    worst = max(worst, *(fate.ratio for fate in others.values()))
    console.print(
        f"worst of identical versions: {worst:.1%} (limit {ALPHA:.0%}); "
        f"{time.monotonic() - began:.0f} s"
    )
    return 0 if worst <= ALPHA else 1


def _cell(fate: Fate) -> str:
    return f"{fate.ratio:.1%}" + (f" at {fate.looks:.0f}" if fate.ratio else "")


if __name__ == "__main__":
    sys.exit(main())
