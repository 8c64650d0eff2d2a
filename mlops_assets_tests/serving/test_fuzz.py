"""Nearly right requests on the wire: no 5xx, no lost connection, and nobody else notices.

Together with `predictor/test_openapi.py`: a few thousand requests in `make test`, 100,000 in the
nightly profile (`effort.py`).
"""

import collections
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlops_assets.kserve.manifest import ENTITY_KEY
from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets.serving.gateway.routing import STICKY_HEADER
from mlops_assets.serving.prediction_log.sink import drain_home, open_store
from mlops_assets_tests.serving.effort import fuzzing
from mlops_assets_tests.serving.fuzz import VALUES, truth_bodies, v1_bodies, v2_requests
from mlops_assets_tests.serving.packages import MIXED_ROW
from mlops_assets_tests.serving.running import (
    find_free_port,
    running_gateway,
    running_predictor,
    toy_manifest,
    with_canary,
)
from mlops_assets_tests.serving.wire import Wire, WireAnswer
from mlops_assets_tests.serving.witness import witnessed

V1, V2 = "/v1/models/toy:predict", "/v2/models/toy/infer"
MAX_ROWS = 6
Headers = dict[bytes, bytes]
HEADERS = [
    b"x-revision", b"x-user", b"x-request-id", b"ce-id", b"content-type", b"content-encoding",
    b"x-mlops-shadow", b"x-mlops-probe",
]  # fmt: skip


class Caller:
    """Sends requests on one connection, and on the next one when a server closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.statuses: collections.Counter[int] = collections.Counter()
        self._wire = Wire(port, 30.0)

    def ask(self, path: str, body: bytes, headers: Headers | None = None) -> WireAnswer:
        """The answer, which must be none of a broken server."""
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in (headers or {}).items())
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n".encode()
        sent = self._wire.send(head + lines + b"\r\n" + body)
        answer = self._wire.answer() if sent else None
        assert answer is not None, "the server closed the connection"
        self.statuses[answer.status] += 1
        assert answer.status < 500, answer
        if answer.status >= 400:
            assert set(json.loads(answer.body)) == {"error"}
        if answer.headers.get("connection") == "close":
            self.close()
            self._wire = Wire(self.port, 30.0)
        return answer

    def close(self) -> None:
        self._wire.close()


@contextlib.contextmanager
def calling(port: int, *expected: int) -> Iterator[Caller]:
    """A caller whose requests met all the expected statuses, or the strategies are too tame."""
    caller = Caller(port)
    with witnessed(f"http://127.0.0.1:{port}", MIXED_ROW):
        yield caller
    caller.close()
    assert set(expected) <= set(caller.statuses), caller.statuses


@pytest.fixture(scope="module")
def predictor(mixed_model: Path) -> Iterator[Caller]:
    limits = (f"--max-rows={MAX_ROWS}", "--max-body-bytes=20000", "--model-version=3")
    with (
        running_predictor(mixed_model, *limits) as url,
        calling(int(url.rpartition(":")[2]), 200, 400, 413) as caller,
    ):
        yield caller


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def gateway(home: Path, mixed_model: Path) -> Iterator[Caller]:
    """A gateway with all that decides about a request: an entity, a header, a canary, a shadow."""
    first, second, third = (
        toy_manifest(mixed_model, version, digest="c" * 64) for version in (1, 2, 3)
    )
    both = with_canary(first, second, 50)
    both["spec"]["canary"] += with_canary(first, third)["spec"]["canary"]
    both["metadata"]["annotations"] |= {ENTITY_KEY: "genre", STICKY_HEADER: "x-user"}
    backend = EmbeddedServing(home)
    backend.apply(both)
    backend.set_traffic("toy", {"v1": 50, "v2": 50}, shadow="v3")
    port = find_free_port()
    with running_gateway(home, port):
        backend.wait_ready("toy", 1, 60.0)
        with calling(port, 200, 400) as caller:
            yield caller


@fuzzing(300, 22_000)
@given(body=v1_bodies())
@example(body=b'{"instances":[[1,"x",1e400]]}')
@example(body=b'\xff\xfe{"instances":[]}')
@example(body=b'{"instances":[[1,"caf\xe9",true]]}')
@example(body=b'{"instances":' + b"[" * 9_000)
def test_v1_on_the_wire(predictor: Caller, body: bytes) -> None:
    predictor.ask(V1, body)


@fuzzing(300, 22_000)
@given(request=v2_requests())
@example(request=(b'{"inputs":[', None))
@example(request=(b"{}", 10**30))
def test_v2_on_the_wire(predictor: Caller, request: tuple[bytes, int | None]) -> None:
    predictor.ask(V2, *_with_length(request))


def _with_length(request: tuple[bytes, int | None]) -> tuple[bytes, Headers]:
    body, length = request
    return body, {} if length is None else {
        b"inference-header-content-length": str(length).encode()
    }


@fuzzing(250, 22_000)
@given(
    request=v1_bodies().map(lambda body: (V1, body, None)) | v2_requests().map(lambda r: (V2, *r)),
    headers=st.dictionaries(
        st.sampled_from(HEADERS), VALUES | st.sampled_from([b"v1", b"v2", b"v3", b"v9"]), max_size=3
    ),
)
@example(request=(V1, b'{"instances":[[1,"x",true]]}', None), headers={b"x-revision": b"\xff"})
@example(request=(V1, b'{"instances":[[1,"x",true]]}', None), headers={b"x-user": b"\xff"})
@example(request=(V1, b'{"instances":[[1,"x",true]]}', None), headers={b"x-revision": b"v2"})
@example(request=(V1, b'{"instances":[[1,"x",true]]}', None), headers={b"x-revision": b"v9"})
def test_what_the_gateway_routes_by(
    gateway: Caller, request: tuple[str, bytes, int | None], headers: Headers
) -> None:
    path, body, json_length = request
    _, length = _with_length((body, json_length))
    answer = gateway.ask(path, body, length | headers)
    asked = headers.get(b"x-revision")
    if answer.status == 200 and asked:
        assert answer.headers["x-revision"].encode() == asked


@fuzzing(250, 22_000)
@given(body=truth_bodies())
@example(body=b'{"service":"toy","id":"a","value":1,"time":"0001-01-01T00:00:00"}')
@example(body=b'{"service":"toy","id":"a","value":1,"time":"9999-12-31T23:59:59Z"}')
@example(body=b'{"service":"toy","id":"a","value":1e308}')
def test_ground_truth(gateway: Caller, body: bytes) -> None:
    gateway.ask("/v1/ground-truth", body)


def test_all_that_was_answered_can_be_read_from_the_log(gateway: Caller, home: Path) -> None:
    """Last of this module: what callers sent may break no reader later on."""
    assert gateway.statuses[200] > 0
    drained = drain_home(home)
    assert (drained.n_unreadable, drained.n_failed_segments) == (0, 0)
    store = open_store(home)
    assert store.scan_predictions("toy").collect().height > 0
    assert store.scan_truth("toy").collect().height > 0
