import threading
import time
from collections.abc import Callable

import pytest

from mlops_assets.platform.asking import Asking


def wait_for(asking: Asking[str], key: str, question: Callable[[], str]) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if (answer := asking.answer(key, question)) is not None:
            return answer
        time.sleep(0.005)
    raise TimeoutError(key)


def test_a_question_that_hangs_keeps_nobody_and_no_other_question_waiting() -> None:
    asking: Asking[str] = Asking()
    is_over = threading.Event()
    n_asked = []

    def hang() -> str:
        n_asked.append(1)
        is_over.wait(30)
        return "late"

    assert [asking.answer("slow", hang) for _ in range(3)] == [None] * 3
    assert wait_for(asking, "quick", lambda: "at once") == "at once"
    assert asking.answer("slow", hang) is None
    is_over.set()
    assert wait_for(asking, "slow", hang) == "late"
    assert n_asked == [1]


def test_after_an_answer_it_is_asked_anew() -> None:
    asking: Asking[str] = Asking()
    assert wait_for(asking, "key", lambda: "first") == "first"
    assert wait_for(asking, "key", lambda: "second") == "second"


def test_what_a_question_raises_is_raised_to_whoever_reads_its_answer() -> None:
    asking: Asking[str] = Asking()

    def broken() -> str:
        raise ValueError("no JSON")

    with pytest.raises(ValueError, match="no JSON"):
        wait_for(asking, "key", broken)
