"""How a logged request becomes rows."""

from typing import Any

import numpy as np
import pytest

from mlops_assets.errors import ServingError
from mlops_assets.serving.prediction_log.records import (
    Preamble,
    PredictionRecord,
    RowReader,
    encode,
)


def read(classes: list[Any], shares: Any) -> list[dict[str, Any]]:
    """The rows of a request of two rows, to which the model gave such probabilities."""
    preamble = Preamble("toy", "v1", "1", [("hours", "number")], classes)
    body = b'{"instances":[[1.5],[2]]}'
    labels = [classes[0]] * 2
    record = PredictionRecord("a", 0, "v1", 2_000_000, body, None, labels, shares.tobytes())
    return RowReader(preamble).rows(encode(record))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_are_read_as_the_model_gave_them(dtype: Any) -> None:
    rows = read(["x", "y"], np.array([[0.1, 0.9], [0.75, 0.25]], dtype))
    assert [row["probabilities"] for row in rows] == [[dtype(0.1), dtype(0.9)], [0.75, 0.25]]
    assert [row["probability"] for row in rows] == [dtype(0.9), 0.25]


def test_probabilities_of_other_rows_or_classes_make_a_record_unreadable() -> None:
    with pytest.raises(ServingError, match="a logged prediction cannot be read"):
        read(["x", "y", "z"], np.array([[0.25, 0.75], [0.75, 0.25]]))
