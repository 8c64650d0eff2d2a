"""Ground truth as callers post it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.serving.prediction_log.records import TruthRecord
from mlops_assets.serving.prediction_log.segments import list_segments, read_first, read_records
from mlops_assets.serving.prediction_log.truth import TruthItem, TruthLog, read_truths
from mlops_assets.serving.protocol.refusal import RequestError

ONE: dict[str, Any] = {"service": "toy", "id": "a", "value": 1}


@pytest.mark.parametrize(
    ("content", "n_items"),
    [
        pytest.param(ONE, 1, id="one"),
        pytest.param({"items": [ONE, ONE]}, 2, id="two"),
        pytest.param({**ONE, "value": "items"}, 1, id="one_whose_label_is_items"),
        pytest.param({**ONE, "service": "items"}, 1, id="one_of_a_service_called_items"),
    ],
)
def test_one_or_several_at_once(content: object, n_items: int) -> None:
    assert len(read_truths(json.dumps(content).encode())) == n_items


@pytest.mark.parametrize("content", [[ONE], {"items": ONE}, {"items": []}, {**ONE, "items": [ONE]}])
def test_what_is_neither_is_refused(content: object) -> None:
    with pytest.raises(RequestError) as raised:
        read_truths(json.dumps(content).encode())
    assert raised.value.status == 400


def written_at(folder: Path, item: TruthItem) -> int:
    """The time of the truth as it stands on the disk, in nanoseconds."""
    log = TruthLog(folder)
    asyncio.run(log.write([item]))
    log.close()
    (path,) = list_segments(folder)
    (record,), _ = read_records(path, read_first(path)[1])
    path.unlink()
    return msgspec.msgpack.decode(record, type=TruthRecord).at_ns


@given(time=st.datetimes(datetime(1700, 1, 1), datetime(2199, 12, 31)))  # noqa: DTZ001
def test_a_time_is_kept_to_the_microsecond(
    tmp_path_factory: pytest.TempPathFactory, time: datetime
) -> None:
    at_ns = written_at(tmp_path_factory.mktemp("truths"), TruthItem("toy", "a", 1, time))
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_ns // 1_000)
    assert (moment, at_ns % 1_000) == (time.replace(tzinfo=UTC), 0)


def test_a_disk_that_takes_no_folder_is_no_defect_of_the_caller(tmp_path: Path) -> None:
    (tmp_path / "truths").write_text("no folder")
    with pytest.raises(RequestError) as raised:
        asyncio.run(TruthLog(tmp_path / "truths").write([TruthItem("toy", "a", 1)]))
    assert (raised.value.status, raised.value.retry_after_seconds) == (503, 10)
