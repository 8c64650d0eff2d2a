"""What predictors count, read from their pods and from Prometheus."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from mlops_assets.errors import ServingError
from mlops_assets.kserve.counters import Counters, Reading, Window, bins_of, read_exposition
from mlops_assets.kserve.pod_metrics import PodMetrics
from mlops_assets.kserve.prometheus import PrometheusMetrics, QueryTemplates
from mlops_assets.serving.predictor.metrics import BUCKETS_SECONDS, Metrics
from mlops_assets_tests.kserve.site import Site, running_site
from mlops_assets_tests.kubernetes.faults import Fault
from mlops_assets_tests.serving.backend_contract import POSITIVE
from mlops_assets_tests.serving.running import toy_manifest, with_canary

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EVER = Window(datetime(2020, 1, 1, tzinfo=UTC), NOW)


def test_the_predictors_own_page_is_read() -> None:
    metrics = Metrics(2)
    for worker, (status, seconds) in enumerate([(200, 0.003), (500, 0.1)]):
        metrics.use_row(worker)
        metrics.counters().count(0, status, seconds, 1)
    metrics.counters().count(1, 200, 99.0, 1)
    metrics.use_row(0)
    metrics.counters().count(1, 400, 0.1, 1)
    found = read_exposition(metrics.render("toy", "1"))
    assert (found.n_requests, found.n_errors, sum(found.bins)) == (4, 2, 2)
    assert found.bins[BUCKETS_SECONDS.index(0.005)] == 1  # in (0.0025, 0.005]
    assert found.bins[-1] == 1


def test_bins_are_the_differences_of_prometheus_buckets() -> None:
    assert bins_of({0.0005: 1, 0.001: 1, 0.0025: 4, float("inf"): 9})[:4] == (1, 0, 3, 0)
    assert bins_of({0.0005: 1, float("inf"): 9})[-1] == 8
    assert sum(bins_of({})) == 0


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running_site() as made:
        yield made


@pytest.fixture
def both(site: Site, positive_model: Path, negative_model: Path) -> Iterator[Site]:
    first = site.live(positive_model)
    canary = toy_manifest(negative_model, 2, digest="b" * 64)
    site.client().apply(with_canary(first, canary, 50))
    site.client().wait_ready("toy", 1, 60.0)
    yield site
    site.clean()


def ask(site: Site, n: int) -> None:
    for _ in range(n):
        site.client().predict("toy", [POSITIVE])


def window(seconds: float = 3600) -> Window:
    now = datetime.now(UTC)
    return Window(now - timedelta(seconds=seconds), now)


def total(reading: Reading) -> int:
    return sum(counters.n_requests for counters in reading.counters.values())


def test_pods_count_from_when_the_window_began(both: Site) -> None:
    reader = PodMetrics(both.api)
    ask(both, 10)
    later = window(-3600)  # began after the pods did: what they counted before is another step's
    first = reader.read("toy", ["v1", "v2"], later, "")
    assert {name: c.n_requests for name, c in first.counters.items()} == {"v1": 0, "v2": 0}
    ask(both, 20)
    second = reader.read("toy", ["v1", "v2"], later, first.cursor)
    assert sum(c.n_requests for c in second.counters.values()) == 20
    assert all(c.n_requests == 10 and sum(c.bins) == 10 for c in second.counters.values())
    again = reader.read("toy", ["v1", "v2"], later, second.cursor)
    assert again.counters == second.counters


def test_an_older_pod_that_was_silent_at_the_first_look_brings_nothing_from_before(
    both: Site,
) -> None:
    """What a pod counted in weeks before the window would outweigh all that is compared."""
    reader = PodMetrics(both.api)
    ask(both, 10)
    later = window(-3600)
    both.cluster.api.faults.order(Fault("get", "pods/proxy", 500, times=4))
    first = reader.read("toy", ["v1", "v2"], later, "")
    assert len(first.counters) == 1
    second = reader.read("toy", ["v1", "v2"], later, first.cursor)
    assert {name: c.n_requests for name, c in second.counters.items()} == {"v1": 0, "v2": 0}


def test_pods_that_began_within_the_window_count_from_zero(both: Site) -> None:
    ask(both, 10)
    found = PodMetrics(both.api).read("toy", ["v1", "v2"], window(), "")
    assert total(found) == 10
    alone = PodMetrics(both.api).read("toy", ["v1"], window(), "")
    assert alone.counters == {"v1": found.counters["v1"]}


def test_a_pod_that_begins_anew_loses_nothing_that_was_read(both: Site) -> None:
    reader = PodMetrics(both.api)
    ask(both, 10)
    first = reader.read("toy", ["v1", "v2"], window(), "")
    both.cluster.workloads.restart()
    ask(both, 4)
    second = reader.read("toy", ["v1", "v2"], window(), first.cursor)
    assert (total(first), total(second)) == (10, 14)


def test_pods_that_do_not_answer_are_an_error_and_one_of_two_is_none(both: Site) -> None:
    reader = PodMetrics(both.api)
    both.cluster.api.faults.order(Fault("get", "pods/proxy", 500, times=4))
    found = reader.read("toy", ["v1", "v2"], window(), "")
    assert len(found.counters) == 1
    both.cluster.api.faults.order(Fault("get", "pods/proxy", 500, times=8))
    with pytest.raises(ServingError, match="no pod of toy told its counters"):
        reader.read("toy", ["v1", "v2"], window(), "")


Answer = Callable[[str], tuple[int, Any]]


@contextmanager
def prometheus(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, content = answer(parse_qs(body)["query"][0])
            raw = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def vector(*samples: tuple[dict[str, str], str]) -> tuple[int, Any]:
    result = [{"metric": labels, "value": [0, value]} for labels, value in samples]
    return 200, {"status": "success", "data": {"resultType": "vector", "result": result}}


def test_prometheus_is_asked_for_each_revision_and_window() -> None:
    asked = []

    def answer(query: str) -> tuple[int, Any]:
        asked.append(query)
        if "bucket" in query:
            return vector(({"le": "0.005"}, "90.2"), ({"le": "+Inf"}, "99.8"))
        return vector(({}, "2.6" if "5xx" in query else "100.4"))

    with prometheus(answer) as url:
        reader = PrometheusMetrics(url, "models")
        found = reader.read("toy", ["v1"], Window(NOW - timedelta(seconds=90), NOW), "")
    counted = found.counters["v1"]
    assert (counted.n_requests, counted.n_errors) == (100, 3)
    assert (counted.bins[3], counted.bins[-1], sum(counted.bins)) == (90, 10, 100)
    assert asked[0] == (
        'sum(increase(mlops_requests_total{namespace="models",pod=~"toy-v1-predictor-.+"}[90s]))'
    )


def test_no_series_is_not_zero_and_not_a_number_is_no_number() -> None:
    def answer(query: str) -> tuple[int, Any]:
        return vector() if "v2" in query else vector(({}, "NaN" if "5xx" in query else "7"))

    with prometheus(answer) as url:
        found = PrometheusMetrics(url, "models").read("toy", ["v1", "v2"], EVER, "")
    assert found.counters == {"v1": Counters(7, 0)}


@pytest.mark.parametrize(
    ("status", "content", "words"),
    [
        (400, {"status": "error", "error": "parse error"}, "refused .*parse error"),
        (200, "gone", "did not answer as it should: 200 .*gone"),
        (401, "Unauthorized", "did not answer as it should: 401 .*Unauthorized"),
        (200, {"status": "success"}, "did not answer as it should"),
    ],
)
def test_a_prometheus_that_fails_is_an_error(status: int, content: Any, words: str) -> None:
    with prometheus(lambda _: (status, content)) as url, pytest.raises(ServingError, match=words):
        PrometheusMetrics(url, "models").read("toy", ["v1"], EVER, "")


def test_no_prometheus_is_an_error() -> None:
    with pytest.raises(ServingError, match="did not answer"):
        PrometheusMetrics("http://127.0.0.1:9", "models").read("toy", ["v1"], EVER, "")


def test_templates_may_be_others() -> None:
    asked = []

    def answer(query: str) -> tuple[int, Any]:
        asked.append(query)
        return vector()

    templates = QueryTemplates(requests='n{rev="{revision}",svc="{service}"}')
    with prometheus(answer) as url:
        PrometheusMetrics(url, "models", templates).read("toy", ["v1"], EVER, "")
    assert asked == ['n{rev="v1",svc="toy"}']
