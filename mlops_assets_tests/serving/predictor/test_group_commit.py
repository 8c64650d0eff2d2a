"""Answers of one turn of the event loop: one write, sent in order, and never kept back."""

import asyncio
from pathlib import Path

import pytest

from mlops_assets.modeling.manifest import read_manifest
from mlops_assets.serving.prediction_log.segments import list_segments, read_records
from mlops_assets.serving.predictor import group_commit
from mlops_assets.serving.predictor.group_commit import GroupCommit
from mlops_assets.serving.predictor.log import PredictionLog
from mlops_assets.serving.predictor.settings import PredictorSettings


class Stand:
    """A log, what was written by each call, and what became of each answer."""

    def __init__(self, log: PredictionLog, error: OSError | None = None, *, full: bool = False):
        self.writes: list[tuple[bytes, ...]] = []
        self.events: list[str] = []
        self._log, self._error, self._full = log, error, full
        self.commit = GroupCommit(self._append)

    def _append(self, *records: bytes) -> bool:
        self.writes.append(records)
        if self._error is not None:
            raise self._error
        return not self._full and self._log.append(*records)

    def send(self, *names: str) -> None:
        for name in names:
            answer = Answer(self.events, name)
            self.commit.send_soon(answer, name.encode(), asyncio.get_running_loop())


class Answer:
    def __init__(self, events: list[str], name: str) -> None:
        self._events, self._name = events, name

    def send_logged(self, *, is_logged: bool) -> None:
        self._events.append(f"{self._name} {'logged' if is_logged else 'dropped'}")

    def fail(self) -> None:
        self._events.append(f"{self._name} failed")


@pytest.fixture
def log(tmp_path: Path, positive_model: Path) -> PredictionLog:
    settings = PredictorSettings(model_name="m", model_dir=positive_model, log_dir=tmp_path / "log")
    return PredictionLog(settings, read_manifest(positive_model))


def logged(folder: Path) -> list[bytes]:
    (segment,) = list_segments(folder)
    return read_records(segment)[0][1:]


def test_answers_of_one_turn_are_logged_by_one_write_and_sent_in_its_end(
    tmp_path: Path, log: PredictionLog
) -> None:
    stand = Stand(log)

    async def main() -> None:
        for names in ("abc", "d"):
            before = list(stand.events)
            stand.send(*names)
            assert stand.events == before
            assert stand.commit.n_waiting == len(names)
            await asyncio.sleep(0)
            assert stand.events == [*before, *(f"{name} logged" for name in names)]

    asyncio.run(main())
    assert stand.writes == [(b"a", b"b", b"c"), (b"d",)]
    assert logged(tmp_path / "log") == [b"a", b"b", b"c", b"d"]


def test_nobody_waits_for_more_than_a_few(
    log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "_MOST", 3)
    stand = Stand(log)

    async def main() -> None:
        stand.send(*"abcde")
        assert stand.writes == [(b"a", b"b", b"c")]
        await asyncio.sleep(0)

    asyncio.run(main())
    assert stand.writes == [(b"a", b"b", b"c"), (b"d", b"e")]
    assert stand.commit.n_waiting == 0


def test_what_waits_can_be_sent_before_the_turn_ends(log: PredictionLog) -> None:
    stand = Stand(log)

    async def main() -> None:
        stand.send("a")
        stand.commit.commit()
        assert stand.events == ["a logged"]
        stand.commit.commit()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert stand.writes == [(b"a",)]


@pytest.mark.parametrize(
    ("error", "how"),
    [
        pytest.param(None, "dropped", id="full_disk"),
        pytest.param(OSError(5, "Input/output error"), "failed", id="broken_disk"),
    ],
)
def test_all_that_waited_are_told_what_became_of_their_records(
    log: PredictionLog, error: OSError | None, how: str
) -> None:
    stand = Stand(log, error, full=error is None)

    async def main() -> None:
        stand.send(*"abc")
        await asyncio.sleep(0)

    asyncio.run(main())
    assert stand.events == [f"{name} {how}" for name in "abc"]
