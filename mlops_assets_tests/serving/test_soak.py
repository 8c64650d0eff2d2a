"""Revisions come, go and share requests anew under load: no request fails, each is logged once."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets.serving.prediction_log.sink import drain_home, open_store
from mlops_assets_tests.serving.callers import calling
from mlops_assets_tests.serving.effort import scaled
from mlops_assets_tests.serving.running import (
    find_free_port,
    running_gateway,
    toy_manifest,
    with_canary,
)

_READY_SECONDS = 60.0


class Operator:
    """Somebody who changes a service again and again, as rollouts and people do."""

    def __init__(self, home: Path, models: list[Path], rng: random.Random) -> None:
        self.backend = EmbeddedServing(home)
        self.done: list[str] = []
        self._models = models
        self._rng = rng
        self._version = self._last = 1
        self._canary: int | None = None
        self.backend.apply(self._manifest(1))

    def _next_version(self) -> int:
        """A number that was never used, as in a registry."""
        self._last += 1
        return self._last

    def _manifest(self, version: int) -> dict[str, Any]:
        model = self._models[version % 2]
        return toy_manifest(model, version, digest="ba"[version % 2] * 64)

    def _declare(self, percent: int = 0) -> None:
        manifest = self._manifest(self._version)
        if self._canary is not None:
            manifest = with_canary(manifest, self._manifest(self._canary), percent)
        self.backend.apply(manifest)

    def act(self) -> None:
        """One change, chosen at random of those that make sense now."""
        choices: list[Callable[[], None]] = [self.replace, self.fail, self.flap]
        if self._canary is None:
            choices = [*choices, self.add_canary, self.add_canary]
        else:
            choices = [self.share, self.mirror, self.promote, self.remove_canary]
        chosen = self._rng.choice(choices)
        self.done.append(chosen.__name__)
        chosen()

    def _wait(self) -> None:
        self.backend.wait_ready("toy", self._version, _READY_SECONDS)

    def replace(self) -> None:
        """The next version takes over."""
        self._version = self._next_version()
        self._declare()
        self._wait()

    def flap(self) -> None:
        """Two new versions at once, the first of which is given up while it starts."""
        self._version = self._next_version()
        self._declare()
        time.sleep(self._rng.uniform(0.0, 0.4))
        self.replace()

    def fail(self) -> None:
        """A version that is not there, and back."""
        broken = toy_manifest(self._models[0] / "missing", self._next_version())
        self.backend.apply(broken)
        time.sleep(self._rng.uniform(0.0, 0.8))
        self._declare()
        self._wait()

    def add_canary(self) -> None:
        """The next version gets a share, waited for or not."""
        self._canary = self._next_version()
        self._declare(self._rng.choice([0, 10, 50, 100]))
        if self._rng.random() < 0.7:
            self._wait()

    def share(self) -> None:
        """Share requests anew, a few times without a pause."""
        for _ in range(self._rng.randint(1, 4)):
            percent = self._rng.randint(0, 100)
            self.backend.set_traffic("toy", {self._stable: 100 - percent, self._next: percent})
            time.sleep(self._rng.uniform(0.0, 0.3))

    def mirror(self) -> None:
        """The canary answers nobody for a while."""
        self.backend.set_traffic("toy", {self._stable: 100}, shadow=self._next)
        time.sleep(self._rng.uniform(0.1, 0.5))

    def promote(self) -> None:
        """The canary becomes the stable version."""
        assert self._canary is not None
        self._wait()
        self._version, self._canary = self._canary, None
        self._declare()
        self._wait()

    def remove_canary(self) -> None:
        """The canary is given up, while it starts perhaps."""
        self._canary = None
        self._declare()

    @property
    def _stable(self) -> str:
        return f"v{self._version}"

    @property
    def _next(self) -> str:
        return f"v{self._canary}"


def test_no_request_fails_while_revisions_come_and_go(
    tmp_path: Path, positive_model: Path, negative_model: Path
) -> None:
    seed = scaled(3, time.time_ns())
    operator = Operator(tmp_path, [negative_model, positive_model], random.Random(seed))
    port = find_free_port()
    with running_gateway(tmp_path, port) as gateway:
        operator.backend.wait_ready("toy", 1, _READY_SECONDS)
        with calling(port) as callers:
            end = time.monotonic() + scaled(8, 900)
            while time.monotonic() < end or len(set(operator.done)) < scaled(3, 7):
                operator.act()
                callers.wait_answered(5)
        told = f"seed {seed}: {operator.done}; {gateway.log()}"
    assert (callers.lost, dict(callers.refused), callers.n_unreachable) == ({}, {}, 0), told
    assert len(callers.revisions) >= scaled(2, 50), told
    drain_home(tmp_path)
    rows = open_store(tmp_path).scan_predictions("toy").collect()
    logged = rows["prediction_id"].to_list()
    assert len(logged) == len(set(logged))
    assert set(callers.answered) == set(logged), told
