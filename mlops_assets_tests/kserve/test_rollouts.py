"""Whole rollouts on a cluster: the same code as on the local gateway, on what KServe can do."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mlops_assets.errors import ServingError
from mlops_assets.kserve.api import INFERENCE_SERVICES
from mlops_assets.kserve.capabilities import Mode
from mlops_assets.kserve.manifest import build_inference_service, revision_name
from mlops_assets.kserve.pod_metrics import PodMetrics
from mlops_assets.kserve.state_store import ConfigMapStore
from mlops_assets.modeling.manifest import read_manifest
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.rollout.beginning import begin, read_state
from mlops_assets.rollout.commanding import give_command
from mlops_assets.rollout.counter_source import CounterSource
from mlops_assets.rollout.registry import TrackingRegistry
from mlops_assets.rollout.state import Command, CommandKind, RolloutState
from mlops_assets.rollout.ticking import Ticked, tick
from mlops_assets.rollout.world import World
from mlops_assets.spec import ModelSpec
from mlops_assets.spec.criterion import CriterionSpec
from mlops_assets.spec.model import RegistrySpec
from mlops_assets.spec.rollout import RolloutSpec, WatchSpec
from mlops_assets_tests.kserve.site import Site, running_site
from mlops_assets_tests.rollout.faulty import write_linear
from mlops_assets_tests.rollout.stage import ToldNotifier
from mlops_assets_tests.serving.running import toy_spec

MODES: tuple[Mode, ...] = ("Standard", "Knative")
SECOND = timedelta(seconds=1)
ROWS = [{"x0": x0, "x1": 0.1, "hours per day": 0.0} for x0 in (-2.0, -1.0, 1.0, 2.0)]


@dataclass
class Play:
    """The rollouts of one service on a site, on a clock of their own.

    Attributes:
        rows: What callers ask, in turn.
        per_tick: Requests that they send between two ticks.
        statuses: What callers got.
    """

    site: Site
    spec: ModelSpec
    tracking: Tracking
    notifier: ToldNotifier = field(default_factory=ToldNotifier)
    rows: Sequence[Mapping[str, float]] = field(default_factory=lambda: ROWS)
    per_tick: int = 50
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    statuses: Counter[int] = field(default_factory=Counter)
    splits: list[dict[str, int]] = field(default_factory=list)

    @cached_property
    def world(self) -> World:
        """What the platform sees of it."""
        return World(
            ConfigMapStore(self.site.api),
            self.site.client(),
            TrackingRegistry(self.tracking),
            CounterSource(PodMetrics(self.site.api)),
            self.notifier,
        )

    def register(self, package: Path) -> int:
        """A version of the registry, and its number."""
        version = self.tracking.register(
            self.spec.registered_model,
            model_digest=read_manifest(package).model_digest,
            uri=package.as_uri(),
            mlflow_run_id="",
            tags={},
        )
        return version.version

    def serve(self, package: Path) -> str:
        """A first version that serves at once, as champion; its revision."""
        number = self.register(package)
        version = self.tracking.version(self.spec.registered_model, number)
        self.world.serving.apply(
            build_inference_service(
                self.spec,
                version=number,
                storage_uri=version.uri,
                model_digest=version.model_digest,
                mlflow_run_id="",
            )
        )
        self.world.serving.wait_ready(self.spec.service, number, 30.0)
        self.tracking.promote(self.spec.registered_model, number)
        return revision_name(number)

    def begin(self, package: Path) -> str:
        """A challenger whose rollout begins; its revision."""
        number = self.register(package)
        begin(self.world, self.spec, number, self.now)
        return revision_name(number)

    def edit_shares(self, percent: int) -> None:
        """What a person does with kubectl."""
        if self.site.mode == "Standard":
            canary = self.site.service()["spec"]["canary"]
            canary[0]["trafficPercent"] = percent
            self.site.edit({"spec": {"canary": canary}})
        else:
            self.site.edit({"spec": {"predictor": {"canaryTrafficPercent": percent}}})

    @property
    def state(self) -> RolloutState:
        found = read_state(self.world, self.spec.service)
        assert found is not None
        return found

    def say(self, kind: CommandKind) -> None:
        command = Command(kind=kind, who="ann", at=self.now, why="because")
        give_command(ConfigMapStore(self.site.api), self.spec.service, command)

    def tick(self, **how: Any) -> Ticked:
        """Callers ask, time passes, one tick in a process of its own; the controllers follow."""
        self.call()
        self.now += SECOND
        ticked = tick(self.world, self.spec, self.now, **how)
        assert ticked is not None
        self.site.cluster.settle()
        shares = self.shares
        if not self.splits or self.splits[-1] != shares:
            self.splits.append(shares)
        return ticked

    def until(self, is_reached: Callable[[RolloutState], bool], most: int = 60) -> RolloutState:
        for _ in range(most):
            state = self.tick().state
            if is_reached(state):
                return state
        raise AssertionError(f"{state.phase}: {state.reason}")

    def call(self) -> None:
        """Requests to the cluster's gateway."""
        service = self.site.api.get(INFERENCE_SERVICES, self.spec.service)
        url = str((service or {}).get("status", {}).get("url", "")).removeprefix("http://")
        address = urlsplit(self.site.cluster.ingress)
        connection = HTTPConnection(str(address.hostname), address.port, timeout=30)
        for n in range(self.per_tick):
            body = json.dumps({"instances": [self.rows[n % len(self.rows)]]})
            path = f"/v1/models/{self.spec.service}:predict"
            connection.request("POST", path, body, {"host": url})
            answer = connection.getresponse()
            answer.read()
            self.statuses[answer.status] += 1
        connection.close()

    @property
    def shares(self) -> dict[str, int]:
        """Shares as the router has them."""
        found = self.world.serving.traffic(self.spec.service)
        return {name: share for name, share in found.items() if share}

    @property
    def aliases(self) -> dict[str, int]:
        return dict(self.world.registry.aliases(self.spec.registered_model))


@pytest.fixture(scope="module", params=MODES)
def module_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with running_site(request.param) as made:
        yield made


@pytest.fixture
def site(module_site: Site) -> Iterator[Site]:
    yield module_site
    module_site.clean()


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    home = tmp_path_factory.mktemp("mlflow")
    return Tracking(f"sqlite:///{home}/mlflow.db", f"file://{home}/mlartifacts")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The version that serves, one as good as it, and some that answer NaN below some x0."""
    home = tmp_path_factory.mktemp("models")
    return {
        "good": write_linear(home / "good", digest="1" * 64),
        "same": write_linear(home / "same", digest="2" * 64),
        "bad": write_linear(home / "bad", digest="3" * 64, nan_below=0.0),
        "half": write_linear(home / "half", digest="4" * 64, nan_below=-5.0),
        "deaf": write_linear(home / "deaf", digest="5" * 64, nan_below=50.0),
    }


@pytest.fixture
def play(site: Site, tracking: Tracking, request: pytest.FixtureRequest) -> Play:
    """A service `toy` of a model of its own in the registry."""
    return Play(site, _spec(request.node.name), tracking)


def _spec(model: str, **changes: Any) -> ModelSpec:
    """The document of `toy` with a rollout; `model` is its name in the registry."""
    settings: dict[str, Any] = {
        "strategy": "canary",
        "steps": [20, 60],
        "interval": SECOND,
        "minimum_samples": 40,
        "warm_up_requests": 5,
        "bake_time": timedelta(0),
        "maximum_duration": timedelta(minutes=5),
        "criteria": [
            CriterionSpec(metric="error_ratio", margin=0.2),
            CriterionSpec(metric="latency", margin_seconds=10.0),
        ],
        "watch": WatchSpec(duration=3 * SECOND),
        "warm_standby": 3 * SECOND,
    }
    rollout = RolloutSpec.model_validate(settings | changes)
    # Callers have a key, which KServe cannot keep on one version: requests are the unit there.
    spec = toy_spec().model_copy(update={"rollout": rollout, "entity_key": "x0"})
    return spec.model_copy(update={"registry": RegistrySpec(name=model)})


def is_over(state: RolloutState) -> bool:
    return state.is_ended and state.standby_released


def test_a_version_that_is_as_good_is_promoted_step_by_step(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    before = play.site.pods(old)
    new = play.begin(packages["same"])
    play.until(lambda s: s.phase == "watching")
    assert play.site.pods(old) == before  # warm, and never restarted
    state = play.until(is_over)
    assert state.phase == "succeeded", state.reason
    assert state.history[-1].n_challenger > 0  # the watch saw requests
    assert play.splits == [{old: 100}, {old: 80, new: 20}, {old: 40, new: 60}, {new: 100}]
    assert play.aliases == {"champion": int(new[1:]), "previous": int(old[1:])}
    assert set(play.statuses) == {200}
    assert play.notifier.kinds == ["started", "step", "promoted", "ended_succeeded"]


def test_a_version_that_fails_requests_is_rolled_back(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    new = play.begin(packages["bad"])
    state = play.until(is_over)
    assert state.phase == "rolled_back", state.reason
    assert "error_ratio" in state.reason
    assert play.splits == [{old: 100}, {old: 80, new: 20}, {old: 100}]
    assert play.aliases["champion"] == int(old[1:])
    assert 0 < play.statuses[500] <= 0.2 * play.statuses.total()


def test_a_promoted_version_that_begins_to_fail_is_reverted_without_a_pod_start(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    new = play.begin(packages["half"])
    play.until(lambda s: s.phase == "watching")
    before = play.site.pods(old)
    play.rows = [{"x0": -9.0, "x1": 0.1, "hours per day": 0.0}]  # what only the new one cannot take
    state = play.until(lambda s: s.phase == "rolling_back")
    assert "harm is proven" in state.reason
    state = play.until(lambda s: s.is_ended)
    assert play.site.pods(old) == before
    assert play.splits[-2:] == [{new: 100}, {old: 100}]
    assert play.aliases["champion"] == int(old[1:])


@pytest.mark.parametrize("outcome", ["crash_loop", "image_pull", "no_room", "storage_initializer"])
def test_a_version_that_cannot_run_is_withdrawn_at_the_next_tick(
    play: Play, packages: dict[str, Path], outcome: Any
) -> None:
    old = play.serve(packages["good"])
    new = play.begin(packages["same"])
    play.site.cluster.order(new, outcome)
    state = play.until(lambda s: s.is_ended, most=6)
    assert state.phase == "failed"
    assert f"revision {new} failed" in state.reason
    assert play.splits == [{old: 100}]
    assert set(play.statuses) == {200}


def test_shares_that_a_person_edits_are_asked_about_and_put_back_by_resume(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    new = play.begin(packages["same"])
    play.until(lambda s: s.phase == "step" and s.confirmed.challenger == 20)
    play.edit_shares(50)
    state = play.until(lambda s: s.hold is not None, most=2)
    assert state.hold is not None
    assert (state.hold.kind, play.shares) == ("edited", {old: 50, new: 50})
    play.tick()
    assert play.shares == {old: 50, new: 50}  # it is theirs until they say more
    play.say("resume")
    play.until(lambda s: s.hold is None and s.confirmed.challenger == 20, most=3)
    assert play.shares == {old: 80, new: 20}
    play.until(lambda s: s.phase == "succeeded")


def test_harm_rolls_back_also_from_shares_that_a_person_set(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    play.begin(packages["bad"])
    play.until(lambda s: s.phase == "step" and s.confirmed.challenger == 20)
    play.edit_shares(50)
    state = play.until(lambda s: s.is_ended)
    assert state.phase == "rolled_back"
    assert play.shares == {old: 100}


def test_a_newer_version_takes_the_place_of_one_under_way(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    play.begin(packages["bad"])
    play.until(lambda s: s.phase == "step")
    number = play.register(packages["same"])
    for _ in range(10):
        if play.tick(newest_version=number).state.is_ended:
            break
    assert play.state.phase == "aborted"
    assert play.shares == {old: 100}
    new = play.begin(packages["same"])
    play.until(lambda s: s.phase == "succeeded")
    assert play.shares == {new: 100}


def test_blue_green_is_verified_without_a_share_and_reverted_by_what_the_former_version_kept(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    play.call()  # what it keeps is known
    play.call()
    play.spec = _spec(play.spec.registered_model, strategy="blue_green", steps=None)
    new = play.begin(packages["half"])
    play.until(lambda s: s.phase == "watching")
    assert play.splits == [{old: 100}, {new: 100}]
    play.rows = [{"x0": -9.0, "x1": 0.1, "hours per day": 0.0}]
    state = play.until(lambda s: s.is_ended)
    assert state.phase == "rolled_back", state.reason
    assert "what the former version kept" in state.reason
    assert play.shares == {old: 100}


def test_blue_green_that_answers_its_examples_wrongly_gets_no_request(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    play.spec = _spec(play.spec.registered_model, strategy="blue_green", steps=None)
    play.begin(packages["deaf"])
    state = play.until(lambda s: s.is_ended)
    assert state.phase == "failed", state.reason
    assert "example requests were answered wrongly" in state.reason
    assert play.splits == [{old: 100}]


def test_a_baseline_of_equal_size_runs_beside_both_where_three_can_share(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    play.spec = _spec(play.spec.registered_model, baseline=True, steps=[30])
    if play.site.mode == "Knative":
        with pytest.raises(ServingError, match="shares requests between two revisions, found 3"):
            play.begin(packages["same"])
        return
    new = play.begin(packages["same"])
    state = play.until(is_over)
    assert state.phase == "succeeded", state.reason
    thirds = {old: 40, new: 30, f"{old}-baseline": 30}
    assert play.splits == [{old: 100}, thirds, {new: 100}]
    assert any("of baseline" in r.reason for look in state.history for r in look.readings)


def test_a_shadow_is_refused_before_anything_changes(play: Play, packages: dict[str, Path]) -> None:
    """What the cluster cannot do is told, and the version that serves goes on."""
    old = play.serve(packages["good"])
    play.spec = _spec(play.spec.registered_model, strategy="shadow")
    with pytest.raises(ServingError, match="KServe mirrors no requests"):
        play.begin(packages["same"])
    assert read_state(play.world, "toy") is None
    assert play.shares == {old: 100}
