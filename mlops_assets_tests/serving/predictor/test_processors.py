"""How many processors a process may use: its affinity, or its container's quota if that is less."""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mlops_assets.serving.predictor.execution import Execution
from mlops_assets.serving.predictor.processors import (
    count_processors,
    read_processors,
    read_quota_v1,
    read_quota_v2,
)
from mlops_assets.serving.protocol.batch import Answer, Batch


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("max 100000\n", math.inf),
        ("100000 100000\n", 1.0),
        ("150000 100000\n", 1.5),
        ("5000 100000\n", 0.05),
        ("200000\n", math.inf),
        ("", math.inf),
        ("nonsense here\n", math.inf),
        ("100000 0\n", math.inf),
    ],
)
def test_the_quota_of_cgroup_v2(text: str, quota: float) -> None:
    assert read_quota_v2(text) == quota


@pytest.mark.parametrize(
    ("quota_us", "period_us", "quota"),
    [("-1\n", "100000\n", math.inf), ("250000\n", "100000\n", 2.5), ("", "100000", math.inf)],
)
def test_the_quota_of_cgroup_v1(quota_us: str, period_us: str, quota: float) -> None:
    assert read_quota_v1(quota_us, period_us) == quota


@pytest.mark.parametrize(
    ("affinity", "quota", "n"),
    [(64, 1.0, 1), (64, 1.01, 2), (64, 0.05, 1), (2, 8.0, 2), (64, math.inf, 64)],
)
def test_the_smaller_of_both_counts_rounded_up_and_at_least_one(
    affinity: int, quota: float, n: int
) -> None:
    assert count_processors(affinity, quota) == n


@pytest.mark.parametrize(
    ("files", "n"),
    [
        pytest.param({"cpu.max": "50000 100000"}, 1, id="v2"),
        pytest.param(
            {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1, id="v1"
        ),
    ],
)
def test_the_quota_is_read_where_a_container_has_it(
    tmp_path: Path, files: Mapping[str, str], n: int
) -> None:
    unlimited = read_processors(tmp_path)
    assert unlimited >= 1
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert read_processors(tmp_path) == n


class Idle:
    def score(self, batch: Batch) -> Answer:
        return Answer([0] * batch.n_rows, None)


@pytest.fixture
def one_processor() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_processor")
def test_slow_batches_run_one_at_a_time_where_one_processor_may_be_used() -> None:
    """And not on as many threads as the machine has processors, which may be 64."""
    assert Execution(Idle(), max_waiting=1, max_wait_seconds=1).n_threads == 1
