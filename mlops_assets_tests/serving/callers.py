"""Callers who predict all the time while a test does things to a server, and keep account."""

import collections
import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx

ROW = {"x0": 3.0, "x1": -1.0, "hours per day": 0.5}
_TENSORS = [
    {"name": name, "shape": [1], "datatype": "FP64", "data": [value]} for name, value in ROW.items()
]
_PAUSE_SECONDS = 0.003  # else they would take the processor from what they test
_UNREACHABLE_PAUSE_SECONDS = 0.01


class Callers:
    """Some threads, each with a connection of its own that stays open.

    Attributes:
        answered: Ids of the requests that were answered with 200.
        refused: The other answers, by status.
        lost: What became of requests that were sent and never answered, by id. A server that
            ends cannot help it: who sends just when it closes the connection is not heard.
        n_unreachable: How often nobody listened.
        revisions: Who answered.
    """

    def __init__(self, port: int, n_callers: int) -> None:
        self.answered: list[str] = []
        self.refused: collections.Counter[int] = collections.Counter()
        self.lost: dict[str, str] = {}
        self.n_unreachable = 0
        self.revisions: collections.Counter[str] = collections.Counter()
        self._url = f"http://127.0.0.1:{port}"
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(n,), daemon=True) for n in range(n_callers)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Wait for the answers that are on their way, and end."""
        self._done.set()
        for thread in self._threads:
            thread.join()

    def wait_answered(self, n_more: int, seconds: float = 60.0) -> None:
        """Return once so many more requests were answered."""
        wanted = len(self.answered) + n_more
        deadline = time.monotonic() + seconds
        while len(self.answered) < wanted:
            assert time.monotonic() < deadline, f"{n_more} more answers did not come; {self.lost}"
            time.sleep(0.005)

    def _call(self, caller: int) -> None:
        """Both protocols in turn."""
        with httpx.Client(base_url=self._url, trust_env=False, timeout=30) as client:
            for n in itertools.count():
                if self._done.wait(_PAUSE_SECONDS):
                    return
                self._ask(client, f"{caller}-{n}", v2=bool(n % 2))

    def _ask(self, client: httpx.Client, name: str, *, v2: bool) -> None:
        path = "/v1/models/toy:predict"
        content: dict[str, Any] = {"instances": [ROW]}
        if v2:
            path, content = "/v2/models/toy/infer", {"inputs": _TENSORS}
        try:
            answer = client.post(path, json=content, headers={"ce-id": name})
        except httpx.ConnectError:
            self.n_unreachable += 1
            time.sleep(_UNREACHABLE_PAUSE_SECONDS)
        except httpx.HTTPError as error:
            self.lost[name] = repr(error)
        else:
            if answer.status_code == 200:
                self.answered.append(name)
                self.revisions[answer.headers.get("x-revision", "")] += 1
            else:
                self.refused[answer.status_code] += 1


@contextlib.contextmanager
def calling(port: int, n_callers: int = 3) -> Iterator[Callers]:
    """Callers of the model `toy`, stopped whatever happens."""
    callers = Callers(port, n_callers)
    callers.start()
    try:
        yield callers
    finally:
        callers.stop()
