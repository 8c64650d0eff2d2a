"""What a service says to its example, asked over real HTTP."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mlops_assets.errors import ServingError
from mlops_assets.platform.ports import any_port
from mlops_assets.platform.probe import ask, predict


@contextmanager
def gateway(status: int, body: str) -> Iterator[str]:
    """A gateway that says the same to everybody."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # health
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "version", "problem"),
    [
        pytest.param(200, {"predictions": [1], "model_version": "3"}, 3, None, id="answer"),
        pytest.param(200, {"predictions": [1]}, None, None, id="without_version"),
        pytest.param(
            200, {"predictions": [1, 2]}, None, "2 answers to 1 rows", id="too_many_answers"
        ),
        pytest.param(
            503, {"error": "nothing is ready"}, None, "churn: 503: nothing is ready", id="refused"
        ),
        pytest.param(502, "<html>", None, "churn answered 502: <html>", id="no_json"),
    ],
)
def test_probe_table(status: int, body: object, version: int | None, problem: str | None) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    with gateway(status, text) as url:
        probe = ask(url, "churn", [{"age": 31}])
    assert (probe.version, probe.problem) == (version, problem)


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8080", "localhost:8080", "https://box", "http://box:99999", "http://box:1/v2", ""],
)
def test_what_is_no_url_of_a_gateway_is_named(url: str) -> None:
    with pytest.raises(ServingError, match=f"^{url}: "):
        predict(url, "churn", [{"age": 31}])


def test_nobody_listening_tells_what_to_do() -> None:
    url = f"http://127.0.0.1:{any_port('127.0.0.1')}"
    with pytest.raises(ServingError, match=f"nothing listens at {url}; start it with"):
        predict(url, "churn", [{"age": 31}])
