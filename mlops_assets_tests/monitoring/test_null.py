from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.monitoring.distances import kolmogorov_smirnov
from mlops_assets.monitoring.null import (
    FEWEST_BLOCKS,
    Null,
    NullCache,
    choose_basis,
    redraw_blocks,
    redraw_rows,
    redraw_shares,
    size_bucket,
    thin,
)

RNG = np.random.default_rng(0)


def test_p_is_the_rank_among_the_draws() -> None:
    null = Null(np.arange(999.0), 999)
    assert null.p(-1) == 1.0
    assert null.p(989) == pytest.approx(11 / 1000)
    assert null.p(998) == pytest.approx(2 / 1000)


def test_beyond_all_draws_p_falls_on() -> None:
    null = Null(np.sort(np.random.default_rng(0).exponential(size=999)), 999)
    beyond = [null.p(x) for x in (null.draws[-1] + 0.01, 12.0, 16.0, 24.0)]
    assert beyond[0] <= 1 / 1000
    assert beyond == sorted(beyond, reverse=True)
    assert beyond[-1] < 1e-6


def test_the_tail_of_an_exponential_is_met() -> None:
    rng = np.random.default_rng(1)
    far = [Null(np.sort(rng.exponential(size=999)), 999).p(rng.exponential()) for _ in range(4_000)]
    for level in (0.01, 0.0005):
        n = sum(p <= level for p in far)
        assert n <= level * 4_000 + 3 * sqrt(level * 4_000) + 1


def test_draws_that_are_all_alike_give_no_finer_p_than_their_number() -> None:
    assert Null(np.zeros(999), 999).p(0.5) == 1 / 1000
    assert Null(np.zeros(999), 999).p(0.0) == 1.0


def test_few_days_give_no_fine_p_to_what_they_show() -> None:
    """999 draws of 20 days are 20 days."""
    null = Null(np.sort(np.repeat(np.arange(20.0), 50)), 20)
    assert null.p(19) == pytest.approx(2 / 21)
    assert null.p(19.1) <= 1 / 21


@given(
    pooled=st.lists(st.integers(0, 40), min_size=2, max_size=6).filter(lambda c: sum(c) > 1),
    share=st.floats(0.01, 0.99),
)
def test_shuffled_rows_keep_their_bins_and_sizes(pooled: list[int], share: float) -> None:
    total = np.array(pooled)
    m = max(1, int(total.sum() * share))
    n = int(total.sum()) - m
    reference, current = redraw_rows(RNG, total, n, m, 7)
    assert np.array_equal(reference + current, np.tile(total, (7, 1)))
    assert set(current.sum(axis=1)) == {m}


def test_pools_too_large_to_shuffle_are_drawn_by_shares() -> None:
    total = np.array([10**9, 2 * 10**9])
    reference, current = redraw_rows(RNG, total, 2 * 10**9, 10**9, 5)
    assert set(reference.sum(axis=1)) == {2 * 10**9}
    assert np.abs(current[:, 0] / 10**9 - 1 / 3).max() < 1e-3


def test_thinning_keeps_at_most_m_rows_of_what_is_there() -> None:
    counts = RNG.integers(0, 9, (50, 6))
    thinned = thin(RNG, counts, 15)
    assert (thinned <= counts).all()
    assert np.array_equal(thinned.sum(axis=1), np.minimum(counts.sum(axis=1), 15))


def test_thinned_rows_have_the_same_shares_on_average() -> None:
    counts = np.tile([60, 30, 10], (4_000, 1))
    assert thin(RNG, counts, 50).mean(axis=0) == pytest.approx([30, 15, 5], rel=0.03)


def test_blocks_are_drawn_whole() -> None:
    """Days are all of one bin, so a drawn day is, too."""
    by_block = np.repeat(np.eye(2, dtype=np.int64) * 100, 14, axis=0)
    basis = choose_basis("day", has_time=True, n_reference=28, n_current=1)
    reference, current = redraw_blocks(RNG, by_block, basis, 40, 200)
    assert set(current.max(axis=1)) == {40}
    assert set(reference.sum(axis=1)) == {2_800}
    assert 60 < (current[:, 0] == 40).sum() < 140


def test_a_week_is_drawn_as_days_in_a_row() -> None:
    sundays = np.array([[100, 0]] * 6 + [[0, 100]])
    basis = choose_basis("day", has_time=True, n_reference=56, n_current=7)
    _, current = redraw_blocks(RNG, np.tile(sundays, (8, 1)), basis, 700, 100)
    assert set(current[:, 1]) == {100}


@pytest.mark.parametrize(
    ("n_reference", "n_current", "run"),
    [(14, 72, 7), (24, 13, 12), (24, 12, 12), (400, 200, 168), (400, 1, 1)],
)
def test_no_run_is_longer_than_half_of_the_reference(
    n_reference: int, n_current: int, run: int
) -> None:
    basis = choose_basis("hour", has_time=True, n_reference=n_reference, n_current=n_current)
    assert basis.run == run
    by_block = np.full((n_reference, 3), 10)
    _, current = redraw_blocks(RNG, by_block, basis, 10**6, 50)
    assert set(current.sum(axis=1)) == {30 * n_current}


def test_a_window_without_times_says_so() -> None:
    basis = choose_basis("day", has_time=True, n_reference=100, n_current=0)
    assert (basis.unit, basis.reason) == (
        "rows",
        "rows are redrawn, since no row of the window has a time",
    )


@pytest.mark.parametrize(
    ("n_reference", "unit"), [(FEWEST_BLOCKS - 1, "rows"), (FEWEST_BLOCKS, "blocks")]
)
def test_days_are_redrawn_when_there_are_enough(n_reference: int, unit: str) -> None:
    basis = choose_basis("day", has_time=True, n_reference=n_reference, n_current=1)
    assert basis.unit == unit
    assert str(n_reference) in basis.reason


def test_without_a_time_rows_are_redrawn() -> None:
    basis = choose_basis("day", has_time=False, n_reference=400, n_current=1)
    assert (basis.unit, basis.n_units(999)) == ("rows", 999)


def test_a_null_is_drawn_once_and_always_the_same() -> None:
    def draw(rng: np.random.Generator) -> Null:
        counts = redraw_shares(rng, np.full(4, 0.25), 100, 50, 99)
        return Null(np.sort(kolmogorov_smirnov(*counts)), 99)

    cache = NullCache(most=2)
    first = cache.get(("a", 1), draw)
    assert cache.get(("a", 1), draw) is first
    assert cache.n_drawn == 1
    assert np.array_equal(NullCache().get(("a", 1), draw).draws, first.draws)
    assert not np.array_equal(cache.get(("a", 2), draw).draws, first.draws)
    cache.get(("a", 3), draw)
    cache.get(("a", 1), draw)  # had to go for the third
    assert cache.n_drawn == 4


@given(m=st.integers(1, 10**8))
def test_sizes_are_rounded_down_by_five_percent_at_most(m: int) -> None:
    assert m / 1.05 <= size_bucket(m) * (1 + 1e-9)
    assert size_bucket(m) <= m
