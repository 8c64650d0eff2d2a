import numpy as np
import pytest

from mlops_assets.rollout.bandit import challenger_percent
from mlops_assets.rollout.measures import Moments


def percent(one: Moments, other: Moments, better: str = "higher", least: int = 10) -> int | None:
    return challenger_percent(
        one, other, better=better, minimum_percent=least, rng=np.random.default_rng(0)
    )


@pytest.mark.parametrize(
    ("wins", "better", "share"),
    [(400, "higher", 90), (100, "higher", 10), (400, "lower", 10), (100, "lower", 90)],
)
def test_the_better_version_gets_the_most(wins: int, better: str, share: int) -> None:
    assert percent(Moments.of_flags(1000, wins), Moments.of_flags(1000, 250), better) == share


def test_versions_alike_share_evenly() -> None:
    same = Moments.of_flags(1000, 250)
    share = percent(same, same)
    assert share is not None
    assert 48 <= share <= 52


@pytest.mark.parametrize(("n", "is_known"), [(9, False), (10, True)])
def test_nothing_is_learned_below_ten_units(n: int, is_known: bool) -> None:
    assert (percent(Moments.of_flags(n, 3), Moments.of_flags(1000, 300)) is not None) == is_known


def test_values_without_spread_share_evenly() -> None:
    same = Moments.of_flags(50, 50)
    assert percent(same, same) == 50


def test_the_less_is_known_the_nearer_to_even() -> None:
    few = percent(Moments.of_flags(20, 10), Moments.of_flags(20, 8), least=1)
    many = percent(Moments.of_flags(500, 250), Moments.of_flags(500, 200), least=1)
    assert few is not None
    assert many is not None
    assert 50 < few < many
