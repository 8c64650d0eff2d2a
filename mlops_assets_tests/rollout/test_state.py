import json
from datetime import timedelta

import pytest

from mlops_assets.errors import RolloutError
from mlops_assets.rollout import phases as described
from mlops_assets.rollout.evidence import Traffic
from mlops_assets.rollout.history import Evaluation, Reading
from mlops_assets.rollout.phases import phases
from mlops_assets.rollout.state import MOST_BYTES, Command, RolloutState, VersionRef
from mlops_assets_tests.rollout.scenes import START, begin


def look(number: int, action: str = "hold", words: str = "") -> Evaluation:
    """One of many looks."""
    reading = Reading(
        criterion="error_ratio",
        test="margin",
        verdict="undecided",
        n_stable=900,
        n_challenger=100,
        low=-0.01,
        high=0.05,
        limit=0.02,
        reason=words or f"look {number}",
    )
    return Evaluation(
        at=START + timedelta(seconds=number),
        phase="step",
        step=0,
        action=action,
        verdict="undecided",
        traffic=Traffic(stable=95, challenger=5),
        n_challenger=100,
        n_stable=900,
        readings=(reading,) * 4,
        reason=words or f"look {number}",
    )


def many_looks(n: int, words: str = "") -> RolloutState:
    state = begin()
    for number in range(n):
        action = "advance" if number % 100 == 50 else "hold"
        state = state.with_evaluation(look(number, action, words))
    return state


def test_what_is_stored_is_what_is_read() -> None:
    state = many_looks(30).with_command(Command(kind="pause", who="ann", at=START, why="lunch"))
    assert RolloutState.from_storage(state.to_storage()) == state


def test_the_history_is_bounded_and_keeps_what_changed_and_what_is_new() -> None:
    state = many_looks(2000)
    assert len(state.history) <= 120
    assert [found.reason for found in state.history[-30:]] == [
        f"look {number}" for number in range(1970, 2000)
    ]
    kept = [found for found in state.history if found.action == "advance"]
    assert len(kept) == 20
    assert list(state.history) == sorted(state.history, key=lambda found: found.at)


def test_the_stored_form_stays_below_its_limit() -> None:
    text = many_looks(300, words="é" * 500).to_storage()
    assert len(text.encode()) <= MOST_BYTES
    assert RolloutState.from_storage(text).history


def test_commands_are_bounded_and_the_newest_stay() -> None:
    state = begin()
    for number in range(80):
        state = state.with_command(
            Command(kind="resume", who="ann", at=START, why=str(number), outcome="refused")
        )
    assert [found.why for found in state.commands] == [str(number) for number in range(30, 80)]


def test_a_version_cannot_replace_itself() -> None:
    one = VersionRef(version=1, revision="v1")
    with pytest.raises(ValueError, match="version 1 of churn cannot replace itself"):
        RolloutState.begin("churn", "churn", stable=one, challenger=one, now=START)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "cannot be read"),
        ('{"format": 2}', "has format 2, this platform reads 1"),
        ('{"format": 1}', "cannot be read"),
        (json.dumps(json.loads(begin().to_storage()) | {"new": 1}), "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, message: str) -> None:
    with pytest.raises(RolloutError, match=message):
        RolloutState.from_storage(text)


def test_a_state_that_format_1_wrote_is_read() -> None:
    """Written once and never changed: the oldest states that this platform must read."""
    text = (
        '{"format":1,"model":"churn","service":"churn","stable":{"version":1,"revision":"v1"},'
        '"challenger":{"version":2,"revision":"v2"},"phase":"step","step":1,'
        '"traffic":{"stable":75,"challenger":25},"confirmed":{"stable":95,"challenger":5},'
        '"started_at":"2024-05-01T12:00:00Z","phase_started_at":"2024-05-01T12:05:00Z",'
        '"evidence_from":"2024-05-01T12:05:00Z","counts_anew":true,'
        '"ticked_at":"2024-05-01T12:05:00Z","active_seconds":300.0,"reason":"passed"}'
    )
    state = RolloutState.from_storage(text)
    assert (state.phase, state.step, state.traffic.challenger) == ("step", 1, 25)
    assert state.counts_anew


def test_every_phase_is_explained_where_it_is_declared() -> None:
    assert described.__doc__ is not None
    table = described.__doc__.split("\n\n")[-1]
    listed = [line.split()[0] for line in table.splitlines() if line]
    assert listed == list(phases())
