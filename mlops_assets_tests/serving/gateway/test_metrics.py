"""What the gateway tells Prometheus, by itself and from a running one."""

from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets.serving.gateway.metrics import Backlog, RevisionState, render_metrics
from mlops_assets.serving.gateway.mirror import Mirrored
from mlops_assets.serving.gateway.traffic import Prediction, Traffic
from mlops_assets_tests.serving.running import (
    find_free_port,
    running_gateway,
    toy_manifest,
    with_canary,
)

Samples = dict[tuple[str, ...], float]


def read(text: str) -> Samples:
    """Samples by name and values of labels, read as Prometheus' own parser reads them."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def answer(revision: str, status: int, seconds: float) -> Prediction:
    return Prediction(0.0, "id", "toy", revision, status, seconds, b"")


@pytest.fixture(scope="module")
def samples() -> Samples:
    traffic = Traffic()
    traffic.count(answer("v1", 200, 0.0005))
    traffic.count(answer("v1", 200, 0.0006), logged=False)
    traffic.count(answer("v1", 500, 20.0))
    traffic.count(answer("v2", 504, 60.0))
    traffic.count_lost("toy", "v2")
    traffic.n_retried["toy"] += 1
    traffic.n_refused["", 404] += 2
    states = [
        RevisionState("toy", "v1", is_up=True, percent=90, is_shadow=False),
        RevisionState("toy", "v2", is_up=False, percent=10, is_shadow=True),
    ]
    mirrored = {"toy": Mirrored(n_answered=3, n_failed=2, n_dropped=1)}
    return read(render_metrics(states, traffic, mirrored, {"toy": Backlog(2, 4096)}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("mlops_gateway_requests_total", "toy", "v1", "200"), 2),
        (("mlops_gateway_requests_total", "toy", "v1", "500"), 1),
        (("mlops_gateway_requests_total", "toy", "v2", "504"), 1),
        (("mlops_gateway_request_seconds_bucket", "toy", "v1", "0.0005"), 1),
        (("mlops_gateway_request_seconds_bucket", "toy", "v1", "0.001"), 2),
        (("mlops_gateway_request_seconds_bucket", "toy", "v1", "10.0"), 2),
        (("mlops_gateway_request_seconds_bucket", "toy", "v1", "+Inf"), 3),
        (("mlops_gateway_request_seconds_count", "toy", "v1"), 3),
        (("mlops_gateway_unlogged_total", "toy", "v1"), 1),
        (("mlops_gateway_lost_total", "toy", "v2"), 1),
        (("mlops_gateway_retries_total", "toy"), 1),
        (("mlops_gateway_refused_total", "", "404"), 2),
        (("mlops_gateway_revision_up", "toy", "v1"), 1),
        (("mlops_gateway_revision_up", "toy", "v2"), 0),
        (("mlops_gateway_traffic_percent", "toy", "v2"), 10),
        (("mlops_gateway_revision_shadow", "toy", "v2"), 1),
        (("mlops_gateway_mirror_copies_total", "toy", "answered"), 3),
        (("mlops_gateway_mirror_copies_total", "toy", "failed"), 2),
        (("mlops_gateway_mirror_copies_total", "toy", "dropped"), 1),
        (("mlops_gateway_log_segments", "toy"), 2),
        (("mlops_gateway_log_segment_bytes", "toy"), 4096),
    ],
)
def test_each_sample_tells_its_number(samples: Samples, key: tuple[str, ...], value: float) -> None:
    assert samples[key] == value


def test_every_name_is_documented() -> None:
    page = Path(__file__).parents[3] / "docs" / "serving.md"
    text = render_metrics([], Traffic(), {}, {})
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert {name for name in names if f"`{name}" not in page.read_text("utf-8")} == set()


def test_a_running_gateway_counts_requests_by_revision_and_what_nobody_answered(
    tmp_path: Path, positive_model: Path, negative_model: Path
) -> None:
    backend = EmbeddedServing(tmp_path)
    shadow = toy_manifest(negative_model, 2, digest="b" * 64)
    backend.apply(with_canary(toy_manifest(positive_model), shadow))
    row = {"x0": 3.0, "x1": -1.0, "hours per day": 0.5}
    with running_gateway(tmp_path, find_free_port(), "--max-body-bytes=1000"):
        backend.wait_ready("toy", 1, 60.0)
        with httpx.Client(base_url=str(backend.url), trust_env=False) as client:
            for n in range(3):
                headers = {"x-revision": "v2"} if n else {}
                body = {"instances": [row]}
                client.post("/v1/models/toy:predict", json=body, headers=headers)
            client.post("/v1/models/toy:predict", json={"instances": []})
            client.post("/v1/models/nobody:predict", json={"instances": [row]})
            client.post("/v1/models/toy:predict", json={"instances": [row] * 50})
            samples = read(client.get("/metrics").text)
    name = "mlops_gateway_requests_total"
    counted = {key[1:]: value for key, value in samples.items() if key[0] == name}
    expected = {("toy", "v1", "200"): 1, ("toy", "v2", "200"): 2, ("toy", "v1", "400"): 1}
    assert counted == expected
    assert samples["mlops_gateway_refused_total", "", "404"] == 1
    assert samples["mlops_gateway_refused_total", "toy", "413"] == 1
    assert samples["mlops_gateway_traffic_percent", "toy", "v1"] == 100
    assert samples["mlops_gateway_revision_up", "toy", "v2"] == 1
    assert samples["mlops_gateway_log_segments", "toy"] == 2
    assert samples["mlops_gateway_log_segment_bytes", "toy"] > 0
