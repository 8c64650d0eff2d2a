import time

import pytest

from mlops_assets.modeling import latency
from mlops_assets.modeling.latency import measure_latency


def test_calls_are_timed_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "_MOST_SECONDS", 60)
    found = measure_latency(lambda: time.sleep(0.002), n_calls=20)
    assert found.n_calls == 20
    assert 2 <= found.median_milliseconds <= found.p99_milliseconds


def test_slow_calls_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "_MOST_SECONDS", 0.01)
    assert measure_latency(lambda: time.sleep(0.006), n_calls=100).n_calls <= 2
