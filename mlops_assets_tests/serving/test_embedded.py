"""The client of the local gateway, where something else answers in its place."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlops_assets.errors import ServingError
from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets.serving.home import ServingHome, write_json


class Stranger(BaseHTTPRequestHandler):
    """Another server, which took the port of a gateway that ended."""

    def do_GET(self) -> None:
        body = b"<html>welcome</html>"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  the name that the base class calls

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EmbeddedServing]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield EmbeddedServing(tmp_path, url=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def test_what_is_no_gateway_is_told_with_what_it_said(backend: EmbeddedServing) -> None:
    said = r"toy answered 200 at 127\.0\.0\.1:\d+: <html>welcome</html>"
    with pytest.raises(ServingError, match=said):
        backend.traffic("toy")
    with pytest.raises(ServingError, match=said):
        backend.predict("toy", [{"x": 1}])


def test_a_deletion_that_breaks_off_leaves_no_split_to_the_next_service_of_the_name(
    tmp_path: Path,
) -> None:
    home = ServingHome.under(tmp_path)
    write_json(home.manifest("toy"), {})
    home.traffic("toy").mkdir(parents=True)  # cannot be removed as a file
    with pytest.raises(OSError, match=r"traffic/toy\.json"):
        EmbeddedServing(tmp_path).delete("toy")
    assert home.manifest("toy").exists()
