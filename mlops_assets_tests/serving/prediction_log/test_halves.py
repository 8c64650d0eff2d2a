"""Requests and responses that came apart: whatever stands in them, they join or say why not."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlops_assets.errors import ServingError
from mlops_assets.serving.prediction_log.halves import align_rows, join_halves
from mlops_assets_tests.serving.effort import fuzzing
from mlops_assets_tests.serving.fuzz import ANY_JSON, v1_bodies, v2_requests

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
COLUMN = b'{"inputs":[{"name":"x","datatype":"FP64","shape":[1],"data":[1]}]}'
LABEL = b'{"predictions":[1]}'


def rows_of(request: bytes, response: bytes) -> list[dict[str, Any]]:
    bodies = {"request": request, "response": response}
    asked, said = (
        {
            "event_id": "e", "kind": kind, "event_time": AT, "revision": "", "model_version": None,
            "body": body,
        }
        for kind, body in bodies.items()
    )  # fmt: skip
    return align_rows([join_halves(asked, said)])[0]


def test_a_column_and_its_label_make_a_row() -> None:
    (row,) = rows_of(COLUMN, LABEL)
    assert (row["feature__x"], row["prediction"], row["protocol"]) == (1.0, "1", "v2")


@pytest.mark.parametrize(
    ("request_body", "response_body", "reason"),
    [
        pytest.param(COLUMN, b'{"predictions":[1,2]}', "other rows", id="more_labels"),
        pytest.param(COLUMN.replace(b"[1]", b"[null]", 1), LABEL, "shape", id="no_shape"),
        pytest.param(
            COLUMN.replace(b"[1]", b'[1,"a","b"]', 1), LABEL, "shape", id="texts_as_shape"
        ),
        pytest.param(COLUMN.replace(b"]}]}", b"]},3]}"), LABEL, "without data", id="no_tensor"),
        pytest.param(b'{"instances":[[1%s]]}' % (b"0" * 400), LABEL, "too long", id="long_number"),
        pytest.param(b"[" * 9_000, LABEL, "request e", id="too_deep"),
    ],
)
def test_what_does_not_join_is_told(request_body: bytes, response_body: bytes, reason: str) -> None:
    with pytest.raises(ServingError, match=reason):
        rows_of(request_body, response_body)


def test_probabilities_of_other_rows_than_the_labels_are_none() -> None:
    outputs = [
        {"name": "predict", "shape": [2], "data": [0, 1]},
        {"name": "predict_proba", "shape": [1, 2], "data": [0.25, 0.75]},
    ]
    rows = rows_of(b'{"instances":[[1],[2]]}', json.dumps({"outputs": outputs}).encode())
    assert [row["probability"] for row in rows] == [None, None]


_ANSWERS = st.fixed_dictionaries(
    {"predictions": st.lists(ANY_JSON, max_size=8) | ANY_JSON},
    optional={"outputs": st.lists(ANY_JSON, max_size=2), "probabilities": ANY_JSON},
)


@fuzzing(300, 20_000)
@given(
    request=v1_bodies() | v2_requests().map(lambda found: found[0]) | ANY_JSON.map(json.dumps),
    response=_ANSWERS.map(json.dumps)
    | v2_requests().map(lambda found: found[0].replace(b"in", b"out", 1)),
)
@example(request=COLUMN, response=LABEL)
def test_no_bodies_end_the_process_that_joins_them(
    request: bytes | str, response: bytes | str
) -> None:
    bodies = (body.encode() if isinstance(body, str) else body for body in (request, response))
    with contextlib.suppress(ServingError):
        rows_of(*bodies)
