"""V1 requests: what is read, and what is said about what is not."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.serving.protocol.batch import Answer
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.protocol.v1 import AnswerEncoder, V1Decoder

MIXED = V1Decoder(
    [
        FeatureField(name="hours per day", kind="number"),
        FeatureField(name="genre", kind="category"),
        FeatureField(name="plays", kind="boolean"),
    ]
)
NUMBERS = V1Decoder([FeatureField(name="a", kind="number"), FeatureField(name="b", kind="number")])
MAX_ROWS = 5


def columns(decoder: V1Decoder, body: str) -> list[list[Any]]:
    batch = decoder.decode(body.encode(), max_rows=MAX_ROWS)
    return [
        [None if isinstance(v, float) and math.isnan(v) else v for v in column.tolist()]
        for column in batch.columns
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param('{"instances":[[1,"x",true]]}', [[1.0], ["x"], [1.0]], id="list"),
        pytest.param('{"instances":[1,"x",true]}', [[1.0], ["x"], [1.0]], id="single_row"),
        pytest.param('{"inputs":[[1,"x",true]]}', [[1.0], ["x"], [1.0]], id="inputs"),
        pytest.param(
            '{"instances":{"plays":0,"genre":null,"hours per day":null}}',
            [[None], [None], [0.0]],
            id="single_object_in_any_order",
        ),
        pytest.param(
            '{"instances":[[null,3,null],{"hours per day":2,"genre":true,"plays":false}],"more":1}',
            [[None, 2.0], ["3", "true"], [None, 0.0]],
            id="lists_and_objects_mixed_and_categories_of_any_kind",
        ),
        pytest.param('{"instances":[[1,4.0,1]]}', [[1.0], ["4"], [1.0]], id="whole_float"),
    ],
)
def test_rows_are_read(body: str, expected: list[list[Any]]) -> None:
    assert columns(MIXED, body) == expected


def test_numbers_alone_take_the_quick_way_with_missing_ones() -> None:
    assert columns(NUMBERS, '{"instances":[[1,null],{"b":3,"a":2}]}') == [[1.0, 2.0], [None, 3.0]]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        pytest.param('{"instances":[[1,"x"]]}', 400, "lists of 3 values", id="ragged"),
        pytest.param(
            '{"instances":[["a","x",true]]}',
            400,
            "instances[0] 'hours per day': expected a number of at most 3.4e+38 or null, "
            "found text 'a'",
            id="text_for_number",
        ),
        pytest.param(
            '{"instances":[{"hours per day":"a","genre":"x","plays":true}]}',
            400,
            "instances[0] 'hours per day': expected a number",
            id="text_for_number_by_name",
        ),
        pytest.param('{"instances":[[true,"x",true]]}', 400, "found boolean true", id="boolean"),
        pytest.param('{"instances":[[1,1.5,true]]}', 400, "'genre': expected text", id="fraction"),
        pytest.param('{"instances":[[1,[],true]]}', 400, "found a list of 0", id="nested"),
        pytest.param('{"instances":[[1,"x",2]]}', 400, "'plays': expected true, f", id="not_0_1"),
        pytest.param('{"instances":[{"genre":"x"}]}', 400, "'hours per day' is missing", id="gone"),
        pytest.param(
            '{"instances":[{"hours per day":1,"genre":"x","plays":true,"z":2}]}',
            400,
            "instances[0]: 'z' is no feature; expected hours per day, genre, plays",
            id="unknown_column",
        ),
        pytest.param(
            '{"instances":{"hours per day":1,"genre":"x","plays":"y"}}',
            400,
            "instances 'plays': expected true, false or null, found text 'y'",
            id="a_single_object_with_a_wrong_value",
        ),
        pytest.param(
            '{"inputs":{"hours per day":1}}',
            400,
            "inputs: 'genre' is missing",
            id="a_single_object_with_too_little",
        ),
        pytest.param(
            '{"instances":[[1,"x",true],["a","x",true]],"instances":7}',
            400,
            "instances[1][0]: Expected `float | null`, got `str`",
            id="rows_twice",
        ),
        pytest.param(
            '{"instances":[[1,"x","a"]],"instances":[]}', 400, "instances[0][2]", id="then_no_rows"
        ),
        pytest.param(
            '{"instances":[{"hours per day":"a","genre":"x","plays":true}],"instances":[[1]]}',
            400,
            "instances[0].hours per day: Expected",
            id="objects_then_lists",
        ),
        pytest.param('{"instances":[[NaN,"x",true]]}', 400, "send null for a missing", id="nan"),
        pytest.param('{"instances":[[1e999,"x",true]]}', 400, "out of range", id="beyond_64_bits"),
        pytest.param('{"instances":[[3.5e38,"x",true]]}', 400, "at most 3.4e+38", id="beyond_32"),
        pytest.param('{"instances":[[1', 400, "not JSON: Input data was truncated", id="cut"),
        pytest.param("", 400, "empty body", id="empty_body"),
        pytest.param("[]", 400, 'expected an object {"instances"', id="a_list"),
        pytest.param("{}", 400, "found no such field", id="no_instances"),
        pytest.param('{"instances":[]}', 400, "at least one row", id="no_rows"),
        pytest.param('{"instances":7}', 400, "found number 7", id="a_number"),
        pytest.param("[" * 100_000, 400, "", id="deep"),
        pytest.param('{"x":' + "[" * 100_000, 400, "", id="deep_inside"),
        pytest.param('{"instances":[' + '[1,"x",1],' * 5 + '[1,"x",1]]}', 413, "5 rows", id="rows"),
    ],
)  # fmt: skip
def test_wrong_requests_name_place_expected_and_found(body: str, status: int, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        MIXED.decode(body.encode(), max_rows=MAX_ROWS)
    assert refused.value.status == status
    assert message in refused.value.reason


@pytest.mark.parametrize("text", [b"\xff", b"caf\xe9", b"\xed\xa0\x80"])
def test_a_text_that_is_no_utf_8_is_refused(text: bytes) -> None:
    with pytest.raises(RequestError, match="not JSON: 'utf-8' codec can't decode") as refused:
        MIXED.decode(b'{"instances":[[1,"%b",true]]}' % text, max_rows=MAX_ROWS)
    assert refused.value.status == 400


def test_a_full_batch_is_taken() -> None:
    batch = NUMBERS.decode(b'{"instances":' + b"[" + b"[1,2]," * 4 + b"[1,2]]}", max_rows=MAX_ROWS)
    assert batch.n_rows == MAX_ROWS


def test_an_answer_carries_labels_probabilities_and_identity() -> None:
    answer = Answer([1], np.array([[0.25, 0.75]], dtype=np.float32))
    body = msgspec.json.decode(AnswerEncoder({"model_name": "m"}).encode(answer, "i"))
    assert body == {
        "predictions": [1],
        "probabilities": [[0.25, 0.75]],
        "model_name": "m",
        "id": "i",
    }


@pytest.mark.parametrize(
    "values",
    [
        pytest.param('1.5,"x",true', id="all_there"),
        pytest.param("null,null,null", id="all_missing"),
        pytest.param('-3.4028234663852886e38,"",false', id="the_smallest_number"),
    ],
)
def test_rows_that_need_no_other_look_give_the_same_columns(values: str) -> None:
    """Lists of the plain types are kept as rows; an object beside them makes columns of all."""
    as_rows = MIXED.decode(f'{{"instances":[[{values}]]}}'.encode(), max_rows=MAX_ROWS)
    named = '{"hours per day":2,"genre":null,"plays":true}'
    mixed = MIXED.decode(f'{{"instances":[[{values}],{named}]}}'.encode(), max_rows=MAX_ROWS)
    assert (as_rows.rows is not None, mixed.rows) == (True, None)
    for one, both in zip(as_rows.columns, mixed.columns, strict=True):
        assert one.dtype == both.dtype
        np.testing.assert_array_equal(one, both[:1])


@pytest.mark.parametrize("value", ["3.4028235e38", "-3.5e38", "1e300"])
def test_numbers_beyond_32_bits_are_refused_by_either_way(value: str) -> None:
    for decoder, row in ((NUMBERS, f"[1,{value}]"), (MIXED, f'[{value},"x",true]')):
        with pytest.raises(
            RequestError, match=r"instances.*expected a number of at most 3\.4e\+38"
        ):
            decoder.decode(f'{{"instances":[{row}]}}'.encode(), max_rows=MAX_ROWS)
