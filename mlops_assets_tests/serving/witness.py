"""Another caller, who must not notice what a test does to a server."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping

import httpx

_PAUSE_SECONDS = 0.005
_ROW_TIMEOUT_SECONDS = 30.0


class Witness:
    """Predicts without pause on a thread of its own, and remembers how that went."""

    def __init__(self, url: str, row: Mapping[str, object]) -> None:
        self.n_answers = 0
        self.problems: list[str] = []
        self.slowest_seconds = 0.0
        self._url = f"{url}/v1/models/toy:predict"
        self._row = row
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._predict, daemon=True)

    def _predict(self) -> None:
        with httpx.Client(trust_env=False, timeout=_ROW_TIMEOUT_SECONDS) as client:
            while not self._done.wait(_PAUSE_SECONDS):
                started = time.monotonic()
                try:
                    answer = client.post(self._url, json={"instances": [self._row]})
                    if answer.status_code != 200:
                        self.problems.append(f"{answer.status_code}: {answer.text[:200]}")
                except httpx.HTTPError as error:
                    self.problems.append(repr(error))
                self.n_answers += 1
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - started)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Wait for the answer that is on its way, and end."""
        self._done.set()
        self._thread.join()


@contextlib.contextmanager
def witnessed(
    url: str, row: Mapping[str, object], *, slowest_seconds: float = 2.0
) -> Iterator[Witness]:
    """Fails when the other caller got anything but answers, or waited for one too long."""
    witness = Witness(url, row)
    witness.start()
    try:
        yield witness
    finally:
        witness.stop()
    assert not witness.problems, witness.problems[:3]
    assert witness.n_answers > 0
    assert witness.slowest_seconds < slowest_seconds
