"""How logged requests become the columns of the table."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.serving.prediction_log.frames import read_frame
from mlops_assets.serving.prediction_log.records import (
    Preamble,
    PredictionRecord,
    RecordReader,
    encode,
)
from mlops_assets.serving.prediction_log.redaction import Redaction
from mlops_assets.serving.prediction_log.tables import PREDICTION_TYPES
from mlops_assets.serving.prediction_log.timeline import Stretch, Timeline
from mlops_assets.serving.protocol.batch import Batch

PREAMBLE = Preamble("toy", "v1", "1", [("hours", "number")], ["x", "y"])
MIXED = [("hours", "number"), ("genre", "category"), ("night", "boolean")]
SECOND_NS = 1_000_000_000


def record(name: str, body: bytes, shares: Any = None, **more: Any) -> bytes:
    """A request of as many rows as there are shares, or one."""
    n_rows = 1 if shares is None else len(shares)
    plain = PredictionRecord(
        name, SECOND_NS, "v1", 2_000_000, body, None, ["x"] * n_rows,
        None if shares is None else shares.tobytes(),
    )  # fmt: skip
    return encode(msgspec.structs.replace(plain, **more))


def read(*records: bytes, preamble: Preamble = PREAMBLE) -> pl.DataFrame:
    frame, problems = read_frame(RecordReader(preamble), records)
    assert problems == []
    return frame


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_are_read_as_the_model_gave_them(dtype: Any) -> None:
    shares = np.array([[0.1, 0.9], [0.75, 0.25]], dtype)
    frame = read(record("a", b'{"instances":[[1.5],[2]]}', shares))
    assert frame["probabilities"].to_list() == [[dtype(0.1), dtype(0.9)], [0.75, 0.25]]
    assert frame["probability"].to_list() == [dtype(0.9), 0.25]


def test_of_many_classes_the_predicted_one_tells_the_probability() -> None:
    preamble = msgspec.structs.replace(PREAMBLE, classes=["x", "y", "z"])
    frame = read(
        record("a", b'{"instances":[[1]]}', np.array([[0.5, 0.25, 0.25]])), preamble=preamble
    )
    assert frame["probability"].to_list() == [0.5]


def test_requests_of_several_rows_stand_beside_those_of_one() -> None:
    frame = read(
        record("a", b'{"instances":[[1],[2],[3]]}', np.array([[0.5, 0.5]] * 3), shadow=True),
        record("b", b'{"instances":[{"hours":4}]}', at_ns=3 * SECOND_NS, unit="u"),
        record("c", b'{"instances":[[5],[null]]}', np.array([[0.25, 0.75]] * 2, np.float32)),
    )
    assert frame["prediction_id"].to_list() == ["a", "a", "a", "b", "c", "c"]
    assert frame["row"].to_list() == [0, 1, 2, 0, 0, 1]
    assert frame["feature__hours"].to_list() == [1.0, 2.0, 3.0, 4.0, 5.0, None]
    assert frame["probability"].to_list() == [0.5, 0.5, 0.5, None, 0.75, 0.75]
    assert frame["probabilities"].to_list()[2:5] == [[0.5, 0.5], None, [0.25, 0.75]]
    assert frame["shadow"].to_list() == [True] * 3 + [False] * 3
    assert frame["unit"].to_list() == ["", "", "", "u", "", ""]
    assert frame["event_time"].dt.epoch("s").to_list() == [1, 1, 1, 3, 1, 1]


def test_all_that_a_feature_may_be_is_read_in_either_protocol() -> None:
    v2 = {
        "inputs": [
            {"name": "hours", "datatype": "INT64", "shape": [1], "data": [2]},
            {"name": "genre", "datatype": "BYTES", "shape": [1], "data": ["calm"]},
            {"name": "night", "datatype": "BOOL", "shape": [1], "data": [True]},
        ]
    }
    frame = read(
        record("a", b'{"instances":[[1.5,"calm",true]]}'),
        record("b", b'{"instances":[[null,7,null]]}'),
        record("c", msgspec.json.encode(v2), protocol="v2"),
        preamble=msgspec.structs.replace(PREAMBLE, features=MIXED),
    )
    assert frame.select("feature__hours", "feature__genre", "feature__night").rows() == [
        (1.5, "calm", True),
        (None, "7", None),
        (2.0, "calm", True),
    ]


def test_labels_are_told_as_text() -> None:
    labels = [[True], [1], [2.0], [0.5], ["late"]]
    records = [
        record(f"{n}", b'{"instances":[[1]]}', labels=label) for n, label in enumerate(labels)
    ]
    assert read(*records)["prediction"].to_list() == ["true", "1", "2", "0.5", "late"]


def test_what_cannot_be_read_is_told_and_the_rest_is_read() -> None:
    frame, problems = read_frame(
        RecordReader(PREAMBLE),
        [
            b"no record",
            record("a", b'{"instances":[["text"]]}'),
            record("b", b'{"instances":[[1]]}', np.array([[0.5, 0.25, 0.25]])),
            record("c", b'{"instances":[[1],[2]]}'),
            record("d", b'{"instances":[[1]]}'),
        ],
    )
    assert frame["prediction_id"].to_list() == ["d"]
    assert len(problems) == 4
    assert all(one.startswith("a logged prediction cannot be read") for one in problems)
    assert problems[-1].endswith("1 labels of 2 rows")


def test_a_frame_has_the_columns_of_the_table_with_or_without_rows() -> None:
    preamble = msgspec.structs.replace(PREAMBLE, features=MIXED, model_version=None)
    types = {name: kind for name, kind in PREDICTION_TYPES.items() if name != "day"}
    one = read(record("a", b'{"instances":[[1,null,null]]}'), preamble=preamble)
    assert one.schema == read(preamble=preamble).schema
    assert dict(list(one.schema.items())[: len(types)]) == types


def test_rows_of_redacted_records_may_have_no_column_left() -> None:
    fields = [FeatureField(name="hours", kind="number")]
    redaction = Redaction(fields, leave_out=["hours"], hashed=[], key=None)
    body = redaction.encode(Batch(2, (np.array([1.0, 2.0]),)))
    preamble = msgspec.structs.replace(PREAMBLE, features=redaction.features, redacted=True)
    frame = read(record("a", body, np.array([[0.5, 0.5]] * 2)), preamble=preamble)
    assert frame["row"].to_list() == [0, 1]


def test_a_past_that_is_played_has_its_own_moments() -> None:
    played = Timeline((Stretch(0, 1_000_000_000, 9_000_000_000, 60.0),))
    body = b'{"instances":[[1]]}'
    frame, _ = read_frame(RecordReader(PREAMBLE), [record("a", body)], played)
    assert frame["event_time"].to_list() == [datetime.fromtimestamp(1_060, UTC)]
