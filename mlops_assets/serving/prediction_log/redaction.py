"""What a model's policy keeps out of the prediction log, applied before a record is written.

A column that is left out is nowhere on disk. One that is hashed stands as the keyed SHA-256 (HMAC,
RFC 2104) of its text, in hexadecimal, under `<name>__sha256`: equal values stay equal within one
home, and without the home's key nobody can try out values. A missing value stays missing.
"""

import hmac
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from mlops_assets.errors import ServingError
from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.serving.prediction_log.records import label_text, plain_values
from mlops_assets.serving.protocol.batch import Batch
from mlops_assets.whole_files import replace_file

_KEY_BYTES = 32
_ENCODER = msgspec.msgpack.Encoder()


def hashed_name(feature: str) -> str:
    """Name under which a hashed feature is logged, so that it never mixes with plain values.

    >>> hashed_name("carrier")
    'carrier__sha256'
    """
    return f"{feature}__sha256"


class Redaction:
    """Turns a batch into what may be logged of it.

    Args:
        features: What the model takes.
        leave_out: Features that are not logged.
        hashed: Features that are logged hashed.
        key: Secret of the home; needed when something is hashed.

    Raises:
        ServingError: a column is no feature of the model, or a key is missing.
    """

    def __init__(
        self,
        features: Sequence[FeatureField],
        *,
        leave_out: Sequence[str],
        hashed: Sequence[str],
        key: bytes | None,
    ) -> None:
        names = [field.name for field in features]
        unknown = [name for name in (*leave_out, *hashed) if name not in names]
        if unknown:
            raise ServingError(
                f"serving.prediction_log: expected features of the model ({', '.join(names[:20])}),"
                f" found {', '.join(unknown)}"
            )
        if hashed and not key:
            raise ServingError("serving.prediction_log.hash: expected a key, found none")
        self._key = key or b""
        self._kept = [
            (position, field, field.name in hashed)
            for position, field in enumerate(features)
            if field.name not in leave_out
        ]

    @property
    def features(self) -> list[tuple[str, str]]:
        """Name and kind of each feature as it is logged."""
        return [
            (hashed_name(field.name), "category") if hashed else (field.name, field.kind)
            for _, field, hashed in self._kept
        ]

    def encode(self, batch: Batch) -> bytes:
        """The logged columns of a batch, for `RecordReader`."""
        columns = batch.columns
        kept = []
        for position, field, hashed in self._kept:
            values = plain_values(field, columns[position])
            kept.append([self._hash(value) for value in values] if hashed else values)
        return _ENCODER.encode(kept)

    def _hash(self, value: Any) -> str | None:
        if value is None:
            return None
        return hmac.digest(self._key, label_text(value).encode(), "sha256").hex()


def read_key(path: Path) -> bytes:
    """The key of a home.

    Raises:
        ServingError: it cannot be read, or is too short to be one.
    """
    try:
        key = path.read_bytes()
    except OSError as error:
        raise ServingError(f"the key of the prediction log cannot be read: {error}") from error
    if len(key) < _KEY_BYTES:
        raise ServingError(f"{path}: expected {_KEY_BYTES} bytes or more, found {len(key)}")
    return key


def make_key(path: Path) -> None:
    """Make a key that only this user can read, unless there is one."""
    if path.exists():
        return
    replace_file(path, os.urandom(_KEY_BYTES))
