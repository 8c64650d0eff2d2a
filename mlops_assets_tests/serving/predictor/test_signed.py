"""A predictor process that demands signatures, and the gateway, which always does."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from mlops_assets.modeling.signing import (
    SIGNATURE_FILE,
    SIGNING_KEY,
    ensure_key_pair,
    sign_package,
)
from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets_tests.serving.keys import trusted_keys
from mlops_assets_tests.serving.running import (
    Server,
    find_free_port,
    running_gateway,
    running_module,
    toy_manifest,
    wait_for,
)


@pytest.fixture
def copied(positive_model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(positive_model, tmp_path / "model")


def arguments(model: Path, keys: Path, port: int) -> tuple[str, ...]:
    return (
        "--model-name=toy",
        f"--model-dir={model}",
        f"--require-signed={keys}",
        f"--port={port}",
    )


def refusal(model: Path, keys: Path) -> str:
    """What a predictor says that does not start."""
    command = arguments(model, keys, find_free_port())
    with running_module("mlops_assets.serving.predictor", *command) as process:
        assert process.wait(60) == 2
        return _log(process)


def _log(process: Server) -> str:
    log = process.log()
    assert "Traceback" not in log
    return log


def test_a_signed_model_is_served_within_150_mb(positive_model: Path) -> None:
    port = find_free_port()
    command = arguments(positive_model, trusted_keys(), port)
    with running_module("mlops_assets.serving.predictor", *command) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/v2/health/ready", process)
        row = {"x0": 3.0, "x1": -1.0, "hours per day": 0.5}
        body = {"instances": [row]}
        answer = httpx.post(f"{url}/v1/models/toy:predict", json=body, trust_env=False)
        n_bytes = psutil.Process(process.pid).memory_info().rss
    assert answer.status_code == 200
    assert n_bytes <= 150e6, f"{n_bytes / 1e6:.0f} MB"


def test_what_is_not_signed_by_a_trusted_key_ends_the_predictor_with_the_reason(
    copied: Path, tmp_path: Path
) -> None:
    ensure_key_pair(tmp_path / "theirs")
    sign_package(copied, tmp_path / "theirs" / SIGNING_KEY)
    assert "which is not trusted here" in refusal(copied, trusted_keys())
    (copied / SIGNATURE_FILE).unlink()
    assert f"{copied} is not signed" in refusal(copied, trusted_keys())
    assert "holds no public key" in refusal(copied, tmp_path)


def test_the_gateway_serves_nothing_unsigned_and_what_its_own_key_signed(
    copied: Path, home: Path
) -> None:
    (copied / SIGNATURE_FILE).unlink()
    backend = EmbeddedServing(home)
    backend.apply(toy_manifest(copied))
    with running_gateway(home, find_free_port()):
        wait_until(lambda: "is not signed" in told(backend))
        sign_package(copied, home / "keys" / SIGNING_KEY)
        wait_until(lambda: told(backend) == "")


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def told(backend: EmbeddedServing) -> str:
    """Why the service is not ready; empty once it is."""
    status = backend.status("toy")
    if status is None:
        return "not seen yet"
    return "" if status.phase == "ready" else f"{status.phase}: {status.reason}"
