import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.rollout.evidence import ArmEvidence, Traffic
from mlops_assets.rollout.measures import (
    LATENCY_EDGES_SECONDS,
    Counts,
    Histogram,
    Moments,
    design_effect,
)

values = st.lists(st.floats(-100, 100), min_size=1, max_size=50)


@given(values)
def test_each_value_is_a_unit_where_none_is_named(found: list[float]) -> None:
    alone, named = Moments.of(found), Moments.of(found, range(len(found)))
    assert alone.n == alone.n_units == named.n_units == len(found)
    assert named.total == pytest.approx(alone.total)
    assert named.squares == pytest.approx(alone.squares)
    assert design_effect(alone) == 1


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=80))
def test_a_design_effect_lies_between_one_and_the_size_of_the_units(
    found: list[tuple[bool, int]],
) -> None:
    flags, callers = zip(*found, strict=True)
    sums = Moments.of(flags, callers)
    assert 1 <= design_effect(sums) <= max(sums.size_squares / sums.n, 1) + 1e-9


def test_counters_and_values_give_the_same_sums() -> None:
    assert Moments.of_flags(10, 3) == Moments.of([1, 1, 1] + [0] * 7)


def test_nothing_has_no_mean() -> None:
    assert Moments.of([]).mean is None
    assert Histogram.of([]).n == 0
    assert Counts.of([]).n == 0


@pytest.mark.parametrize(("value", "at"), [(0.99, 0), (1.0, 0), (1.01, 1), (2.0, 1), (2.01, 2)])
def test_an_edge_belongs_to_the_bin_below_it(value: float, at: int) -> None:
    assert Histogram.of([value], edges=[1.0, 2.0]).counts.index(1) == at


def test_bins_of_latency_are_nine_percent_wide() -> None:
    edges = np.asarray(LATENCY_EDGES_SECONDS)
    assert edges[0] == 0.0001
    assert edges[-1] > 100
    assert np.allclose(edges[1:] / edges[:-1], 2 ** (1 / 8), rtol=1e-4)


def test_counts_keep_their_labels() -> None:
    found = Counts.of(["b", "a", "b"], [1, 2, 2])
    assert (found.counts, found.n, found.n_units) == ({"a": 1, "b": 2}, 3, 2)


@pytest.mark.parametrize(
    ("traffic", "words"),
    [
        (Traffic(stable=100), "100 % stable"),
        (Traffic(stable=90, challenger=10), "90 % stable, 10 % challenger"),
        (Traffic(stable=100, shadow=True), "100 % stable, challenger mirrored"),
        (Traffic(stable=0, challenger=100), "100 % challenger"),
    ],
)
def test_a_split_in_words(traffic: Traffic, words: str) -> None:
    assert str(traffic) == words


def test_a_measure_survives_being_stored_as_what_it_is() -> None:
    arm = ArmEvidence(
        n_requests=3,
        n_units=3,
        measures={
            "errors": Moments.of_flags(3, 1),
            "latency": Histogram.of([0.1, 0.2, 0.3]),
            "classes": Counts.of(["a", "b", "b"]),
        },
    )
    assert ArmEvidence.model_validate_json(arm.model_dump_json()) == arm


def test_what_is_not_finite_is_no_number() -> None:
    with pytest.raises(ValidationError):
        Moments.of([float("nan")])
