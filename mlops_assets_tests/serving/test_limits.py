"""Callers who send too much, too slowly or nonsense: refused, and no other caller notices."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets.serving.process import allow_open_files
from mlops_assets_tests.serving.running import (
    Server,
    find_free_port,
    running_gateway,
    running_module,
    toy_manifest,
    wait_for,
)
from mlops_assets_tests.serving.wire import JSON, Wire, connected, request_bytes
from mlops_assets_tests.serving.witness import witnessed

PREDICT = "/v1/models/toy:predict"
ROW = {"x0": 3.0, "x1": -1.0, "hours per day": 0.5}
BODY = b'{"instances": [[3, -1, 0.5]]}'
HUGE = 100_000_000
CHUNKED = f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\n{JSON}transfer-encoding: chunked\r\n\r\n".encode()
N_SLOW = 1_200
BODY_SECONDS = 4


@dataclass(frozen=True)
class Target:
    """A server under attack."""

    port: int
    process: Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory_bytes(self) -> int:
        root = psutil.Process(self.process.pid)
        return sum(p.memory_info().rss for p in (root, *root.children(recursive=True)))


@contextlib.contextmanager
def predictor(home: Path, model: Path) -> Iterator[Target]:
    port = find_free_port()
    arguments = ("--model-name=toy", f"--model-dir={model}", f"--port={port}")
    patience = f"--max-body-seconds={BODY_SECONDS}"
    with running_module("mlops_assets.serving.predictor", *arguments, patience) as process:
        wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process)
        yield Target(port, process)


@contextlib.contextmanager
def gateway(home: Path, model: Path) -> Iterator[Target]:
    backend = EmbeddedServing(home)
    backend.apply(toy_manifest(model))
    port = find_free_port()
    with running_gateway(home, port, f"--max-body-seconds={BODY_SECONDS}") as process:
        backend.wait_ready("toy", 1, 60.0)
        yield Target(port, process)


@pytest.fixture(scope="module", params=[predictor, gateway], ids=["predictor", "gateway"])
def target(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    positive_model: Path,
) -> Iterator[Target]:
    home = tmp_path_factory.mktemp("home")
    with request.param(home, positive_model) as running, witnessed(running.url, ROW):
        yield running


def test_a_body_that_is_declared_too_long_is_refused_before_it_comes(target: Target) -> None:
    with connected(target.port) as wire:
        wire.send(request_bytes("POST", PREDICT, length=HUGE))
        answer = wire.answer()
        assert answer is not None
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert b"expected at most 8,000,000 bytes, found 100,000,000" in answer.body
        assert wire.is_closed()


def test_a_caller_who_waits_for_leave_to_send_too_much_gets_none(target: Target) -> None:
    with connected(target.port) as wire:
        expect = f"{JSON}expect: 100-continue\r\n"
        wire.send(request_bytes("POST", PREDICT, headers=expect, length=HUGE))
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 413
    with connected(target.port) as wire:
        wire.send(request_bytes("POST", PREDICT, headers=expect, length=len(BODY)))
        leave = wire.answer()
        wire.send(BODY)
        answer = wire.answer()
        assert leave is not None
        assert answer is not None
        assert (leave.status, answer.status) == (100, 200)


def test_a_body_without_a_declared_length_is_cut_at_the_limit(target: Target) -> None:
    before = target.memory_bytes()
    with connected(target.port) as wire:
        wire.send(CHUNKED)
        chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        n_sent = 0
        while n_sent < HUGE and wire.send(chunk):
            n_sent += 65_536
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 413
        assert n_sent < HUGE / 2
    assert target.memory_bytes() - before < 60_000_000


def test_a_common_client_that_sends_too_much_reads_why(target: Target) -> None:
    answer = httpx.post(
        target.url + PREDICT, content=bytes(HUGE), headers={"content-type": "application/json"},
        trust_env=False, timeout=20,
    )  # fmt: skip
    assert (answer.status_code, "8,000,000" in answer.json()["error"]) == (413, True)


def test_requests_sent_at_once_are_answered_in_order(target: Target) -> None:
    with connected(target.port) as wire:
        for name in "abc":
            wire.send(request_bytes("POST", PREDICT, BODY, headers=f"{JSON}ce-id: {name}\r\n"))
        wire.send(request_bytes("GET", "/v2/health/live"))
        answers = [wire.answer() for _ in range(4)]
    assert [answer.status for answer in answers if answer] == [200] * 4
    assert [answer.headers.get("x-request-id") for answer in answers if answer] == [*"abc", None]


@pytest.mark.parametrize("how", ["half_closed", "closed"])
def test_a_body_that_ends_too_early_is_no_request(target: Target, how: str) -> None:
    with connected(target.port) as wire:
        wire.send(request_bytes("POST", PREDICT, BODY, length=len(BODY) + 50))
        if how == "closed":
            return
        wire.end_sending()
        answer = wire.answer()
        assert answer is None or answer.status == 400


@pytest.mark.parametrize("path", ["/", "/v1/models", "/v1/models/toy", "/v2/health/live"])
def test_head_is_get_without_the_body(target: Target, path: str) -> None:
    with connected(target.port) as wire:
        wire.send(request_bytes("HEAD", path) + request_bytes("GET", "/v2/health/live"))
        head, after = wire.answer(to_head=True), wire.answer()
        assert head is not None
        assert after is not None
        assert (head.status, after.status, after.body) == (200, 200, b'{"live":true}')


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "CONNECT"])
@pytest.mark.parametrize("path", ["/", PREDICT, "/v2/models/toy"])
def test_other_methods_are_refused_and_the_right_one_is_named(
    target: Target, method: str, path: str
) -> None:
    with connected(target.port) as wire:
        wire.send(request_bytes(method, path))
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 405
        assert answer.headers["allow"] == ("POST" if path == PREDICT else "GET")


def test_a_method_that_nobody_knows_is_refused(target: Target) -> None:
    with connected(target.port) as wire:
        wire.send(request_bytes("WHATEVER", PREDICT))
        answer = wire.answer()
        assert answer is not None
        assert answer.status in (400, 405)  # the gateway's parser knows the registered ones only
        assert b"ethod" in answer.body


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        pytest.param("".join(f"x-{n}: 1\r\n" for n in range(10_000)), {431}, id="many"),
        pytest.param(f"x: {'a' * 1_000_000}\r\n", {431}, id="long"),
        pytest.param(f"{JSON}content-length: 5\r\n", {400}, id="two_lengths"),
        pytest.param(f"{JSON}transfer-encoding: chunked\r\n", {400}, id="length_and_chunks"),
        pytest.param("no colon\r\n", {400}, id="no_header"),
        pytest.param(f"{JSON}x: \x00\r\n", {400}, id="nul"),
        pytest.param(f"{JSON}x-request-id: \xff\r\n", {400}, id="id_of_other_bytes"),
        pytest.param(f"{JSON}x-revision: \xff\xfe\r\n", {200, 404}, id="revision_of_other_bytes"),
        pytest.param(f"{JSON}content-encoding: gzip\r\n", {415}, id="compressed"),
    ],
)
def test_headers_that_are_too_much_or_nonsense_are_refused(
    target: Target, headers: str, statuses: set[int]
) -> None:
    with connected(target.port) as wire:
        wire.send(request_bytes("POST", PREDICT, BODY, headers=headers))
        answer = wire.answer()
        assert answer is not None
        assert answer.status in statuses


@pytest.mark.parametrize("query", ["a=1&b=%20", "für", "名前"])
def test_a_query_of_whatever_letters_is_no_defect(target: Target, query: str) -> None:
    first, rest = request_bytes("POST", PREDICT, BODY, headers=JSON).split(b" HTTP", 1)
    with connected(target.port) as wire:
        wire.send(first + f"?{query}".encode() + b" HTTP" + rest)
        answer = wire.answer()
        assert answer is not None
        # Letters should be escaped: the gateway's parser wants it so, the predictor's does not.
        assert answer.status == 200 or (answer.status == 400 and b"url query" in answer.body)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/toy%0d%0ax:%20y:predict", "/v1/models/toy%00:predict", "/v1/models/%ff:predict",
        "/v1/models/toy:predict%0d%0ahost:%20z", "/v1/models/../../etc/passwd", "/" + "a" * 100_000,
        "/v1/models/toy/../toy:predict", "/v1/models/%74oy%2f:predict", "*",
    ],
)  # fmt: skip
def test_paths_that_are_nonsense_are_refused(target: Target, path: str) -> None:
    with connected(target.port) as wire:
        wire.send(request_bytes("POST", path, BODY))
        answer = wire.answer()
        assert answer is not None
        assert 400 <= answer.status < 500


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x02\x00\x01" + bytes(99), b"\r\n\r\n", b"GET\r\n\r\n", bytes(9_999)],
    ids=["tls", "empty_lines", "half_a_line", "zeros"],
)
def test_what_is_not_http_is_ended(target: Target, data: bytes) -> None:
    with connected(target.port) as wire:
        wire.send(data)
        wire.end_sending()
        answer = wire.answer()
        assert answer is None or answer.status == 400


def test_slow_callers_however_many_hold_nobody_up_and_are_sent_away(target: Target) -> None:
    allow_open_files(2 * N_SLOW)
    slow: list[Wire] = []
    try:
        for n in range(N_SLOW):
            slow.append(Wire(target.port, timeout_seconds=20.0))
            # Half of them never end their headers, the others their body.
            whole = request_bytes("POST", PREDICT, BODY[:1], length=len(BODY))
            slow[-1].send(whole[:30] if n % 2 else whole)
        answer = httpx.post(
            target.url + PREDICT, json={"instances": [ROW]}, trust_env=False, timeout=5
        )
        assert answer.status_code == 200
        refused = slow[0].answer()
        assert refused is not None
        assert (refused.status, refused.headers["connection"]) == (408, "close")
        assert f"in {BODY_SECONDS} s" in refused.body.decode()
    finally:
        for wire in slow:
            wire.close()


def test_no_process_ended_and_none_wrote_a_traceback(target: Target) -> None:
    assert target.process.poll() is None
    assert "Traceback" not in target.process.log()
