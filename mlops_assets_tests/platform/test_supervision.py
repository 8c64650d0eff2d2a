"""Processes that are kept, and processes that must not stay: all real, all small."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mlops_assets.errors import PlatformError
from mlops_assets.platform.environment import Addresses, marked_processes, process_environment
from mlops_assets.platform.home import Home, prepare_home
from mlops_assets.platform.ports import any_port
from mlops_assets.platform.stop import Stop
from mlops_assets.platform.supervision import Server, Supervisor, last_lines, rotate

# Answers 200 at a port, beside a child in a session of its own: nobody's signals reach that one.
SERVE = """
import http.server, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print("serving", flush=True)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
PARENT = """
import os, sys, time
from pathlib import Path
from mlops_assets.platform.environment import Addresses, process_environment
from mlops_assets.platform.home import Home, prepare_home
from mlops_assets.platform.ports import any_port
from mlops_assets.platform.stop import Stop
from mlops_assets.platform.supervision import Server, Supervisor
home = Home(Path(sys.argv[1])); prepare_home(home)
environment = process_environment(os.environ, home, Addresses("127.0.0.1", 1, 2, 3), "killed")
supervisor = Supervisor(home, environment, home.root, "killed", print)
command = (sys.executable, "-c", sys.argv[2], sys.argv[3])
supervisor.start(Server("dummy", command, f"http://127.0.0.1:{sys.argv[3]}/"))
while not supervisor.is_ready("dummy"):
    supervisor.poll(); time.sleep(0.05)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def place(home: Path) -> Home:
    found = Home(home)
    prepare_home(found)
    return found


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def supervisor(place: Home, told: list[str]) -> Iterator[Supervisor]:
    environment = process_environment(os.environ, place, Addresses("127.0.0.1", 1, 2, 3), "test")
    made = Supervisor(place, environment, place.root, "test", told.append)
    yield made
    made.stop()
    assert not list(marked_processes(place))


def dummy(port: int, code: str = SERVE) -> Server:
    """A server of a few lines."""
    command = (sys.executable, "-c", code, str(port))
    return Server("dummy", command, f"http://127.0.0.1:{port}/")


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Waits for what must become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.02)


def is_in_group(process: psutil.Process, group: int) -> bool:
    """Whether a process belongs to the group of an ended one."""
    try:
        return process.pid != group and os.getpgid(process.pid) == group
    except OSError:
        return False


def keep(supervisor: Supervisor, until: Callable[[], object]) -> None:
    """Polls until something is true."""

    def look() -> object:
        supervisor.poll()
        return until()

    wait_until(look)


def test_a_stop_reaches_grandchildren_in_their_own_session(
    supervisor: Supervisor, place: Home
) -> None:
    supervisor.start(dummy(any_port("127.0.0.1")))
    keep(supervisor, lambda: supervisor.is_ready("dummy"))
    assert len(list(marked_processes(place, "test"))) == 3  # it, its child, the guardian
    supervisor.stop()
    assert not list(marked_processes(place))


def test_a_process_that_ignores_the_signal_is_killed(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_assets.platform.supervision.STOP_SECONDS", 0.3)
    supervisor.start(dummy(1, DEAF))
    pid = supervisor.pids()["dummy"]
    time.sleep(0.3)  # until it ignores
    supervisor.stop()
    assert not psutil.pid_exists(pid)


def test_the_second_signal_ends_all_at_once(supervisor: Supervisor) -> None:
    supervisor.start(dummy(1, DEAF))
    pid = supervisor.pids()["dummy"]
    with Stop().listening() as stop:
        stop.supervisor = supervisor
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_asked
        assert psutil.Process(pid).status() != "zombie"
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(lambda: psutil.Process(pid).status() == "zombie")


def test_a_hangup_stops_it_but_not_under_nohup() -> None:
    for under_nohup in (True, False):
        former = signal.signal(signal.SIGHUP, signal.SIG_IGN if under_nohup else signal.SIG_DFL)
        try:
            with Stop().listening() as stop:
                os.kill(os.getpid(), signal.SIGHUP)
                assert stop.is_asked is not under_nohup
        finally:
            signal.signal(signal.SIGHUP, former)


def test_a_server_that_dies_is_started_again(supervisor: Supervisor, told: list[str]) -> None:
    restarted: list[str] = []
    supervisor.on_restart = restarted.append
    supervisor.start(dummy(any_port("127.0.0.1")))
    keep(supervisor, lambda: supervisor.is_ready("dummy"))
    first = supervisor.pids()["dummy"]
    os.kill(first, signal.SIGKILL)
    keep(supervisor, lambda: not supervisor.is_ready("dummy"))
    keep(supervisor, lambda: supervisor.is_ready("dummy"))
    assert supervisor.pids()["dummy"] != first
    assert restarted == ["dummy"]
    assert told[0].startswith("dummy ended by signal 9; starting it again in 1 s; see ")


def test_a_server_that_never_answers_ends_it_all_with_its_last_words(
    supervisor: Supervisor,
) -> None:
    supervisor.start(dummy(1, "import sys; sys.exit('no such table')"))
    with pytest.raises(PlatformError, match=r"dummy ended with code 1 before .*\n  no such table"):
        keep(supervisor, lambda: False)


def test_a_program_that_does_not_exist_is_named(supervisor: Supervisor) -> None:
    with pytest.raises(PlatformError, match="/no/such/program cannot be started"):
        supervisor.start(Server("dummy", ("/no/such/program",), "http://127.0.0.1:1/"))


def test_a_task_hands_over_its_lines(supervisor: Supervisor) -> None:
    lines: list[str] = []
    code = "import sys; print('one'); print('two'); print('aside', file=sys.stderr)"
    task = supervisor.run("task", [sys.executable, "-c", code], lines.append)
    wait_until(lambda: task.exit_code == 0)
    assert lines == ["one", "two"]
    assert last_lines(supervisor.log("task")) == "  aside"


def test_the_number_of_an_ended_task_gets_no_signal(supervisor: Supervisor) -> None:
    """After days of `up` it may be that of somebody else's process; here, of a follower."""
    code = "import os, time; os.fork() or time.sleep(60)"
    task = supervisor.run("task", [sys.executable, "-c", code], print)
    wait_until(lambda: task.process.poll() == 0)
    (follower,) = (p for p in psutil.process_iter() if is_in_group(p, task.process.pid))
    supervisor.poll()
    supervisor.kill()
    time.sleep(0.2)  # a signal would have come
    assert follower.status() != "zombie"


def test_a_server_is_silent_from_its_last_start_on(supervisor: Supervisor) -> None:
    supervisor.start(dummy(any_port("127.0.0.1")))
    assert supervisor.silent_seconds("dummy") < 5
    keep(supervisor, lambda: supervisor.is_ready("dummy"))
    assert supervisor.silent_seconds("dummy") == 0.0
    os.kill(supervisor.pids()["dummy"], signal.SIGKILL)
    keep(supervisor, lambda: not supervisor.is_ready("dummy"))
    assert supervisor.silent_seconds("dummy") == 0.0  # it is started again in a second
    restarted: list[float] = []
    supervisor.on_restart = lambda _: restarted.append(time.monotonic())
    keep(supervisor, lambda: restarted)
    assert supervisor.silent_seconds("dummy") <= time.monotonic() - restarted[0] + 0.1


def test_a_guardian_that_was_killed_is_replaced(supervisor: Supervisor, place: Home) -> None:
    def guardians() -> list[psutil.Process]:
        return list(marked_processes(place))

    wait_until(guardians)  # its environment can be read a moment after it was started
    (guardian,) = guardians()
    guardian.kill()
    wait_until(lambda: not guardians())
    keep(supervisor, guardians)  # its environment is gone a moment before it has ended
    assert len(guardians()) == 1


def test_killing_the_parent_leaves_nothing(place: Home) -> None:
    port = str(any_port("127.0.0.1"))
    arguments = [sys.executable, "-c", PARENT, str(place.root), SERVE, port]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        assert len(list(marked_processes(place, "killed"))) == 3
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        wait_until(lambda: not list(marked_processes(place)), seconds=5)


def test_logs_of_three_starts_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    for number in range(6):
        rotate(log)
        log.write_text(str(number))
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        "gateway.log": "5",
        "gateway.log.1": "4",
        "gateway.log.2": "3",
        "gateway.log.3": "2",
    }


def test_last_lines_of_nothing_say_so(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "none.log") == "  (it is empty)"
