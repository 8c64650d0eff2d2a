"""What is stale: the table of one chain, and what no table covers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.platform.staleness import AssetState, Made, decide_stale

CHAIN = ("dataset", "features", "trained_model", "evaluation", "model_version")


def state(name: str, **changes: object) -> AssetState:
    """An asset of the chain that is as it should be, but for the changes."""
    position = CHAIN.index(name)
    upstream = CHAIN[max(0, position - 1) : position]
    made = Made(
        code_version="1",
        data_version=f"{name}-a",
        inputs={before: f"{before}-a" for before in upstream},
        source_fingerprint="f1" if name == "dataset" else None,
        made_at=100.0 + position,
    )
    return replace(AssetState(name, upstream, "1", made), **changes)  # type: ignore[arg-type]


def chain(**changed: AssetState) -> list[AssetState]:
    """The whole chain, some of it replaced."""
    return [changed.get(name, state(name)) for name in CHAIN]


def made(name: str, **changes: object) -> Made:
    """The latest materialization of an asset of the chain, changed."""
    latest = state(name).made
    assert latest is not None
    return replace(latest, **changes)  # type: ignore[arg-type]


REFUSED = state("evaluation", failed_checks={"beats_baseline": "0.49 is not above 0.5"})


@pytest.mark.parametrize(
    ("states", "fingerprint", "stale", "blocked_by"),
    [
        pytest.param(chain(), "f1", (), None, id="all_valid"),
        pytest.param(
            [replace(s, made=None) for s in chain()], "f1", CHAIN, None, id="nothing_was_ever_made"
        ),
        pytest.param(chain(), "f2", ("dataset",), None, id="source_changed_reads_it_only"),
        pytest.param(chain(), None, ("dataset",), None, id="unknown_source_is_read"),
        pytest.param(
            chain(features=state("features", code_version="2")),
            "f1",
            CHAIN[1:],
            None,
            id="code_spreads_downstream",
        ),
        pytest.param(
            chain(features=state("features", code_version=None)),
            "f1",
            (),
            None,
            id="no_code_version_says_nothing",
        ),
        pytest.param(
            chain(dataset=state("dataset", made=made("dataset", data_version="b"))),
            "f1",
            CHAIN[1:],
            None,
            id="renewed_dataset_spreads",
        ),
        pytest.param(
            chain(trained_model=state("trained_model", lost="its record is gone")),
            "f1",
            CHAIN[2:],
            None,
            id="lost_is_made_again",
        ),
        pytest.param(
            chain(evaluation=REFUSED, model_version=state("model_version", made=None)),
            "f1",
            (),
            "evaluation",
            id="refusal_is_a_result",
        ),
        pytest.param(
            chain(evaluation=REFUSED),
            "f1",
            (),
            "evaluation",
            id="refusal_leaves_the_old_champion",
        ),
        pytest.param(
            chain(evaluation=replace(REFUSED, code_version="2")),
            "f1",
            ("evaluation", "model_version"),
            None,
            id="a_changed_gate_judges_again",
        ),
        pytest.param(
            chain(evaluation=REFUSED), "f2", ("dataset",), "evaluation", id="refused_but_new_source"
        ),
        pytest.param(
            chain(
                dataset=state("dataset", failed_checks={"contract": "12 rows"}),
                features=state("features", made=None),
            ),
            "f1",
            (),
            "dataset",
            id="broken_contract_is_not_repeated",
        ),
        pytest.param(
            chain(evaluation=state("evaluation", is_judged=False)),
            "f1",
            ("evaluation", "model_version"),
            None,
            id="killed_before_its_check",
        ),
        pytest.param(
            chain(
                dataset=state(
                    "dataset",
                    is_partitioned=True,
                    made=made("dataset", data_version="other", made_at=100.5),
                )
            ),
            "f1",
            (),
            None,
            id="parts_go_by_time_older",
        ),
        pytest.param(
            chain(
                dataset=state("dataset", is_partitioned=True, made=made("dataset", made_at=101.5))
            ),
            "f1",
            CHAIN[1:],
            None,
            id="parts_go_by_time_newer",
        ),
    ],
)
def test_staleness_table(
    states: list[AssetState],
    fingerprint: str | None,
    stale: tuple[str, ...],
    blocked_by: str | None,
) -> None:
    plan = decide_stale(states, fingerprint, source_was_read=False)
    assert (plan.assets, plan.blocked_by) == (stale, blocked_by)
    assert all(plan.reasons.values())


def test_a_source_that_was_read_is_not_read_again() -> None:
    assert not decide_stale(chain(), None, source_was_read=True).reasons


@given(changed=st.sets(st.sampled_from(CHAIN)), fingerprint=st.sampled_from(["f1", "f2", None]))
def test_whatever_follows_a_changed_asset_is_made_again(
    changed: set[str], fingerprint: str | None
) -> None:
    states = chain(**{name: state(name, code_version="2") for name in changed})
    plan = decide_stale(states, fingerprint, source_was_read=False)
    first = min((CHAIN.index(name) for name in changed), default=len(CHAIN))
    assert set(CHAIN[first:]) <= set(plan.assets)
    assert set(plan.assets) <= {"dataset", *CHAIN[first:]}
    assert list(plan.assets) == sorted(plan.assets, key=CHAIN.index)


def test_each_reason_says_what_changed() -> None:
    states = chain(
        features=state("features", made=made("features", inputs={"dataset": "dataset-old"}))
    )
    reasons = decide_stale(states, "f1", source_was_read=False).reasons
    assert reasons["features"] == "dataset is another (dataset-old to dataset-a)"
    assert reasons["trained_model"] == "features is made again"
