"""Another caller, who must not notice what a test does to a server."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping

import httpx

_PAUSE_SECONDS = 0.005
_TIMEOUT_SECONDS = 30.0
# The witness shares the processors with whoever sends the requests, and with other tests.
_USUAL_SECONDS = 1.0
_SLOWEST_SECONDS = 10.0


class Witness:
    """Predicts without pause on a thread of its own, and remembers how that went."""

    def __init__(self, url: str, row: Mapping[str, object]) -> None:
        self.problems: list[str] = []
        self.seconds: list[float] = []
        self._url = f"{url}/v1/models/toy:predict"
        self._row = row
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._predict, daemon=True)

    def _predict(self) -> None:
        with httpx.Client(trust_env=False, timeout=_TIMEOUT_SECONDS) as client:
            while True:
                started = time.monotonic()
                try:
                    answer = client.post(self._url, json={"instances": [self._row]})
                    if answer.status_code != 200:
                        self.problems.append(f"{answer.status_code}: {answer.text[:200]}")
                except httpx.HTTPError as error:
                    self.problems.append(repr(error))
                self.seconds.append(time.monotonic() - started)
                if self._done.wait(_PAUSE_SECONDS):
                    return

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Wait for the answer that is on its way, and end."""
        self._done.set()
        self._thread.join()


@contextlib.contextmanager
def witnessed(url: str, row: Mapping[str, object]) -> Iterator[Witness]:
    """Fails when the other caller got anything but answers, or waited too long for them."""
    witness = Witness(url, row)
    witness.start()
    try:
        yield witness
    finally:
        witness.stop()
    assert not witness.problems, witness.problems[:3]
    assert witness.seconds
    ordered = sorted(witness.seconds)
    assert ordered[int(0.95 * len(ordered))] < _USUAL_SECONDS
    assert ordered[-1] < _SLOWEST_SECONDS
