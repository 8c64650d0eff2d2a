"""What a policy keeps out of the log is nowhere in it."""

import hashlib
import hmac
import stat
from pathlib import Path

import numpy as np
import pytest

from mlops_assets.errors import ServingError
from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.serving.prediction_log.frames import read_frame
from mlops_assets.serving.prediction_log.records import (
    Preamble,
    PredictionRecord,
    RecordReader,
    encode,
)
from mlops_assets.serving.prediction_log.redaction import Redaction, make_key, read_key
from mlops_assets.serving.protocol.batch import Batch

FIELDS = [
    FeatureField(name="hours", kind="number"),
    FeatureField(name="customer", kind="category"),
    FeatureField(name="night", kind="boolean"),
]
KEY = b"k" * 32
BATCH = Batch(
    2,
    (
        np.array([1.5, np.nan]),
        np.array(["Ada Lovelace", None], dtype=object),
        np.array([1.0, 0.0]),
    ),
)


def logged(redaction: Redaction) -> tuple[bytes, list[dict[str, object]]]:
    """A segment's bytes, and its rows as a reader finds them."""
    preamble = Preamble("toy", "v1", "1", redaction.features, [0, 1], redacted=True)
    record = PredictionRecord("a", 0, "v2", 1, redaction.encode(BATCH), None, [1, 0], None)
    frame, problems = read_frame(RecordReader(preamble), [encode(record)])
    assert problems == []
    return encode(preamble) + encode(record), [
        {name: value for name, value in row.items() if name.startswith("feature__")}
        for row in frame.to_dicts()
    ]


def test_what_is_left_out_is_nowhere() -> None:
    redaction = Redaction(FIELDS, leave_out=["customer", "night"], hashed=[], key=None)
    written, rows = logged(redaction)
    assert b"Ada" not in written
    assert b"customer" not in written
    assert rows == [{"feature__hours": 1.5}, {"feature__hours": None}]


def test_all_columns_may_be_left_out() -> None:
    redaction = Redaction(FIELDS, leave_out=[f.name for f in FIELDS], hashed=[], key=None)
    assert logged(redaction)[1] == [{}, {}]


def test_what_is_hashed_stands_as_hmac_under_a_name_of_its_own() -> None:
    redaction = Redaction(FIELDS, leave_out=["night"], hashed=["customer"], key=KEY)
    written, rows = logged(redaction)
    expected = hmac.new(KEY, b"Ada Lovelace", hashlib.sha256).hexdigest()
    assert b"Ada" not in written
    assert rows == [
        {"feature__hours": 1.5, "feature__customer__sha256": expected},
        {"feature__hours": None, "feature__customer__sha256": None},
    ]


def test_a_hash_depends_on_the_key_and_a_number_on_its_value() -> None:
    one, other = (
        logged(Redaction(FIELDS, leave_out=[], hashed=["hours", "night"], key=key))[1][0]
        for key in (KEY, b"K" * 32)
    )
    assert one["feature__customer"] == "Ada Lovelace"
    assert one["feature__hours__sha256"] != other["feature__hours__sha256"]
    found = hmac.new(KEY, b"true", hashlib.sha256).hexdigest()
    assert one["feature__night__sha256"] == found


@pytest.mark.parametrize(
    ("leave_out", "hashed", "key", "reason"),
    [
        pytest.param(["nobody"], [], KEY, "found nobody", id="no_such_feature"),
        pytest.param([], ["nobody"], KEY, "found nobody", id="no_such_feature_to_hash"),
        pytest.param([], ["hours"], None, "expected a key", id="no_key"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused(
    leave_out: list[str], hashed: list[str], key: bytes | None, reason: str
) -> None:
    with pytest.raises(ServingError, match=reason):
        Redaction(FIELDS, leave_out=leave_out, hashed=hashed, key=key)


def test_the_key_is_made_once_and_for_this_user_only(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    make_key(path)
    first = read_key(path)
    make_key(path)
    assert read_key(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"k" * 31)
    with pytest.raises(ServingError, match="found 31"):
        read_key(path)
