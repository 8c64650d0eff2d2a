import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.errors import PlatformError
from mlops_assets.platform.launching import GraphqlRuns, launch_and_follow
from mlops_assets_tests.serving.running import find_free_port


@dataclass
class Runs:
    """Dagster as it answers one question after the other."""

    statuses: list[str | PlatformError]
    launched: list[str] = field(default_factory=list)

    def launch(self, model: str) -> str:
        self.launched.append(model)
        return "run-1"

    def status(self, run_id: str) -> str:
        assert run_id == "run-1"
        found = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if isinstance(found, PlatformError):
            raise found
        return found


def test_a_run_is_followed_to_its_end_and_each_change_told_once() -> None:
    said: list[str] = []
    runs = Runs(["QUEUED", "STARTED", "STARTED", "FAILURE"])
    ended = launch_and_follow(runs, "toy", "http://d/", 60, said.append, look_seconds=0)
    assert (ended.status, ended.url) == ("FAILURE", "http://d/runs/run-1")
    assert said == ["launched http://d/runs/run-1", "queued", "started", "failure"]
    assert runs.launched == ["toy"]


def test_a_run_that_takes_longer_is_left_to_itself() -> None:
    ended = launch_and_follow(Runs(["STARTED"]), "toy", "http://d", 0, lambda _: None)
    assert ended.status == "STARTED"


LOST = PlatformError("http://d: run run-1: connection refused")


def test_a_lost_connection_is_told_once_and_the_run_followed_on() -> None:
    said: list[str] = []
    runs = Runs(["STARTED", LOST, LOST, "STARTED", "SUCCESS"])
    ended = launch_and_follow(runs, "toy", "http://d", 60, said.append, look_seconds=0)
    assert ended.status == "SUCCESS"
    lost = f"{LOST}; asked again for up to 60 s"
    assert said[1:] == ["started", lost, "started", "success"]
    assert runs.launched == ["toy"]


def test_dagster_that_stays_away_is_an_error_in_the_end() -> None:
    said: list[str] = []
    started = time.monotonic()
    with pytest.raises(PlatformError, match="connection refused"):
        launch_and_follow(
            Runs([LOST]), "toy", "http://d", 60, said.append, look_seconds=0.01, lost_seconds=0.2
        )
    assert 0.2 <= time.monotonic() - started < 30
    assert said[1:] == [f"{LOST}; asked again for up to 0.2 s"]


def test_each_lost_connection_has_its_own_time() -> None:
    lost_and_found: list[str | PlatformError] = [LOST, "STARTED"] * 6
    runs = Runs([*lost_and_found, "SUCCESS"])
    ended = launch_and_follow(
        runs, "toy", "http://d", 60, lambda _: None, look_seconds=0.1, lost_seconds=0.5
    )
    assert ended.status == "SUCCESS"


def test_dagster_that_is_away_when_the_time_is_over_is_an_error() -> None:
    with pytest.raises(PlatformError, match="connection refused"):
        launch_and_follow(Runs([LOST]), "toy", "http://d", 0, lambda _: None)


def test_an_address_that_is_none_and_one_that_does_not_answer_are_told() -> None:
    with pytest.raises(PlatformError, match="expected the address of Dagster's pages"):
        GraphqlRuns("dagster:3000")
    url = f"http://127.0.0.1:{find_free_port()}"
    shown = CliRunner().invoke(app, ["launch", "toy", "--dagster-url", url])
    assert isinstance(shown.exception, PlatformError)
    assert url in str(shown.exception)


class Login(BaseHTTPRequestHandler):
    """Whoever shows no token is led to a page; whoever shows one is not let in."""

    tokens: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        token = self.headers["authorization"]
        if token is None:
            self.send_response(302)
            self.send_header("location", "/login")
        else:
            self.tokens.append(token)
            self.send_response(403)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Who are you?</html>")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def login() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Login)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_login_in_the_way_is_told_in_few_words(login: str) -> None:
    with pytest.raises(PlatformError) as told:
        GraphqlRuns(login).launch("toy")
    expected = "a page answered, not GraphQL; behind a login, give a command that prints a token"
    assert str(told.value) == f"{login}: toy cannot be launched: {expected}"


def test_what_the_command_prints_is_shown_there(login: str) -> None:
    Login.tokens.clear()
    with pytest.raises(PlatformError, match=r"toy cannot be launched: 403 Client Error"):
        GraphqlRuns(login, "echo a.b.c").launch("toy")
    assert Login.tokens == ["Bearer a.b.c"]


def test_a_command_without_a_token_is_told_with_its_words(login: str) -> None:
    with pytest.raises(PlatformError, match=r"toy cannot be launched: .* ended with 3: who am I"):
        GraphqlRuns(login, "echo who am I >&2; exit 3").launch("toy")
