"""KServe's own client works unchanged against the predictor."""

import json
import subprocess
import sys
from pathlib import Path

from mlops_assets_tests.serving.running import running_predictor


def test_the_sdk_speaks_both_protocols_with_us(positive_model: Path) -> None:
    with running_predictor(positive_model, "--model-version=3", "--workers=2") as url:
        command = [sys.executable, "-m", "mlops_assets_tests.serving.kserve_client", url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    tensors = {"id": "7", "model": "toy", "labels": [1, 0], "shape": [2, 2]}
    assert found == {
        "v1": [1, 0],
        "v2_False": tensors,
        "v2_True": tensors,
        "server_live": True,
        "server_ready": True,
        "model_ready_v1": True,
        "model_ready_v2": True,
    }
