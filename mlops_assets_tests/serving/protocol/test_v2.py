"""V2 requests: tensors in JSON and in binary, and what is said about wrong ones."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.serving.protocol.batch import Answer
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.protocol.v2 import InferBatch, V2Decoder, encode_answer

FEATURES = [
    FeatureField(name="hours", kind="number"),
    FeatureField(name="genre", kind="category"),
    FeatureField(name="plays", kind="boolean"),
]
NUMBERS = [FeatureField(name="a", kind="number"), FeatureField(name="b", kind="number")]
HOURS = {"name": "hours", "shape": [2], "datatype": "FP64", "data": [1.5, None]}
GENRE = {"name": "genre", "shape": [2, 1], "datatype": "BYTES", "data": ["x", None]}
PLAYS = {"name": "plays", "shape": [2], "datatype": "BOOL", "data": [True, False]}


def decode(
    request: dict[str, Any], features: list[FeatureField] = FEATURES, tail: bytes = b""
) -> InferBatch:
    text = json.dumps(request).encode()
    decoder = V2Decoder(features, ("predict", "predict_proba"))
    return decoder.decode(text + tail, 5, len(text) if tail else None)


def test_one_tensor_for_each_feature_in_any_order() -> None:
    request = decode({"id": "7", "inputs": [PLAYS, GENRE, HOURS]})
    hours, genre, plays = request.batch.columns
    assert hours[0] == 1.5
    assert np.isnan(hours[1])
    assert genre.tolist() == ["x", None]
    assert plays.tolist() == [1.0, 0.0]
    assert request.id == "7"
    assert request.binary == {"predict": False, "predict_proba": False}


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]]], ids=["flat", "nested"])
@pytest.mark.parametrize("datatype", ["FP32", "FP64", "INT64", "UINT8"])
def test_one_matrix_of_all_features(data: list[Any], datatype: str) -> None:
    tensor = {"name": "any", "shape": [2, 2], "datatype": datatype, "data": data}
    request = decode({"inputs": [tensor]}, NUMBERS)
    assert [column.tolist() for column in request.batch.columns] == [[1.0, 3.0], [2.0, 4.0]]


_NUMBERS = st.none() | st.floats(-1e30, 1e30) | st.integers(-(2**40), 2**40)
_ROWS = st.lists(
    st.tuples(_NUMBERS, st.none() | st.text(max_size=3), st.none() | st.booleans()),
    min_size=1,
    max_size=5,
)


@given(_ROWS)
def test_plain_values_mean_what_they_do_when_each_column_is_looked_at(rows: list[Any]) -> None:
    kinds = zip(FEATURES, ("FP64", "BYTES", "BOOL"), zip(*rows, strict=True), strict=True)
    plain = [
        {"name": field.name, "datatype": datatype, "shape": [len(rows)], "data": list(values)}
        for field, datatype, values in kinds
    ]
    nested = [
        tensor | {"shape": [len(rows), 1], "data": [[value] for value in tensor["data"]]}
        for tensor in plain
    ]
    quick, slow = decode({"inputs": plain}).batch, decode({"inputs": nested}).batch
    assert quick.rows is not None
    assert slow.rows is None
    for one, other in zip(quick.columns, slow.columns, strict=True):
        np.testing.assert_array_equal(one, other)


@given(st.lists(st.tuples(_NUMBERS, _NUMBERS), min_size=1, max_size=5))
def test_a_plain_matrix_means_what_it_does_nested(rows: list[Any]) -> None:
    matrix = {"name": "x", "datatype": "FP64", "shape": [len(rows), 2]}
    flat = matrix | {"data": [value for row in rows for value in row]}
    quick = decode({"inputs": [flat]}, NUMBERS).batch
    slow = decode({"inputs": [matrix | {"data": rows}]}, NUMBERS).batch
    assert quick.rows is not None
    assert slow.rows is None
    for one, other in zip(quick.columns, slow.columns, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["FP16", "FP32", "FP64", "INT8", "UINT32"])
def test_a_binary_matrix(dtype: str) -> None:
    numpy_names = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "INT8": "i1", "UINT32": "<u4"}
    raw = np.array([[1, 2], [3, 4]], dtype=numpy_names[dtype]).tobytes()
    tensor = {
        "name": "any",
        "shape": [2, 2],
        "datatype": dtype,
        "parameters": {"binary_data_size": len(raw)},
    }
    request = decode({"inputs": [tensor]}, NUMBERS, tail=raw)
    assert [column.tolist() for column in request.batch.columns] == [[1.0, 3.0], [2.0, 4.0]]


def test_binary_texts() -> None:
    raw = b"".join(struct.pack("<I", len(text)) + text for text in (b"rock", b""))
    tensor = {**GENRE, "parameters": {"binary_data_size": len(raw)}}
    del tensor["data"]
    request = decode({"inputs": [HOURS, tensor, PLAYS]}, tail=raw)
    assert request.batch.columns[1].tolist() == ["rock", ""]


WRONG: dict[str, tuple[list[dict[str, Any]], str]] = {
    "no_inputs": ([], "at least one tensor"),
    "missing_column": ([HOURS, GENRE], "missing plays"),
    "unknown_column": ([HOURS, GENRE, {**PLAYS, "name": "z"}], "missing plays; not known z"),
    "twice": ([HOURS, GENRE, PLAYS, PLAYS], "a name stands twice"),
    "wrong_length": ([HOURS, GENRE, {**PLAYS, "shape": [3], "data": [True] * 3}], "expected [2]"),
    "wrong_count": ([{**HOURS, "data": [1]}, GENRE, PLAYS], "promises 2 values, found 1"),
    "wrong_dtype": ([{**HOURS, "datatype": "BYTES"}, GENRE, PLAYS], "found BYTES"),
    "no_dtype": ([{**HOURS, "datatype": "FP8"}, GENRE, PLAYS], "expected one of BOOL"),
    "text_in_number": ([{**HOURS, "data": [1, "a"]}, GENRE, PLAYS], "found text 'a'"),
    "float_in_boolean": ([HOURS, GENRE, {**PLAYS, "datatype": "INT8", "data": [0, 2]}], "true, f"),
    "no_data": ([{"name": "hours", "shape": [2], "datatype": "FP64"}, GENRE, PLAYS], "found none"),
    "negative": ([{**HOURS, "shape": [-2]}, GENRE, PLAYS], "sizes ≥ 0"),
    "no_rows": ([{**t, "shape": [0], "data": []} for t in (HOURS, GENRE, PLAYS)], "one row"),
    "wide": ([{**HOURS, "shape": [2, 4], "data": [1] * 8}], "expected [n, 3]"),
    "nesting": ([{**HOURS, "shape": [2, 1], "data": [[1], [1, 2]]}, GENRE, PLAYS], "another n"),
    "nested_beyond_its_shape": ([{**HOURS, "data": [[1], [2]]}, GENRE, PLAYS], "a list of 1"),
    "empty_lists": ([HOURS, GENRE, {**PLAYS, "data": [[], []]}], "found a list of 0"),
    "infinite": ([{**HOURS, "data": [1, 3.5e38]}, GENRE, PLAYS], "at most 3.4e+38"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_tensors_are_told(case: str) -> None:
    tensors, message = WRONG[case]
    with pytest.raises(RequestError) as refused:
        decode({"inputs": tensors})
    assert refused.value.status == 400
    assert message in refused.value.reason


@pytest.mark.parametrize(
    ("shape", "status"), [([5], 200), ([6], 413), ([10**30], 413)], ids=lambda v: str(v)[:12]
)
def test_too_many_rows(shape: list[int], status: int) -> None:
    n = min(shape[0], 10)
    tensor = {"name": "a", "shape": shape, "datatype": "FP64", "data": [1.0] * n}
    try:
        decode({"inputs": [tensor]}, NUMBERS[:1])
        found = 200
    except RequestError as refused:
        found = refused.status
    assert found == status


@pytest.mark.parametrize(
    ("size", "message"),
    [(17, "expected at most the 16"), (8, "take 16 bytes, found 8"), ("x", "found text")],
    ids=["too_long", "too_short", "text"],
)
def test_wrong_binary_sizes_are_told(size: object, message: str) -> None:
    tensor = {"name": "a", "shape": [2], "datatype": "FP64"}
    with pytest.raises(RequestError, match=message):
        decode(
            {"inputs": [{**tensor, "parameters": {"binary_data_size": size}}]},
            NUMBERS[:1],
            tail=bytes(16),
        )


@pytest.mark.parametrize("name", ["{", "{x}", "{row:>1000000}", "{row.__class__}"])
def test_the_name_of_a_tensor_is_told_as_it_is(name: str) -> None:
    """Once it was taken for a format: a 500, or as many bytes of memory as the caller liked."""
    tensor = {"name": name, "shape": [1, 2], "datatype": "FP64", "data": [1, "a"]}
    with pytest.raises(RequestError) as refused:
        decode({"inputs": [tensor]}, NUMBERS)
    assert refused.value.reason.startswith(f"inputs.{name}[0] 'b': expected a number")


def test_an_unknown_output_is_told() -> None:
    with pytest.raises(RequestError, match="predict or predict_proba, found text 'x'"):
        decode({"inputs": [HOURS, GENRE, PLAYS], "outputs": [{"name": "x"}]})


def test_requested_outputs_come_in_their_order_and_form() -> None:
    answer = Answer(["no", "yes"], np.array([[0.75, 0.25], [0.5, 0.5]]))
    outputs = [
        {"name": "predict_proba", "parameters": {"binary_data": True}},
        {"name": "predict", "parameters": {"binary_data": True}},
    ]
    request = decode({"inputs": [HOURS, GENRE, PLAYS], "outputs": outputs})
    body, length = encode_answer(
        answer, request, classes=["no", "yes"], identity={"model_name": "m"}
    )
    assert length is not None
    head = json.loads(body[:length])
    assert [tensor["name"] for tensor in head["outputs"]] == ["predict_proba", "predict"]
    assert np.frombuffer(body[length : length + 32], "<f8").tolist() == [0.75, 0.25, 0.5, 0.5]
    assert body[length + 32 :] == b"\x02\0\0\0no\x03\0\0\0yes"
