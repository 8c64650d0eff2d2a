"""Answers that wait for the next ones: together in the log, sent in order, and never kept back."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.modeling.manifest import read_manifest
from mlops_assets.serving.prediction_log.segments import list_segments, read_records
from mlops_assets.serving.predictor.group_commit import GroupCommit
from mlops_assets.serving.predictor.log import PredictionLog
from mlops_assets.serving.predictor.metrics import EVENT_LOOP, SERVER_THREAD
from mlops_assets.serving.predictor.settings import PredictorSettings
from mlops_assets.serving.protocol.patience import Patience

NEVER = 1e9


class Body:
    """One that somebody waits for."""

    def give_up(self) -> None:
        raise AssertionError("nobody is that patient here")


class Sent:
    """What became of answers, and in which thread."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, int]] = []

    def answer(self, name: str) -> "Answer":
        return Answer(self, name)

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.events]


class Answer:
    def __init__(self, sent: Sent, name: str) -> None:
        self._sent, self._name = sent, name

    def send_logged(self, thread: int, *, is_logged: bool) -> None:
        how = "logged" if is_logged else "dropped"
        self._sent.events.append((self._name, how, thread))

    def fail(self, thread: int) -> None:
        self._sent.events.append((self._name, "failed", thread))


@pytest.fixture
def log(tmp_path: Path, positive_model: Path) -> PredictionLog:
    settings = PredictorSettings(model_name="m", model_dir=positive_model, log_dir=tmp_path / "log")
    return PredictionLog(settings, read_manifest(positive_model))


def in_loop(run: Callable[[asyncio.AbstractEventLoop], None]) -> None:
    """What a server's thread does beside a running loop."""

    async def main() -> None:
        await asyncio.to_thread(run, asyncio.get_running_loop())

    asyncio.run(main())


def logged(folder: Path) -> list[bytes]:
    (segment,) = list_segments(folder)
    return read_records(segment)[0][1:]


def test_an_answer_goes_out_at_once_when_no_other_is_about_to_follow(
    tmp_path: Path, log: PredictionLog
) -> None:
    sent, patience = Sent(), Patience()
    commit = GroupCommit(log, patience)

    def run(loop: asyncio.AbstractEventLoop) -> None:
        patience.begin(Body(), loop)
        time.sleep(0.002)  # whose body is slow
        for name in "ab":
            commit.send_soon(sent.answer(name), name.encode(), loop)
            assert sent.events[-1] == (name, "logged", SERVER_THREAD)

    in_loop(run)
    commit.send_now(sent.answer("c"), b"c")
    assert sent.events[-1] == ("c", "logged", EVENT_LOOP)
    assert logged(tmp_path / "log") == [b"a", b"b", b"c"]


def test_answers_wait_for_others_but_only_two_of_them(
    tmp_path: Path, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_assets.serving.predictor.group_commit._SOON_SECONDS", NEVER)
    monkeypatch.setattr("mlops_assets.serving.predictor.group_commit._LOOK_SECONDS", NEVER)
    sent, patience = Sent(), Patience()
    commit = GroupCommit(log, patience)

    def run(loop: asyncio.AbstractEventLoop) -> None:
        patience.begin(body := Body(), loop)
        for name in "abc":
            assert sent.events == []
            commit.send_soon(sent.answer(name), name.encode(), loop)
        assert sent.names == ["a", "b", "c"]
        commit.send_soon(sent.answer("d"), b"d", loop)
        patience.end(body)
        assert sent.names == ["a", "b", "c"]
        commit.send_soon(sent.answer("e"), b"e", loop)
        assert sent.names == ["a", "b", "c", "d", "e"]

    in_loop(run)
    assert logged(tmp_path / "log") == [b"a", b"b", b"c", b"d", b"e"]


def test_an_answer_is_sent_soon_when_the_one_it_waits_for_does_not_come(
    tmp_path: Path, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_assets.serving.predictor.group_commit._SOON_SECONDS", NEVER)
    sent, patience = Sent(), Patience()
    commit = GroupCommit(log, patience)

    def run(loop: asyncio.AbstractEventLoop) -> None:
        patience.begin(Body(), loop)
        for name in "abc":
            commit.send_soon(sent.answer(name), name.encode(), loop)
            deadline = time.monotonic() + 10
            while name not in sent.names:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            time.sleep(0.03)  # longer than anybody looks whether one waits

    in_loop(run)
    assert sent.events == [(name, "logged", EVENT_LOOP) for name in "abc"]
    assert logged(tmp_path / "log") == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("error", "how"),
    [
        pytest.param(None, "dropped", id="full_disk"),
        pytest.param(OSError(5, "Input/output error"), "failed", id="broken_disk"),
    ],
)
def test_all_that_waited_are_told_what_became_of_their_records(
    log: PredictionLog, monkeypatch: pytest.MonkeyPatch, error: OSError | None, how: str
) -> None:
    monkeypatch.setattr("mlops_assets.serving.predictor.group_commit._SOON_SECONDS", NEVER)
    sent, patience = Sent(), Patience()
    commit = GroupCommit(log, patience)

    def append(*_records: bytes) -> bool:
        if error is not None:
            raise error
        return False

    monkeypatch.setattr(log, "append", append)

    def run(loop: asyncio.AbstractEventLoop) -> None:
        patience.begin(Body(), loop)
        for name in "abc":
            commit.send_soon(sent.answer(name), name.encode(), loop)

    in_loop(run)
    assert sent.events == [(name, how, SERVER_THREAD) for name in "abc"]
