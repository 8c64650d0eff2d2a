"""A real PostgreSQL server for tests: Debian's package, on a free port, gone afterwards.

It refuses to run as root, so then it runs as the user `postgres` that its package brings.
"""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from mlops_assets_tests.with_parent import with_parent

_DEBIAN = Path("/usr/lib/postgresql")
_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server; everybody on this machine may connect.

    Attributes:
        host: Address it listens on.
        port: Its port.
        user: Its superuser.
    """

    host: str
    port: int
    user: str

    def create(self, database: str) -> str:
        """An empty database; its URL."""
        connection = psycopg2.connect(
            host=self.host, port=self.port, user=self.user, dbname="postgres"
        )
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{database}"')
        connection.close()
        return f"postgresql://{self.user}@{self.host}:{self.port}/{database}"


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server with empty storage; the test is skipped where none can be had."""
    programs = _find_programs()
    user = "postgres" if os.geteuid() == 0 else getpass.getuser()
    root = Path(tempfile.mkdtemp(prefix="postgres-"))  # not below pytest's folders: those are 0700
    if os.geteuid() == 0:
        shutil.chown(root, user)
    data, port = root / "data", _free_port()
    run_as = {"user": user} if os.geteuid() == 0 else {}
    initdb = [str(programs / "initdb"), "-D", str(data), "-U", user, "-A", "trust", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, cwd=root, **run_as)  # type: ignore[call-overload]
    settings = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]
    server = [
        *with_parent("INT"),
        str(programs / "postgres"),
        "-D",
        str(data),
        "-k",
        str(root),
        "-p",
        str(port),
    ]
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(  # type: ignore[call-overload]
            [*server, *settings], cwd=root, stdout=log, stderr=log, **run_as
        )
    try:
        found = Postgres("127.0.0.1", port, user)
        _wait(found, process, root / "log")
        yield found
    finally:
        process.terminate()  # smart: it waits for nobody but what was left open
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.send_signal(2)  # fast: it ends the sessions
            process.wait(20)
        shutil.rmtree(root, ignore_errors=True)


def _find_programs() -> Path:
    """The newest server's programs; installs Debian's package when this is root on Debian."""
    if not any(_DEBIAN.glob("*/bin/postgres")):
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            pytest.skip("no PostgreSQL server: install Debian's package postgresql")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update", "-q"], ["install", "-qy", "postgresql"]):
            done = subprocess.run(["apt-get", *arguments], env=environment, capture_output=True)
            if done.returncode:
                pytest.skip(f"no PostgreSQL server: {done.stderr.decode()[-300:]}")
    versions = sorted(_DEBIAN.glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    return versions[-1].parent


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(server: Postgres, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg2.connect(
                host=server.host, port=server.port, user=server.user, dbname="postgres"
            ).close()
        except psycopg2.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        else:
            return
