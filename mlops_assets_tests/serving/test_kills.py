"""Kills at random moments under load: every answered prediction is in the log exactly once."""

import os
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets.serving.prediction_log.drain import PREDICTIONS, drain
from mlops_assets.serving.prediction_log.sink import drain_home, open_store
from mlops_assets.serving.prediction_log.store import PredictionStore
from mlops_assets_tests.serving.callers import Callers, calling
from mlops_assets_tests.serving.effort import scaled
from mlops_assets_tests.serving.running import (
    Server,
    find_free_port,
    running_gateway,
    running_module,
    toy_manifest,
    wait_for,
)


def kill_a_child(process: Server, rng: random.Random) -> None:
    """SIGKILL for one of a server's processes: a predictor, a worker or the sink."""
    children = psutil.Process(process.pid).children(recursive=True)
    if children:  # none while one is just replaced
        rng.choice(children).kill()


def require_logged_once(callers: Callers, store: PredictionStore) -> set[str]:
    """Returns the ids in the log."""
    logged = store.scan_predictions("toy").collect()["prediction_id"].to_list()
    assert len(callers.answered) > 100
    assert len(set(logged)) == len(logged)
    assert not set(callers.answered) - set(logged)
    return set(logged)


def test_a_gateway_and_what_it_runs_may_die_at_any_moment(
    tmp_path: Path, positive_model: Path
) -> None:
    rng = random.Random(0)
    backend = EmbeddedServing(tmp_path)
    backend.apply(toy_manifest(positive_model))
    port = find_free_port()
    with calling(port) as callers:
        for _ in range(scaled(3, 40)):
            with running_gateway(tmp_path, port) as gateway:
                callers.wait_answered(20)
                for _ in range(rng.randint(1, 3)):
                    time.sleep(rng.uniform(0.0, 0.5))
                    kill_a_child(gateway, rng)
                time.sleep(rng.uniform(0.0, 0.5))
                gateway.kill()
                gateway.wait()
    assert set(callers.refused) <= {503}  # while its predictor was replaced too often
    drain_home(tmp_path)
    require_logged_once(callers, open_store(tmp_path))


@pytest.mark.parametrize("then_killed", [False, True], ids=["drains", "is_killed_while_it_drains"])
def test_a_gateway_that_is_told_to_stop_loses_nothing(
    tmp_path: Path, positive_model: Path, then_killed: bool
) -> None:
    rng = random.Random(1)
    backend = EmbeddedServing(tmp_path)
    backend.apply(toy_manifest(positive_model))
    port = find_free_port()
    with calling(port) as callers:
        for _ in range(scaled(2, 20)):
            with running_gateway(tmp_path, port) as gateway:
                callers.wait_answered(60)
                gateway.terminate()
                if then_killed:
                    time.sleep(rng.uniform(0.0, 0.3))
                    gateway.kill()
                code = gateway.wait(30)
                assert then_killed or code == 0
    assert not callers.refused
    drain_home(tmp_path)
    logged = require_logged_once(callers, open_store(tmp_path))
    assert then_killed or not logged & set(callers.lost)  # whatever was predicted was answered


def test_workers_that_share_a_port_may_die_at_any_moment(
    tmp_path: Path, positive_model: Path
) -> None:
    rng = random.Random(2)
    port = find_free_port()
    arguments = [
        "--model-name=toy", f"--model-dir={positive_model}", f"--port={port}", "--workers=2",
        f"--log-dir={tmp_path / 'log'}",
    ]  # fmt: skip
    with running_module("mlops_assets.serving.predictor", *arguments) as server:
        wait_for(f"http://127.0.0.1:{port}/v2/health/ready", server)
        with calling(port) as callers:
            for _ in range(scaled(3, 40)):
                callers.wait_answered(40)
                time.sleep(rng.uniform(0.0, 0.3))
                kill_a_child(server, rng)
            callers.wait_answered(40)
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait(30) == 0
    assert not callers.refused
    store = PredictionStore(str(tmp_path / "tables"))
    drain(tmp_path / "log", store, table=PREDICTIONS)
    require_logged_once(callers, store)
