"""Real gateways and predictors in processes of their own, for the tests of this folder."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from mlops_assets.kserve.manifest import build_inference_service
from mlops_assets.serving.home import ServingHome
from mlops_assets.spec import (
    EstimatorSpec,
    FeaturesSpec,
    ModelSpec,
    ServingSpec,
    SourceSpec,
    TargetSpec,
)
from mlops_assets_tests.serving.keys import write_public_key
from mlops_assets_tests.serving.packages import NUMBERS

_START_SECONDS = 60.0
_PORTS = (20_000, 32_000)  # the system gives callers ports from 32,768 on


def find_free_port() -> int:
    """A port that nothing listens at, and that no caller is given before a server has it."""
    while True:
        port = random.SystemRandom().randrange(*_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for(
    url: str,
    process: subprocess.Popen[str],
    seconds: float = _START_SECONDS,
    *,
    client: httpx.Client | None = None,
) -> None:
    """Return once the URL answers 200; fails with the process' log when it ends or takes long."""
    get = client.get if client else partial(httpx.get, trust_env=False)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            log = process.log() if isinstance(process, Server) else ""
            raise AssertionError(f"ended with {process.returncode}: {log}")
        with contextlib.suppress(httpx.HTTPError):
            if get(url, timeout=1).status_code == 200:
                return
        time.sleep(0.02)
    raise AssertionError(f"{url} did not answer in {seconds} s")


class Server(subprocess.Popen[str]):
    """A process that dies with us. Its log is a file: a pipe that nobody reads would stop it."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `end`
        command = [sys.executable, "-m", module, *arguments, f"--parent-pid={os.getpid()}"]
        super().__init__(command, stderr=self._log, text=True)

    def log(self) -> str:
        """What it wrote."""
        self._log.seek(0)
        return self._log.read()

    def end(self) -> None:
        """SIGTERM, and SIGKILL when that does not end it."""
        self.terminate()
        try:
            self.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            self.wait()
        self._log.close()


@contextlib.contextmanager
def running_module(module: str, *arguments: str) -> Iterator[Server]:
    """A `python -m module`, ended whatever happens."""
    process = Server(module, *arguments)
    try:
        yield process
    finally:
        process.end()


@contextlib.contextmanager
def running_gateway(home: Path, port: int, *more: str) -> Iterator[Server]:
    """A gateway whose port answers; it trusts what the tests' key signed.

    It waits long for a revision that starts: on a busy machine that takes its time.
    """
    write_public_key(ServingHome.under(home).trusted_keys)
    arguments = (f"--home={home}", f"--port={port}", "--hold-seconds=60", *more)
    with running_module("mlops_assets.serving.gateway", *arguments) as process:
        wait_for(f"http://127.0.0.1:{port}/healthz", process)
        yield process


@contextlib.contextmanager
def running_predictor(model_dir: Path, *more: str) -> Iterator[str]:
    """A predictor of the model `toy`; yields its URL."""
    port = find_free_port()
    arguments = ("--model-name=toy", f"--model-dir={model_dir}", f"--port={port}", *more)
    with running_module("mlops_assets.serving.predictor", *arguments) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/v2/health/ready", process)
        yield url


def toy_spec(name: str = "toy", ready_timeout_seconds: int = 60) -> ModelSpec:
    """The document of a model on the features of `packages.write_binary_model`."""
    return ModelSpec(
        name=name,
        description="Is it positive?",
        owners=["team:tests"],
        source=SourceSpec(path="rows.csv"),
        features=FeaturesSpec(numeric=NUMBERS),
        target=TargetSpec(column="y", task="binary"),
        model=EstimatorSpec(estimator="sklearn.linear_model.LogisticRegression"),
        serving=ServingSpec(ready_timeout_seconds=ready_timeout_seconds),
    )


def with_canary(stable: dict[str, Any], canary: dict[str, Any], percent: int = 0) -> dict[str, Any]:
    """A manifest that declares another one's revision beside its own."""
    entry = {"trafficPercent": percent, "predictor": canary["spec"]["predictor"]}
    return {**stable, "spec": {**stable["spec"], "canary": [entry]}}


def toy_manifest(
    model_dir: Path,
    version: int = 1,
    *,
    name: str = "toy",
    digest: str = "a" * 64,
    seconds: int = 60,
) -> dict[str, Any]:
    """The InferenceService of a packaged toy model."""
    return build_inference_service(
        toy_spec(name, seconds),
        version=version,
        storage_uri=model_dir.as_uri(),
        model_digest=digest,
        mlflow_run_id="run",
    )
