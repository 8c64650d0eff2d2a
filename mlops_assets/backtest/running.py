"""A whole backtest: the past is read once, policies are played in processes of their own.

Each process trains for the policies that it plays; a training that several of them want is made
once. The frame of the past goes to the processes as a file.
"""

import contextlib
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from mlops_assets.backtest.history import History, build_history
from mlops_assets.backtest.report import BacktestReport, build_report
from mlops_assets.backtest.scoring import cut_periods, score_period, summarize
from mlops_assets.backtest.simulation import Played, play
from mlops_assets.backtest.worlds import RealWorld
from mlops_assets.errors import HistoryError
from mlops_assets.spec import ModelSpec
from mlops_assets.spec.retraining import RetrainingSpec

Progress = Callable[[str, int, int], None]
"""Told the name of a policy, its windows that are done, and all of them."""


def _keep_still(_name: str, _done: int, _total: int) -> None:
    """Tells nobody."""


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class _Task:
    """What a process needs; plain values, so that it can be sent."""

    spec: ModelSpec
    file: str
    begin: datetime
    end: datetime
    policies: list[tuple[str, RetrainingSpec]]


_Result = tuple[Played, dict[str, float | None]]


def run_backtest(
    history: History,
    policies: Mapping[str, RetrainingSpec],
    *,
    processes: int = 1,
    progress: Progress = _keep_still,
) -> BacktestReport:
    """Plays policies and compares them.

    Args:
        history: The past.
        policies: By name.
        processes: How many play at once; 1 plays in this one.
        progress: Told as windows are done.

    Raises:
        HistoryError: there is no whole window to play.
        FeatureError, TrainingError: as in earnest.
    """
    if not history.windows():
        raise HistoryError(f"{history.spec.name}: there is no whole window to play")
    if processes == 1:
        results = _play_all(history, list(policies.items()), progress)
    else:
        results = _play_apart(history, policies, processes, progress)
    found = {played.policy: (played, by_period) for played, by_period in results}
    ordered = {name: found[name] for name in policies}
    scores = summarize(
        {name: played for name, (played, _) in ordered.items()},
        {name: by_period for name, (_, by_period) in ordered.items()},
        history.spec.metric,
    )
    return build_report(history, policies, [played for played, _ in ordered.values()], scores)


def _play_all(
    history: History, policies: Sequence[tuple[str, RetrainingSpec]], progress: Progress
) -> list[_Result]:
    world = RealWorld(history)
    total, results = len(world.windows), []
    periods = cut_periods(history.begin, world.windows[-1].end)
    for name, policy in policies:

        def tell(done: int, name: str = name) -> None:
            progress(name, done, total)

        played = play(world, name, policy, tell)
        metric = history.spec.metric
        by_period = {p.name: score_period(world, played.reigns, p, metric) for p in periods}
        results.append((played, by_period))
    return results


def _play_apart(
    history: History, policies: Mapping[str, RetrainingSpec], processes: int, progress: Progress
) -> list[_Result]:
    shares: list[list[tuple[str, RetrainingSpec]]] = [[] for _ in range(processes)]
    for place, pair in enumerate(policies.items()):
        shares[place % processes].append(pair)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as scratch, _few_threads(), context.Manager() as manager:
        file = str(Path(scratch) / "rows.parquet")
        history.rows.write_parquet(file)
        told: Any = manager.Queue()
        with ProcessPoolExecutor(processes, context) as pool:
            tasks = [
                _Task(history.spec, file, history.begin, history.end, share)
                for share in shares
                if share
            ]
            futures: list[Future[list[_Result]]] = [
                pool.submit(_work, task, told) for task in tasks
            ]
            waiting = set(futures)
            while waiting:
                done, waiting = wait(waiting, timeout=_POLL_SECONDS)
                while not told.empty():
                    progress(*told.get())
                for future in done:
                    future.result()  # an error is raised once the other processes have ended
        return [result for future in futures for result in future.result()]


def _work(task: _Task, told: Any) -> list[_Result]:
    history = build_history(task.spec, pl.read_parquet(task.file), begin=task.begin, end=task.end)
    return _play_all(history, task.policies, lambda *what: told.put(what))


@contextlib.contextmanager
def _few_threads() -> Iterator[None]:
    """Processes started meanwhile keep to one thread for arithmetic: they share the cores."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
