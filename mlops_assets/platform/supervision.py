"""Starts the platform's processes, watches them, and ends them with all that they started.

Each process is the leader of a session and group of its own, so Ctrl-C in the terminal reaches only
`up`, which then stops the others in order. One thread uses a `Supervisor`: `up`'s loop calls
`poll`. Not here: whether a process is started again (`restarts.py`), and what happens when `up`
itself is killed (`guardian.py`).
"""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from mlops_assets.errors import PlatformError
from mlops_assets.platform.environment import kill_marked
from mlops_assets.platform.home import Home
from mlops_assets.platform.restarts import decide_restart

LOGS_KEPT = 3
STOP_SECONDS = 6.0  # from the first signal to the last resort
# What they had started may take this longer. Runs write how they ended; Dagster's code server does
# not end by a signal at all.
_FOLLOWERS_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Server:
    """A process that is to run as long as the platform does.

    Attributes:
        name: Of the process and its log file.
        command: Program and arguments.
        ready_url: Answers 200 once the process does its work.
        stops_its_own: Whether it ends what it has started; else all of that is told to stop too.
    """

    name: str
    command: tuple[str, ...]
    ready_url: str
    stops_its_own: bool = False


@dataclass(slots=True)
class _Running:
    server: Server
    process: subprocess.Popen[bytes]
    state: Literal["starting", "ready", "waiting"] = "starting"
    began: float = field(default_factory=time.monotonic)
    deaths: list[float] = field(default_factory=list)
    restart_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Task:
    """A process that does one thing and ends."""

    process: subprocess.Popen[bytes]
    reader: threading.Thread

    @property
    def exit_code(self) -> int | None:
        """How it ended, once all that it wrote was taken; None before."""
        code = self.process.poll()
        return None if self.reader.is_alive() else code


class Supervisor:
    """The processes of one start of the platform.

    Args:
        home: Whose logs they write.
        environment: Under which they all run.
        folder: Their working folder.
        instance: The mark that they carry.
        tell: Takes a message for people.
    """

    def __init__(
        self,
        home: Home,
        environment: Mapping[str, str],
        folder: Path,
        instance: str,
        tell: Callable[[str], None],
    ) -> None:
        self._home = home
        self._environment = dict(environment)
        self._folder = folder
        self._instance = instance
        self._tell = tell
        self._servers: dict[str, _Running] = {}
        self._tasks: list[subprocess.Popen[bytes]] = []
        self.on_restart: Callable[[str], None] | None = None
        self._guardian = self._start_guardian()

    def start(self, server: Server) -> None:
        """Starts a server; its log begins anew, the former ones are kept beside it."""
        rotate(self.log(server.name))
        self._servers[server.name] = _Running(server, self._spawn(server))

    def run(self, name: str, command: Sequence[str], on_line: Callable[[str], None]) -> Task:
        """Starts a process that does one thing and ends.

        Args:
            name: Of its log file, for what it writes to standard error.
            command: Program and arguments.
            on_line: Takes each line of its standard output, in a thread of its own.
        """
        rotate(self.log(name))
        with self.log(name).open("ab") as log:
            process = self._popen(command, stdout=subprocess.PIPE, stderr=log)
        self._tasks.append(process)

        def read() -> None:
            for line in process.stdout or ():
                on_line(line.decode(errors="replace").rstrip("\n"))

        reader = threading.Thread(target=read, name=f"read-{name}", daemon=True)
        reader.start()
        return Task(process, reader)

    def poll(self) -> None:
        """Looks after every server: notes who is ready, starts again who ended.

        Raises:
            PlatformError: a server ended for good; the message holds its last log lines.
        """
        if self._guardian.poll() is not None:
            self._guardian = self._start_guardian()
        for running in self._servers.values():
            self._look_after(running)
        # The number of an ended process may be another's one day: it gets no signal any more.
        self._tasks = [task for task in self._tasks if task.poll() is None]

    def is_ready(self, name: str) -> bool:
        """Whether a server answered since it was last started."""
        return self._servers[name].state == "ready"

    def silent_seconds(self, name: str) -> float:
        """How long a server has not answered since it was last started; 0.0 once it did, and while
        it waits to be started again."""
        running = self._servers[name]
        return time.monotonic() - running.began if running.state == "starting" else 0.0

    def pids(self) -> dict[str, int]:
        """Process of each server that runs."""
        return {
            name: running.process.pid
            for name, running in self._servers.items()
            if running.process.poll() is None
        }

    def log(self, name: str) -> Path:
        """Log file of a process."""
        return self._home.logs / f"{name}.log"

    def stop(self) -> None:
        """Ends every process and all that they started, within `STOP_SECONDS` and a little."""
        for running in self._servers.values():
            if running.server.stops_its_own:
                running.process.terminate()
            else:
                _signal_group(running.process.pid, signal.SIGTERM)
        for task in self._tasks:
            _signal_group(task.pid, signal.SIGTERM)
        processes = self._processes()
        _wait_while(lambda: any(p.poll() is None for p in processes), STOP_SECONDS)
        _wait_while(lambda: any(map(_has_followers, processes)), _FOLLOWERS_SECONDS)
        self.kill()
        for process in self._processes():
            process.wait()
        self._servers.clear()
        self._tasks.clear()
        self._guardian.communicate()  # closes its pipe: it kills what might be left, and ends
        kill_marked(self._home, self._instance)

    def kill(self) -> None:
        """Ends every process at once. A signal handler may call it."""
        for process in self._processes():
            _signal_group(process.pid, signal.SIGKILL)

    def _processes(self) -> list[subprocess.Popen[bytes]]:
        return [*(running.process for running in self._servers.values()), *self._tasks]

    def _look_after(self, running: _Running) -> None:
        server, now = running.server, time.monotonic()
        if running.state == "waiting":
            if now >= running.restart_at:
                running.process = self._spawn(server)
                running.state, running.began = "starting", now
                if self.on_restart is not None:
                    self.on_restart(server.name)
            return
        code = running.process.poll()
        if code is None:
            if running.state == "starting" and answers(server.ready_url):
                running.state = "ready"
            return
        _signal_group(running.process.pid, signal.SIGKILL)  # what it has left behind
        running.deaths.append(now)
        was_ready = running.state == "ready" or len(running.deaths) > 1
        decision = decide_restart(code, was_ready=was_ready, deaths=running.deaths)
        if decision.action == "give_up":
            raise PlatformError(
                f"{server.name} {decision.reason}. The end of {self.log(server.name)}:\n"
                + last_lines(self.log(server.name))
            )
        self._tell(f"{server.name} {decision.reason}; see {self.log(server.name)}")
        running.state, running.restart_at = "waiting", now + decision.delay_seconds

    def _spawn(self, server: Server) -> subprocess.Popen[bytes]:
        with self.log(server.name).open("ab") as log:
            return self._popen(server.command, stdout=log, stderr=log)

    def _popen(self, command: Sequence[str], **streams: object) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
                list(command),
                stdin=subprocess.DEVNULL,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,
                **streams,
            )
        except OSError as error:
            raise PlatformError(f"{command[0]} cannot be started: {error.strerror}") from error

    def _start_guardian(self) -> subprocess.Popen[bytes]:
        module = "mlops_assets.platform.guardian"
        return subprocess.Popen(
            [sys.executable, "-m", module, str(self._home.root), self._instance],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            start_new_session=True,
        )


def answers(url: str, timeout_seconds: float = 0.5) -> bool:
    """Whether a URL of this machine answers 200. Asks directly, whatever proxy is set."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=timeout_seconds
    )
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def rotate(log: Path) -> None:
    """Moves a log file aside as `.1`, the former ones one further; the oldest is dropped."""
    for number in range(LOGS_KEPT, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        newer = log if number == 1 else log.with_name(f"{log.name}.{number - 1}")
        if newer.exists():
            newer.replace(older)


def last_lines(log: Path, n_lines: int = 20, n_bytes: int = 8_192) -> str:
    """The end of a log file; a note when there is nothing."""
    try:
        with log.open("rb") as opened:
            opened.seek(max(0, log.stat().st_size - n_bytes))
            lines = opened.read().decode(errors="replace").splitlines()
    except OSError:
        lines = []
    return "\n".join(f"  {line}" for line in lines[-n_lines:]) or "  (it is empty)"


def _wait_while(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def _has_followers(process: subprocess.Popen[bytes]) -> bool:
    """Whether others of an ended process's group are still there."""
    if process.poll() is None:
        return False
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _signal_group(leader: int, sent: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, sent)
