"""Slow batches: others are answered meanwhile, and there are never too many of them."""

import asyncio
import dataclasses
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_assets.errors import ServingError
from mlops_assets.serving.http_server.server import HttpServer
from mlops_assets.serving.predictor.app import PredictorApp
from mlops_assets.serving.predictor.execution import QUICK_SECONDS, CostEstimate, Execution
from mlops_assets.serving.predictor.metrics import Metrics
from mlops_assets.serving.predictor.model import load_model
from mlops_assets.serving.predictor.settings import PredictorSettings
from mlops_assets.serving.protocol.batch import Answer, Batch
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.server import run_loop
from mlops_assets_tests.serving.running import find_free_port

PREDICT = "/v1/models/toy:predict"
SINGLE, SMALL, LARGE = 1, 4, 64  # rows


class Gated:
    """Answers a single row at once; a batch waits in its thread until the test opens the gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.inside = threading.Semaphore(0)

    def score(self, batch: Batch) -> Answer:
        if batch.n_rows > SINGLE:
            self.inside.release()
            assert self.gate.wait(120)
        return Answer([0] * batch.n_rows, None)

    def wait_inside(self, n: int) -> None:
        """Until so many batches more are in threads."""
        for _ in range(n):
            assert self.inside.acquire(timeout=60)


class Asked:
    """A running predictor."""

    def __init__(self, url: str, scorer: Gated, execution: Execution) -> None:
        self.client = httpx.Client(
            base_url=url, timeout=60, transport=httpx.HTTPTransport(retries=5), trust_env=False
        )
        self.scorer, self.execution = scorer, execution
        self._threads = ThreadPoolExecutor(40)

    def post(self, n_rows: int) -> httpx.Response:
        return self.client.post(PREDICT, json={"instances": [[1, 2, 3]] * n_rows})

    def later(self, n_rows: int) -> Future[httpx.Response]:
        return self._threads.submit(self.post, n_rows)

    def wait_waiting(self, n: int) -> None:
        """Until so many batches wait for a thread."""
        while self.execution.n_waiting < n:
            threading.Event().wait(0.01)


def serving(model: Path, use: Callable[[Asked], None], **limits: Any) -> None:
    """Run `use` beside a predictor with two threads, of which large batches may hold one."""
    scorer = Gated()
    served = dataclasses.replace(load_model(model), scorer=scorer)
    settings = PredictorSettings(model_name="toy", model_dir=model)

    async def main() -> None:
        waits = {"max_waiting": 2, "max_wait_seconds": 60.0, **limits}
        execution = Execution(scorer, n_threads=2, **waits)
        for n_rows, seconds in ((SINGLE, 1e-5), (SMALL, 0.01), (LARGE, 0.2)):
            execution.cost.learn(n_rows, seconds)
        app = PredictorApp(settings, served, execution, Metrics(1))
        port = find_free_port()
        server = HttpServer(app, host="127.0.0.1", port=port)
        running = asyncio.create_task(server.serve())
        asked = Asked(f"http://127.0.0.1:{port}", scorer, execution)
        try:
            await asyncio.to_thread(use, asked)
        finally:
            scorer.gate.set()
            server.stop()
            await running
        assert app.n_in_flight == 0

    run_loop(main())


def test_health_and_quick_rows_are_answered_while_slow_batches_run(positive_model: Path) -> None:
    def use(asked: Asked) -> None:
        slow = [asked.later(SMALL), asked.later(LARGE)]
        asked.scorer.wait_inside(2)
        for path in ("/v2/health/live", "/v2/health/ready", "/metrics"):
            assert asked.client.get(path).status_code == 200
        assert asked.post(SINGLE).json()["predictions"] == [0]
        assert not any(one.done() for one in slow)
        asked.scorer.gate.set()
        assert [one.result().status_code for one in slow] == [200, 200]

    serving(positive_model, use)


def test_large_batches_leave_a_thread_to_small_ones(positive_model: Path) -> None:
    def use(asked: Asked) -> None:
        large = [asked.later(LARGE), asked.later(LARGE)]
        asked.scorer.wait_inside(1)
        asked.wait_waiting(1)
        small = asked.later(SMALL)
        asked.scorer.wait_inside(1)  # the small one, past the large one that waits
        asked.scorer.gate.set()
        assert [one.result().status_code for one in (*large, small)] == [200] * 3

    serving(positive_model, use)


def test_more_than_may_wait_are_told_when_to_come_again(positive_model: Path) -> None:
    def use(asked: Asked) -> None:
        taken = [asked.later(LARGE)]
        asked.scorer.wait_inside(1)
        taken += [asked.later(LARGE), asked.later(LARGE)]
        asked.wait_waiting(2)
        refused = asked.post(LARGE)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"].startswith("2 requests with slow batches wait already")
        asked.scorer.gate.set()
        assert [one.result().status_code for one in taken] == [200] * 3

    serving(positive_model, use)


def test_of_many_that_come_at_once_no_more_wait_than_may() -> None:
    async def main() -> list[bool]:
        scorer = Gated()
        execution = Execution(scorer, n_threads=2, max_waiting=2, max_wait_seconds=60.0)
        execution.cost.learn(LARGE, 0.2)
        batches = [asyncio.create_task(execution.score(Batch(LARGE))) for _ in range(10)]
        await asyncio.sleep(0)
        refused = [batch.done() for batch in batches]
        scorer.gate.set()
        await asyncio.gather(*batches, return_exceptions=True)
        return refused

    assert asyncio.run(main()) == [False] * 3 + [True] * 7


def test_who_waited_too_long_is_told_when_to_come_again(positive_model: Path) -> None:
    def use(asked: Asked) -> None:
        first = asked.later(LARGE)
        asked.scorer.wait_inside(1)
        refused = asked.post(LARGE)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"].startswith("no thread was free for 0.05 s")
        asked.scorer.gate.set()
        assert first.result().status_code == 200

    serving(positive_model, use, max_wait_seconds=0.05)


@pytest.mark.parametrize(
    ("seconds", "quick"),
    [
        pytest.param([0.0004] * 9 + [1.0], True, id="one_pause_of_the_machine_says_nothing"),
        pytest.param([0.0004] + [0.004, 0.0004] * 20, True, id="nor_do_many_between_quick_ones"),
        pytest.param([0.0004] + [0.02] * 20, False, id="what_became_slow_is_slow"),
        pytest.param([0.02] + [0.0004] * 20, True, id="what_became_quick_is_quick"),
    ],
)
def test_what_a_batch_costs_is_learned(seconds: list[float], *, quick: bool) -> None:
    cost = CostEstimate()
    for one in seconds:
        cost.learn(100, one)
    assert (cost.seconds(100) <= QUICK_SECONDS) == quick


def learn_many(cost: CostEstimate) -> None:
    for size in range(2, 600, 2):
        cost.learn(2**size, 0.1)


def test_costs_are_asked_for_while_other_threads_learn() -> None:
    """A size that was learned in between once made a request fail."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(30):
            cost = CostEstimate()
            cost.learn(1, 0.1)
            learning = threading.Thread(target=learn_many, args=(cost,))
            learning.start()
            while learning.is_alive():
                assert cost.seconds(2**601) > 0
            learning.join()
    finally:
        sys.setswitchinterval(usual)


class Odd:
    """Answers with so many labels, or raises."""

    def __init__(self, said: list[int] | Exception) -> None:
        self.said = said

    def score(self, batch: Batch) -> Answer:
        if isinstance(self.said, Exception):
            raise self.said
        return Answer(self.said * batch.n_rows, None)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        pytest.param(RequestError(400, "no!"), "its own example: no!", id="it_refuses"),
        pytest.param(AttributeError("x"), r"its own example: AttributeError\('x'\)", id="it_fails"),
        pytest.param([1, 2], "gives 4 answers to the 2 rows", id="two_answers_to_a_row"),
        pytest.param([], "gives 0 answers to the 2 rows", id="none"),
    ],
)
def test_a_model_that_does_not_answer_its_example_is_not_served(
    said: list[int] | Exception, words: str, positive_model: Path
) -> None:
    scorer = Odd(said)
    served = dataclasses.replace(load_model(positive_model), scorer=scorer)
    execution = Execution(scorer, max_waiting=1, max_wait_seconds=1.0)
    with pytest.raises(ServingError, match=words):
        execution.warm_up(served)


def test_an_example_that_the_model_does_not_take_is_not_served(positive_model: Path) -> None:
    served = load_model(positive_model)
    manifest = served.manifest.model_copy(update={"example": [{"x0": "a"}]})
    with pytest.raises(ServingError, match=r"its manifest's example\[0\] 'x0': expected a number"):
        dataclasses.replace(served, manifest=manifest).build_example()
