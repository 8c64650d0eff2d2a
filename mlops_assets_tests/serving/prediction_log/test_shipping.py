"""From a predictor's segments to the sink: nothing lost, nothing twice, no answer delayed."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from mlops_assets.errors import PlatformError
from mlops_assets.serving.prediction_log.records import encode
from mlops_assets.serving.prediction_log.segments import SegmentWriter, list_segments
from mlops_assets.serving.prediction_log.shipping import (
    Shipper,
    ShippingSettings,
    count_unshipped_bytes,
)
from mlops_assets.serving.prediction_log.sink import drain_home, open_store
from mlops_assets.serving.prediction_log.sink_client import SinkUnavailableError, require_url
from mlops_assets_tests.serving.running import find_free_port, running_module, wait_for
from mlops_assets_tests.serving.sink.events import PREAMBLE, record
from mlops_assets_tests.serving.sink.test_server import running_sink

Answer = tuple[int, dict[str, str]]


@contextlib.contextmanager
def sink(
    answer: Callable[[list[str], dict[str, str]], Answer], *, leaves: bool = False
) -> Iterator[str]:
    """A sink that is a function from ids and headers to a status and headers.

    One that leaves ends each connection after an answer, without a word.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            sent = {name.lower(): value for name, value in self.headers.items()}
            status, headers = answer([event["id"] for event in json.loads(body)], sent)
            self.send_response(status)
            for name, value in {"content-length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.close_connection = self.close_connection or leaves

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/events"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SegmentWriter]:
    """Ten predictions in a segment that somebody still appends to."""
    writer = SegmentWriter(tmp_path / "log", encode(PREAMBLE))
    for n in range(10):
        writer.append(record(f"p{n}"))
    yield writer
    writer.close()


def shipper(tmp_path: Path, url: str, **more: Any) -> Shipper:
    return Shipper(ShippingSettings(folder=tmp_path / "log", url=url, **more))


def test_what_was_taken_is_not_sent_again_and_goes_when_its_writer_did(
    tmp_path: Path, log: SegmentWriter
) -> None:
    seen: list[str] = []

    def take(ids: list[str], headers: dict[str, str]) -> Answer:
        assert headers["authorization"] == "Bearer secret"
        assert headers["content-type"] == "application/cloudevents-batch+json"
        seen.extend(ids)
        return 200, {}

    (tmp_path / "token").write_text("secret\n")
    with sink(take) as url:
        settings = {"token_file": tmp_path / "token"}
        assert count_unshipped_bytes(tmp_path / "log") > 0
        assert shipper(tmp_path, url, **settings).ship() == 10
        assert count_unshipped_bytes(tmp_path / "log") == 0
        log.append(record("p10"))
        assert shipper(tmp_path, url, **settings).ship() == 1  # as a process started anew
        log.close()
        assert shipper(tmp_path, url, **settings).ship() == 0
    assert seen == [f"p{n}" for n in range(11)]
    assert not list((tmp_path / "log").iterdir())


@pytest.mark.parametrize(("status", "header"), [(503, {"retry-after": "7"}), (401, {}), (404, {})])
def test_a_sink_that_takes_nothing_loses_nothing(
    tmp_path: Path, log: SegmentWriter, status: int, header: dict[str, str]
) -> None:
    with sink(lambda _ids, _headers: (status, header)) as url:
        with pytest.raises(SinkUnavailableError, match=str(status)) as raised:
            shipper(tmp_path, url).ship()
        assert raised.value.retry_after_seconds == (7.0 if header else None)
    log.close()
    with pytest.raises(SinkUnavailableError):  # nobody listens any more
        shipper(tmp_path, url).ship()
    with sink(lambda _ids, _headers: (200, {})) as url:
        assert shipper(tmp_path, url).ship() == 10


def test_a_connection_that_the_sink_ended_meanwhile_is_no_sink_that_is_gone(
    tmp_path: Path, log: SegmentWriter
) -> None:
    with sink(lambda _ids, _headers: (200, {}), leaves=True) as url:
        shipping = shipper(tmp_path, url)
        assert shipping.ship() == 10
        for n in range(3):
            log.append(record(f"later{n}"))
            assert shipping.ship() == 1


def test_what_is_refused_for_its_content_is_put_aside_and_the_rest_arrives(
    tmp_path: Path, log: SegmentWriter
) -> None:
    seen: list[str] = []

    def take(ids: list[str], _headers: dict[str, str]) -> Answer:
        if "p3" in ids or len(ids) > 4:
            return 400 if len(ids) < 4 else 413, {}
        seen.extend(ids)
        return 200, {}

    log.append(b"no record")
    with sink(take) as url:
        assert shipper(tmp_path, url).ship() == 9
    assert seen == [f"p{n}" for n in range(10) if n != 3]
    (aside,) = (tmp_path / "log").glob("*.refused")
    assert (b"p3" in aside.read_bytes(), b"no record" in aside.read_bytes()) == (True, True)


@pytest.mark.parametrize(
    ("damaged", "n_taken"),
    [
        pytest.param("p3", 9, id="a_record_those_after_it_are_shipped"),
        pytest.param("toy", 0, id="the_preamble_nothing_can_be_shipped"),
    ],
)
def test_a_damaged_segment_is_kept(
    tmp_path: Path, log: SegmentWriter, damaged: str, n_taken: int
) -> None:
    log.close()
    (path,) = list_segments(tmp_path / "log")
    content = path.read_bytes().replace(damaged.encode(), b"?" * len(damaged), 1)
    path.write_bytes(content)
    seen: list[str] = []

    def take(ids: list[str], _headers: dict[str, str]) -> Answer:
        seen.extend(ids)
        return 200, {}

    with sink(take) as url:
        assert shipper(tmp_path, url).ship() == n_taken
        assert shipper(tmp_path, url).ship() == 0
    assert len(seen) == n_taken
    (kept,) = (tmp_path / "log").iterdir()
    assert (kept.suffix, kept.read_bytes()) == (".damaged", content)


@pytest.mark.parametrize("url", ["sink:8080", "ftp://sink", "http://", "http://sink:port"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(PlatformError, match="expected http://HOST:PORT"):
        require_url(url)
    require_url("https://sink.mlops:8443/v1/events")


def test_predictions_reach_the_tables_through_kills_of_predictor_shipper_and_sink(
    tmp_path: Path, positive_model: Path
) -> None:
    port, sink_port = find_free_port(), find_free_port()
    arguments = [
        "--model-name=toy", f"--model-dir={positive_model}", "--model-version=1",
        f"--port={port}", f"--log-dir={tmp_path / 'log'}",
        f"--log-sink=http://127.0.0.1:{sink_port}",
    ]  # fmt: skip
    answered: list[str] = []

    def ask(client: httpx.Client, n: int) -> float:
        """Longest wait for one of n answers."""
        longest = 0.0
        for _ in range(n):
            began = time.monotonic()
            answer = client.post("/v1/models/toy:predict", json={"instances": [[1, 2, 3]]})
            longest = max(longest, time.monotonic() - began)
            answered.append(answer.json()["id"])
        return longest

    def predictor() -> Any:
        return running_module("mlops_assets.serving.predictor", *arguments)

    with predictor() as first, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        wait_for(f"http://127.0.0.1:{port}/v2/health/ready", first)
        assert ask(client, 20) < 10.0  # there is no sink, and nobody waits 30 s for one
        lines = client.get("/metrics").text.splitlines()
        unshipped = next(line for line in lines if line.startswith("mlops_unshipped_bytes"))
        assert int(unshipped.split()[-1]) > 0
        for child in psutil.Process(first.pid).children():
            child.kill()
        first.kill()
        first.wait()
    with predictor() as second, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        wait_for(f"http://127.0.0.1:{port}/v2/health/ready", second)
        with running_sink(tmp_path, sink_port) as taking:
            ask(client, 20)
            deadline = time.monotonic() + 60
            while count_unshipped_bytes(tmp_path / "log"):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            ask(client, 5)
            taking.kill()
            taking.wait()
        with running_sink(tmp_path, sink_port):
            ask(client, 5)
            second.terminate()  # what is left is shipped before it ends
            assert second.wait(60) == 0
            assert not list_segments(tmp_path / "log")
    drain_home(tmp_path)
    frame = open_store(tmp_path).scan_predictions("toy").collect()
    assert sorted(frame["prediction_id"]) == sorted(answered)
    assert set(frame["model_version"]) == {"1"}
    assert len(answered) == 50
