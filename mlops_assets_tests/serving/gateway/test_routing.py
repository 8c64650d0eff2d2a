"""Through a running gateway: an entity stays with its revision."""

import time
from pathlib import Path

import httpx

from mlops_assets.kserve.manifest import ENTITY_KEY
from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets_tests.serving.running import (
    find_free_port,
    running_gateway,
    toy_manifest,
    with_canary,
)


def revisions_of(url: str, users: range) -> list[str]:
    """Revision that answers each user: as a field of V1, or as a parameter of V2."""
    found = []
    matrix = {"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [1, 2, 3]}
    with httpx.Client(base_url=url, trust_env=False) as client:
        for user in users:
            if user % 2:
                path, content = "/v1/models/toy:predict", {"user": user, "instances": [[1, 2, 3]]}
            else:
                path = "/v2/models/toy/infer"
                content = {"parameters": {"user": str(user)}, "inputs": [matrix]}
            answer = client.post(path, json=content)
            assert answer.status_code == 200, answer.text
            found.append(answer.headers["x-revision"])
    return found


def test_an_entity_stays_with_its_revision_while_shares_grow(
    tmp_path: Path, positive_model: Path, negative_model: Path
) -> None:
    backend = EmbeddedServing(tmp_path)
    canary = toy_manifest(negative_model, 2, digest="b" * 64)
    manifest = with_canary(toy_manifest(positive_model), canary, 30)
    manifest["metadata"]["annotations"][ENTITY_KEY] = "user"
    backend.apply(manifest)
    users = range(60)
    with running_gateway(tmp_path, find_free_port()):
        backend.wait_ready("toy", 1, 60.0)
        first = revisions_of(backend.url, users)
        assert set(first) == {"v1", "v2"}
        assert revisions_of(backend.url, users) == first
        backend.set_traffic("toy", {"v1": 40, "v2": 60})
        deadline = time.monotonic() + 10
        while backend.traffic("toy") != {"v1": 40, "v2": 60}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        later = revisions_of(backend.url, users)
    assert later != first
    assert all(now == "v2" for then, now in zip(first, later, strict=True) if then == "v2")
