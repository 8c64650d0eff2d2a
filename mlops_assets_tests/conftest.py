"""What every test runs under: no telemetry, no address but this machine's, no home but its own."""

import gc
import ipaddress
import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Before anything imports the libraries that read them.
os.environ.update(
    DAGSTER_DISABLE_TELEMETRY="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="1",
    OMP_NUM_THREADS="1",  # tests run side by side; more threads only wait for each other
)
for _name in ("MLOPS_HOME", "DAGSTER_HOME", "MUSIC_THERAPY_DATA"):
    os.environ.pop(_name, None)


settings.register_profile("machine", deadline=None)  # a busy machine is no failure
settings.register_profile("nightly", deadline=None)  # --hypothesis-profile=nightly: much more
settings.load_profile("machine")


class NetworkForbidden(Exception):  # noqa: N818 - a test's outcome, not an error of the product
    """A test tried to reach another machine."""


def _require_loopback(address: Any) -> None:
    if not isinstance(address, tuple):
        return  # a Unix socket
    host = str(address[0])
    if host in ("localhost", ""):
        return
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise NetworkForbidden(f"a connection to {address}")


@pytest.fixture(autouse=True, scope="session")
def only_loopback(request: pytest.FixtureRequest) -> Iterator[None]:
    """Refuses connections and name look-ups beyond this machine, in the tests' own process; not
    where nothing but the tests of a real cluster is asked for (`-m cluster`)."""
    if request.config.getoption("markexpr") == "cluster":
        yield
        return
    connect, connect_ex, resolve = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _require_loopback(address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _require_loopback(address)
        return connect_ex(self, address)

    def guarded_resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        _require_loopback((host or "", 0))
        return resolve(host, *args, **kwargs)

    socket.socket.connect = guarded_connect  # type: ignore[assignment, method-assign]
    socket.socket.connect_ex = guarded_connect_ex  # type: ignore[assignment, method-assign]
    socket.getaddrinfo = guarded_resolve
    yield
    socket.socket.connect = connect  # type: ignore[method-assign]
    socket.socket.connect_ex = connect_ex  # type: ignore[method-assign]
    socket.getaddrinfo = resolve


@pytest.fixture(autouse=True, scope="session")
def stoppable() -> None:
    """Has processes that tests start end at SIGTERM, also when pytest runs in the background.

    SIGINT is ignored there, and Dagster treats SIGTERM as it finds SIGINT: after a run in this
    process both would be ignored, here and in every process started later.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What is imported stays: garbage collection need not walk through it in each test."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test has an id of its own. The longest begin first, and the others fill the cores."""
    _tell_apart(items)
    longest = ("/integration/", "/kubernetes_runs/test_faults", "/kubernetes_runs/test_pipeline")
    items.sort(key=lambda item: not any(part in item.nodeid for part in longest))


def _tell_apart(items: list[pytest.Item]) -> None:
    """Of tests with one id xdist runs one and forgets the others. All operations of an API have
    one: schemathesis writes them into the names, of which pytest 9.2 makes no ids."""
    n_of = Counter(item.nodeid for item in items)
    for item in items:
        operation = item.name.partition("[")[2].removesuffix("]")
        if n_of[item.nodeid] > 1 and operation:
            item._id = item.id.with_params(operation)
    twins = [name for name, n in Counter(item.nodeid for item in items).items() if n > 1]
    if twins:
        raise pytest.UsageError(f"tests with the same id, of which only one would run: {twins}")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty MLOPS_HOME."""
    return tmp_path / "home"
