"""Whole rollouts with the default canary, on requests drawn at random: who wins, and who loses."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from mlops_assets.rollout.evidence import Arm, ArmEvidence
from mlops_assets.rollout.measures import Counts, Histogram, Moments
from mlops_assets.rollout.policy import RolloutPolicy
from mlops_assets.rollout.presets import resolve_policy
from mlops_assets.spec.rollout import RolloutSpec
from mlops_assets_tests.rollout.scenes import Scene

CALLERS = 800
PER_TICK = 1500


@dataclass
class Version:
    """How a version answers.

    Attributes:
        errors: Share of answers with an error.
        slowness: Factor of its latency.
        right: Share of right predictions.
        yes: Share of predictions that say yes.
    """

    errors: float = 0.005
    slowness: float = 1.0
    right: float = 0.8
    yes: float = 0.3


@dataclass
class Traffic:
    """Requests of callers who come back, answered by the version that is theirs."""

    rng: np.random.Generator
    callers: list[np.ndarray] = field(default_factory=list)

    def answered(self, version: Version, n: int, *, knows_truth: bool) -> ArmEvidence:
        """What an arm of this version shows after n requests."""
        rng = self.rng
        callers = rng.integers(0, CALLERS, n)
        quality = {}
        if knows_truth:
            truth = slice(0, n // 2)
            quality["quality"] = Moments.of(rng.random(n)[truth] > version.right, callers[truth])
        labels = np.where(rng.random(n) < version.yes, "yes", "no").tolist()
        return ArmEvidence(
            n_requests=n,
            n_units=np.unique(callers).size,
            measures={
                "error_ratio": Moments.of(rng.random(n) < version.errors, callers),
                "latency": Histogram.of(rng.lognormal(-4, 0.4, n) * version.slowness, callers),
                "prediction_distribution": Counts.of(labels, callers),
                **quality,
            },
        )


POLICY: RolloutPolicy = resolve_policy(
    RolloutSpec.model_validate(
        {"strategy": "canary", "interval": "10s", "bake_time": "20s", "watch": {"duration": "30s"}}
    )
)


def run(challenger: Version, seed: int, *, knows_truth: bool = True) -> Scene:
    """The rollout of a version in place of an ordinary one, to its end or to a question."""
    scene, traffic = Scene(policy=POLICY, arms={}), Traffic(np.random.default_rng(seed))
    stable = Version()
    for _ in range(200):
        wanted, since = scene.state.traffic, scene.state.evidence_from
        ticks = 1 + int((scene.now - since).total_seconds() // 10)
        arms: dict[Arm, ArmEvidence] = {}
        for name, version, share in (
            ("stable", stable, wanted.stable),
            ("challenger", challenger, wanted.challenger),
        ):
            n = PER_TICK * ticks * share // 100
            if n:
                arms[name] = traffic.answered(version, n, knows_truth=knows_truth)  # type: ignore[index]
        scene.arms = arms
        if scene.tick(10).action == "ask" or scene.state.is_ended:
            return scene
    raise AssertionError(scene.state.reason)


@pytest.mark.parametrize("seed", range(3))
def test_an_identical_version_is_promoted(seed: int) -> None:
    scene = run(Version(), seed)
    assert scene.state.phase == "succeeded"
    assert scene.shares == [0, 5, 25, 50, 100]


@pytest.mark.parametrize(
    "version",
    [
        pytest.param(Version(right=0.9), id="more_often_right"),
        pytest.param(Version(errors=0.0), id="fewer_errors"),
        pytest.param(Version(slowness=0.5), id="twice_as_fast"),
    ],
)
def test_a_better_version_is_promoted(version: Version) -> None:
    assert run(version, seed=1).state.phase == "succeeded"


@pytest.mark.parametrize(
    ("version", "criterion"),
    [
        pytest.param(Version(errors=0.5), "error_ratio", id="answers_nan_every_second_time"),
        pytest.param(Version(slowness=10), "latency", id="ten_times_slower"),
        pytest.param(Version(right=0.2), "quality", id="flipped_answers"),
    ],
)
def test_a_bad_version_is_rolled_back_from_the_first_step(version: Version, criterion: str) -> None:
    scene = run(version, seed=2)
    assert scene.state.phase == "rolled_back"
    assert scene.shares == [0, 5, 0]
    assert "harm is proven" in scene.state.reason
    assert criterion in scene.state.reason


def test_flipped_answers_without_truth_are_asked_about() -> None:
    """A model whose yes is no: the shares of its predictions move, and that is all one can see."""
    scene = run(Version(yes=0.7, right=0.2), seed=3, knows_truth=False)
    assert scene.shares == [0, 5]
    assert "A better model differs too" in scene.state.reason


def test_a_version_that_is_a_little_worse_is_within_the_margin() -> None:
    assert run(Version(errors=0.008), seed=4).state.phase == "succeeded"
