"""Who computes when: quick batches at once, slow ones in threads, and not too many of them.

A quick batch (a single row through onnxruntime takes 10 µs) runs in the thread in which its request
came, since handing it to another costs more than computing it. A slow one would stall health checks
and other callers there; it waits for one of few threads. Very slow ones never hold all threads.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from mlops_assets.errors import ServingError
from mlops_assets.serving.predictor.model import Scorer, ServedModel
from mlops_assets.serving.predictor.processors import read_processors
from mlops_assets.serving.protocol.batch import Answer, Batch
from mlops_assets.serving.protocol.refusal import RequestError

QUICK_SECONDS = 0.002
LARGE_SECONDS = 0.05
# What else the machine does only ever adds, so an estimate falls faster than it rises.
_RISING, _FALLING = 0.1, 0.4
_LARGEST_STEP = 4.0  # of an estimate: when the machine pauses, that says nothing of the model


class CostEstimate:
    """How long a batch takes, learned from those before, by power of two of its rows.

    Safe to use from several threads; of two measurements at the same time one may be forgotten.

    >>> cost = CostEstimate()
    >>> cost.learn(1, 0.001)
    >>> cost.seconds(1), cost.seconds(8)
    (0.001, 0.008)
    """

    def __init__(self) -> None:
        self._by_size: dict[int, float] = {}

    def learn(self, n_rows: int, seconds: float) -> None:
        """Take one measurement into account."""
        size = n_rows.bit_length()
        known = self._by_size.get(size)
        if known is None:
            self._by_size[size] = seconds
        elif seconds < known:
            self._by_size[size] = known + _FALLING * (seconds - known)
        else:
            more = min(seconds, _LARGEST_STEP * known) - known
            self._by_size[size] = known + _RISING * more

    def seconds(self, n_rows: int) -> float:
        """Estimate for a batch; without a batch of its size, in proportion to the next smaller."""
        size = n_rows.bit_length()
        known = self._by_size.get(size)
        if known is not None:
            return known
        sizes = tuple(self._by_size)  # a copy, since other threads learn meanwhile
        smaller = max((known for known in sizes if known < size), default=None)
        if smaller is None:
            return min(self._by_size.values(), default=LARGE_SECONDS)
        return self._by_size[smaller] * 2.0 ** (size - smaller)


class Execution:
    """Runs batches of one model with bounded concurrency.

    Args:
        scorer: Answers batches.
        max_waiting: Slow batches that may wait for a thread.
        max_wait_seconds: Longest wait for one.
        n_threads: Slow batches at a time; very slow ones may be one less, but always one. There is
            a thread more, so that these never hold all. By default one for each
            processor that this process may use.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        max_waiting: int,
        max_wait_seconds: float,
        n_threads: int | None = None,
    ) -> None:
        self.n_threads = n_threads = n_threads or read_processors()
        self._scorer = scorer
        self.cost = CostEstimate()
        self._threads = ThreadPoolExecutor(n_threads + 1, thread_name_prefix="predict")
        self._small = asyncio.Semaphore(n_threads)
        self._large = asyncio.Semaphore(max(1, n_threads - 1))
        self._max_waiting = max_waiting
        self._max_wait_seconds = max_wait_seconds
        self.n_waiting = 0

    def warm_up(self, model: ServedModel) -> None:
        """Answer the example, and learn what a row and the whole example cost.

        Raises:
            ServingError: the model does not answer it, or not with one answer for each row.
        """
        example = model.build_example()
        single = Batch(1, tuple(column[:1] for column in example.columns))
        try:
            for batch in (example, single, single, single, example):
                answer = self._timed(batch)
        except RequestError as error:
            raise ServingError(f"the model does not answer its own example: {error}") from error
        except Exception as error:  # a model may raise anything
            raise ServingError(f"the model does not answer its own example: {error!r}") from error
        if len(answer.labels) != example.n_rows:
            raise ServingError(
                f"the model gives {len(answer.labels)} answers to the {example.n_rows} rows of its "
                "example; expected one for each"
            )

    def score_at_once(self, batch: Batch) -> Answer | None:
        """The model's answer to a quick batch; None for a slow one, which `score` takes."""
        if self.cost.seconds(batch.n_rows) > QUICK_SECONDS:
            return None
        return self._timed(batch)

    async def score(self, batch: Batch) -> Answer:
        """The model's answer, from a thread.

        Raises:
            RequestError: 503, too many slow batches wait already or one waited too long.
        """
        lane = self._large if self.cost.seconds(batch.n_rows) > LARGE_SECONDS else self._small
        await self._enter(lane)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._timed, batch)
        finally:
            lane.release()

    async def _enter(self, lane: asyncio.Semaphore) -> None:
        if not lane.locked():
            await lane.acquire()  # at once: who comes next sees that it is taken
            return
        if self.n_waiting >= self._max_waiting:
            raise _busy(f"{self.n_waiting} requests with slow batches wait already")
        self.n_waiting += 1
        try:
            async with asyncio.timeout(self._max_wait_seconds):
                await lane.acquire()
        except TimeoutError as error:
            raise _busy(f"no thread was free for {self._max_wait_seconds:g} s") from error
        finally:
            self.n_waiting -= 1

    def _timed(self, batch: Batch) -> Answer:
        started = time.perf_counter()
        answer = self._scorer.score(batch)
        self.cost.learn(batch.n_rows, time.perf_counter() - started)
        return answer


def _busy(reason: str) -> RequestError:
    return RequestError(503, f"{reason}; try again, or send smaller batches", retry_after_seconds=1)
