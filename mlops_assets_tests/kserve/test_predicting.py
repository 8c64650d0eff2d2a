"""What a gateway may answer, and what is told of it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from mlops_assets.errors import AnsweredError, ServingError
from mlops_assets.kserve.predicting import PredictCall


@contextmanager
def gateway(status: int, body: bytes, version: str | None = None) -> Iterator[str]:
    """A gateway that answers one request."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            if version is not None:
                self.send_header("x-model-version", version)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        pytest.param(400, b'{"error": "no x0"}', "toy answered 400: no x0", id="wrong_rows"),
        pytest.param(404, b"no such host", "toy answered 404: no such host", id="no_route"),
        pytest.param(200, b"<h1>Log in</h1>", "no JSON.*<h1>Log in</h1>", id="a_page_to_log_in"),
    ],
)
def test_what_is_no_prediction_is_told(status: int, body: bytes, words: str) -> None:
    with gateway(status, body) as url, httpx.Client(trust_env=False) as client:
        call = PredictCall("toy", "http://toy.example.com", url, client)
        with pytest.raises(ServingError, match=words) as caught:
            call.send([{"x0": 1.0}])
    assert not isinstance(caught.value, AnsweredError)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        pytest.param(500, b'{"error": "it broke"}', "toy answered 500: it broke", id="error"),
        pytest.param(200, b"nonsense", "no JSON.*nonsense", id="no_json"),
    ],
)
def test_what_a_version_itself_answers_is_known_by_its_header(
    status: int, body: bytes, words: str
) -> None:
    with gateway(status, body, "7") as url, httpx.Client(trust_env=False) as client:
        call = PredictCall("toy", "http://toy.example.com", url, client)
        with pytest.raises(AnsweredError, match=words) as caught:
            call.send([{"x0": 1.0}])
    assert caught.value.status == status


def test_a_gateway_that_does_not_answer_is_told_with_what_to_set() -> None:
    with httpx.Client(trust_env=False) as client:
        call = PredictCall("toy", "http://127.0.0.1:9", None, client)
        with pytest.raises(ServingError, match=r"did not answer.*set the gateway's address"):
            call.send([{"x0": 1.0}])
