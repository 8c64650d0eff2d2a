"""Whole rollouts of one service on an emulated cluster: its callers, its time and its ticks."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlops_assets.kserve.api import INFERENCE_SERVICES
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
from mlops_assets_tests.kserve.site import Site
from mlops_assets_tests.rollout.stage import ToldNotifier
from mlops_assets_tests.serving.running import toy_spec

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
        return self.world_of(self.site)

    def world_of(self, site: Site) -> World:
        """The same, as a caller of this site sees it."""
        return World(
            ConfigMapStore(site.api),
            site.client(),
            TrackingRegistry(self.tracking),
            CounterSource(PodMetrics(site.api)),
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


def rollout_spec(model: str, **changes: Any) -> ModelSpec:
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
