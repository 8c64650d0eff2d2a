"""Weights that follow what an A/B test learns: Thompson sampling.

Each version gets the share of requests that is the chance of its being the better one. Who is worse
loses less that way than an even split would cost, and the answer takes longer.
"""

import numpy as np

from mlops_assets.rollout.measures import Moments
from mlops_assets.rollout.sequential import FEWEST_UNITS, mean_variance

_DRAWS = 10_000


def challenger_percent(
    challenger: Moments,
    stable: Moments,
    *,
    better: str,
    minimum_percent: int,
    rng: np.random.Generator,
) -> int | None:
    """The challenger's share: the chance that its mean is the better one, in whole percent.

    None while an arm has fewer than 10 units: nothing is learned yet. Each mean is drawn from a
    normal distribution around its estimate, wide as the spread between units tells.

    Args:
        challenger: Rewards of the challenger.
        stable: Rewards of the stable version.
        better: `higher` or `lower`.
        minimum_percent: Smallest share of either version.
        rng: Where the draws come from.

    Source: Thompson (1933), Biometrika 25:285; with normal draws Agrawal and Goyal (2017), JACM
    64:30.

    >>> rng = np.random.default_rng(0)
    >>> good, fair = Moments.of_flags(500, 300), Moments.of_flags(500, 250)
    >>> challenger_percent(good, fair, better="higher", minimum_percent=10, rng=rng)
    90
    >>> challenger_percent(good, good, better="higher", minimum_percent=10, rng=rng)
    50
    """
    if min(challenger.n_units, stable.n_units) < FEWEST_UNITS:
        return None
    one, other = (
        rng.normal(arm.total / arm.n, np.sqrt(mean_variance(arm)), _DRAWS)
        for arm in (challenger, stable)
    )
    wins = (one > other) if better == "higher" else (one < other)
    ties = one == other
    share = 100 * float(np.mean(wins + ties / 2))
    return round(min(max(share, minimum_percent), 100 - minimum_percent))
