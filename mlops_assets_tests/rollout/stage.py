"""A stage for rollouts: a real gateway and predictors, the prediction log, MLflow, live callers."""

import contextlib
import http.client
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from mlops_assets.kserve.manifest import build_inference_service
from mlops_assets.modeling.manifest import read_manifest
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.notify.notification import Delivery, Notification
from mlops_assets.rollout.beginning import begin, read_state
from mlops_assets.rollout.file_store import FileStore
from mlops_assets.rollout.log_source import LogPlace, PredictionLogSource
from mlops_assets.rollout.registry import TrackingRegistry
from mlops_assets.rollout.state import RolloutState
from mlops_assets.rollout.ticking import Ticked, tick
from mlops_assets.rollout.world import World
from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.sink import open_store
from mlops_assets.spec import EstimatorSpec, ModelSpec
from mlops_assets.spec.rollout import RolloutSpec
from mlops_assets_tests.rollout.faulty import TRUE_WEIGHTS, TRUSTED
from mlops_assets_tests.serving.running import find_free_port, running_gateway, toy_spec

Rng = random.Random


@dataclass
class ToldNotifier:
    """A notifier that keeps what it is told, once by id, as the real one does."""

    told: dict[str, Notification] = field(default_factory=dict)

    def notify(self, notification: Notification) -> Delivery:
        """Keep it."""
        is_new = notification.id not in self.told
        self.told.setdefault(notification.id, notification)
        return Delivery("sent" if is_new else "told")

    @property
    def kinds(self) -> list[str]:
        """What was told, in its order, without repetition."""
        return list(
            dict.fromkeys(each.kind.removeprefix("rollout_") for each in self.told.values())
        )


@dataclass
class Stage:
    """One home with a gateway; each test plays with a service of its own, one at a time."""

    home: Path
    tracking: Tracking
    port: int
    gateways: contextlib.ExitStack
    n_services: int = 0

    def start_gateway(self) -> None:
        """A gateway of this home; it ends with the stage, if not before."""
        self.gateways.enter_context(running_gateway(self.home, self.port))

    def kill_gateway(self) -> None:
        """Its end, in the midst of whatever it does."""
        found = json.loads(ServingHome.under(self.home).gateway.read_text())
        os.kill(int(found["pid"]), signal.SIGKILL)

    def play(self, rollout: RolloutSpec, **changes: Any) -> "Play":
        """A model whose document has a rollout. The one before it is withdrawn."""
        if self.n_services:
            EmbeddedServing(self.home).delete(f"toy{self.n_services}")
        self.n_services += 1
        spec = toy_spec(f"toy{self.n_services}", ready_timeout_seconds=90)
        trusted = EstimatorSpec(estimator=spec.model.estimator, trusted_types=[TRUSTED])
        spec = spec.model_copy(update={"rollout": rollout, "model": trusted, **changes})
        notifier = ToldNotifier()
        world = World(
            FileStore(ServingHome.under(self.home).rollouts),
            EmbeddedServing(self.home),
            TrackingRegistry(self.tracking),
            PredictionLogSource(LogPlace.under(self.home)),
            notifier,
        )
        return Play(self, spec, world, notifier)


@contextlib.contextmanager
def set_stage(home: Path) -> Iterator[Stage]:
    """A home with a running gateway."""
    home.mkdir(parents=True, exist_ok=True)
    tracking = Tracking(f"sqlite:///{home}/mlflow.db", f"file://{home}/mlartifacts")
    port = find_free_port()
    with contextlib.ExitStack() as gateways:
        stage = Stage(home, tracking, port, gateways)
        stage.start_gateway()
        yield stage


@dataclass
class Play:
    """One model on the stage."""

    stage: Stage
    spec: ModelSpec
    world: World
    notifier: ToldNotifier
    ahead: timedelta = timedelta(0)  # of this test's clock
    ticks: list[Ticked] = field(default_factory=list)

    def register(self, package: Path) -> int:
        """A version of the registry, and its number."""
        digest = read_manifest(package).model_digest
        version = self.stage.tracking.register(
            self.spec.registered_model,
            model_digest=digest,
            uri=package.as_uri(),
            mlflow_run_id="",
            tags={},
        )
        return version.version

    def serve(self, package: Path) -> int:
        """A first version that serves at once, as champion."""
        number = self.register(package)
        version = self.stage.tracking.version(self.spec.registered_model, number)
        self.world.serving.apply(
            build_inference_service(
                self.spec,
                version=number,
                storage_uri=version.uri,
                model_digest=version.model_digest,
                mlflow_run_id=version.mlflow_run_id,
            )
        )
        self.world.serving.wait_ready(self.spec.service, number, 90.0)
        self.stage.tracking.promote(self.spec.registered_model, number)
        return number

    def begin(self, package: Path) -> int:
        """A challenger whose rollout begins."""
        number = self.register(package)
        begin(self.world, self.spec, number, datetime.now(UTC))
        return number

    @property
    def state(self) -> RolloutState:
        """Where the rollout stands."""
        found = read_state(self.world, self.spec.service)
        assert found is not None
        return found

    def tick(self, **how: Any) -> Ticked:
        """One tick."""
        ticked = tick(self.world, self.spec, datetime.now(UTC) + self.ahead, **how)
        assert ticked is not None
        self.ticks.append(ticked)
        return ticked

    def follow(
        self, until: Callable[[RolloutState], bool], seconds: float = 240.0, pause: float = 0.25
    ) -> RolloutState:
        """Ticks until the state is as wanted."""
        deadline = time.monotonic() + seconds
        while True:
            state = self.tick().state
            if until(state):
                return state
            assert time.monotonic() < deadline, f"{state.phase}: {state.reason}"
            time.sleep(pause)  # between two ticks of a sensor

    def wait_for_log(self, n: int, seconds: float = 120.0) -> None:
        """Wait until so many answers stand in the log's tables, from which evidence is read."""
        store, deadline = open_store(self.stage.home), time.monotonic() + seconds
        while (found := store.scan_predictions(self.spec.service).collect().height) < n:
            assert time.monotonic() < deadline, f"{found} answers are logged"
            time.sleep(0.2)

    @property
    def aliases(self) -> dict[str, int]:
        """Versions by alias."""
        return dict(self.world.registry.aliases(self.spec.registered_model))

    @property
    def answering(self) -> dict[str, int]:
        """Shares of the revisions that have one, as the router has them."""
        return {k: v for k, v in self.world.serving.traffic(self.spec.service).items() if v}


@dataclass
class Callers:
    """What callers of one service saw: statuses by revision, and whose answers in which order."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    answers: list[tuple[dict[str, float], str]] = field(default_factory=list)
    n_lost: int = 0

    def wait_for(self, n: int, seconds: float = 120.0) -> None:
        """Return once so many requests were answered."""
        deadline = time.monotonic() + seconds
        while self.n() < n:
            assert time.monotonic() < deadline, self.statuses
            time.sleep(0.05)

    def n(self, revision: str | None = None) -> int:
        """Answers of a revision, or of all."""
        return sum(n for (name, _), n in self.statuses.items() if revision in (None, name))

    def errors(self) -> dict[tuple[str, int], int]:
        """Answers that were none."""
        return {key: n for key, n in self.statuses.items() if key[1] != 200}


def draw_row(rng: Rng) -> dict[str, float]:
    """A caller's row."""
    return {
        "x0": rng.gauss(0.0, 1.0),
        "x1": rng.gauss(0.0, 0.5),
        "hours per day": float(rng.choice([0, 4])),
    }


def draw_truth(row: dict[str, float], rng: Rng) -> int:
    """What really becomes of a row."""
    logit = float(np.dot(TRUE_WEIGHTS, [row["x0"], row["x1"], row["hours per day"]]))
    return int(rng.random() < 1 / (1 + np.exp(-logit)))


@contextlib.contextmanager
def calling(
    play: Play,
    *,
    n_callers: int = 2,
    tell_truth: bool = False,
    pause: float = 0.01,
    draw: Callable[[Rng], dict[str, float]] = draw_row,
) -> Iterator[Callers]:
    """Callers that ask again and again, each over one connection, until the block is left."""
    seen, done = Callers(), threading.Event()
    address = urlsplit(f"http://127.0.0.1:{play.stage.port}")
    path = f"/v1/models/{play.spec.service}:predict"

    def call(seed: int) -> None:
        rng, truths = random.Random(seed), []
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=40)
        while not done.is_set():
            row = draw(rng)
            try:
                connection.request("POST", path, json.dumps({"instances": [row]}))
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                seen.n_lost += 1
                connection.close()
                time.sleep(0.05)
                continue
            revision = answer.headers.get("x-revision", "")
            seen.statuses[revision, answer.status] += 1
            seen.answers.append((row, revision))
            if tell_truth and answer.status == 200:
                found = json.loads(body)
                truths.append({"id": found["id"], "value": draw_truth(row, rng)})
                if len(truths) == 50:
                    items = [{"service": play.spec.service, **truth} for truth in truths]
                    connection.request("POST", "/v1/ground-truth", json.dumps({"items": items}))
                    connection.getresponse().read()
                    truths.clear()
            time.sleep(pause)
        connection.close()

    threads = [threading.Thread(target=call, args=(n,), daemon=True) for n in range(n_callers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        done.set()
        for thread in threads:
            thread.join()
