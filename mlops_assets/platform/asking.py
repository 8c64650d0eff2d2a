"""Questions that may take long, asked beside a loop that must not wait.

Here: `Asking`. Not here: what is asked of a service (`probe.py`).
"""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Asking(Generic[Answer]):
    """Questions by key, each in a thread of its own that no exit waits for.

    An executor's threads would be joined when the process ends: a service that hangs would hold up
    whoever stops the platform.
    """

    def __init__(self) -> None:
        self._open: dict[Hashable, Future[Answer]] = {}

    def answer(self, key: Hashable, question: Callable[[], Answer]) -> Answer | None:
        """The answer to a question, once; None while it is on its way. Never waits.

        Asks when the key has no open question, so the next call after an answer asks anew. What the
        question raised is raised here.
        """
        if key not in self._open:
            self._open[key] = _ask_aside(question)
        if not self._open[key].done():
            return None
        return self._open.pop(key).result()


def _ask_aside(question: Callable[[], Answer]) -> Future[Answer]:
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(question())
        except BaseException as error:  # raised again by whoever reads the answer
            answer.set_exception(error)

    threading.Thread(target=run, name="ask", daemon=True).start()
    return answer
