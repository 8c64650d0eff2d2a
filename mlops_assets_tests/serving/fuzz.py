"""Requests that are nearly right, as Hypothesis strategies: of both protocols, and ground truth.

The features are those of `packages.write_mixed_model`: a number, a text and a boolean.
"""

import json
import struct
from typing import Any

import numpy as np
from hypothesis import strategies as st

FEATURES = ["hours", "genre", "plays"]
_DATATYPES = {"hours": ["FP64", "FP32", "INT64", "FP16"], "genre": ["BYTES"], "plays": ["BOOL"]}
_DTYPES = {"FP64": "<f8", "FP32": "<f4", "FP16": "<f2", "INT64": "<i8", "INT8": "i1", "BOOL": "?"}

ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
_NUMBERS = st.none() | st.floats(width=32) | st.integers(-(2**70), 2**70)
_TEXTS = st.none() | st.text(max_size=5) | st.sampled_from(["rock", "jazz", ""])
_BOOLEANS = st.none() | st.booleans() | st.integers(-1, 2)
_WRONG: st.SearchStrategy[Any] = st.one_of(
    st.just([]), st.just({}), st.floats(), st.text(max_size=3), st.integers()
)


def _sometimes(
    right: st.SearchStrategy[Any], wrong: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Mostly the first, else a request would hardly ever be right in all places."""
    return st.integers(0, 14).flatmap(lambda n: wrong if n == 0 else right)


_VALUES = [_sometimes(values, _WRONG) for values in (_NUMBERS, _TEXTS, _BOOLEANS)]
_LISTS = st.tuples(*_VALUES).map(list)
_OBJECTS = st.fixed_dictionaries(dict(zip(FEATURES, _VALUES, strict=True)))
_ROW = _sometimes(_LISTS | _OBJECTS, ANY_JSON)
_EXTRA = st.dictionaries(st.sampled_from(["instances", "inputs", "id", "parameters"]), ANY_JSON)


@st.composite
def v1_bodies(draw: st.DrawFn) -> bytes:
    """Bodies of the V1 protocol."""
    rows = draw(_sometimes(st.lists(_ROW, min_size=1, max_size=8), _ROW))
    key = draw(st.sampled_from(["instances", "instances", "inputs"]))
    content = {key: rows, **draw(_sometimes(st.just({}), _EXTRA))}
    return _text(draw, content, more=draw(_sometimes(st.just({}), _EXTRA)))


def _text(draw: st.DrawFn, content: object, more: object = None) -> bytes:
    """JSON, now and then cut off or with a byte changed; `more` fields may stand in it twice."""
    text = json.dumps(content).encode()
    if more:
        text = text[:-1] + b"," + json.dumps(more).encode()[1:]
    if draw(st.integers(0, 19)) or not text:
        return text
    at = draw(st.integers(0, len(text) - 1))
    return text[:at] + draw(st.binary(max_size=2)) + text[at + draw(st.integers(1, 9)) :]


@st.composite
def v2_requests(draw: st.DrawFn) -> tuple[bytes, int | None]:
    """Bodies of the V2 protocol, and the length of their JSON when binary tensors follow."""
    n_rows = draw(st.integers(1, 8))
    tail = b""
    tensors = []
    for name, values in zip(FEATURES, (_NUMBERS, _TEXTS, _BOOLEANS), strict=True):
        datatype = draw(st.sampled_from(_DATATYPES[name]))
        tensor: dict[str, Any] = {"name": name, "shape": [n_rows], "datatype": datatype}
        if draw(st.booleans()):
            raw = draw(_raw_values(datatype, n_rows))
            tensor["parameters"] = {"binary_data_size": len(raw)}
            tail += raw
        else:
            data = draw(st.lists(values, min_size=n_rows, max_size=n_rows))
            tensor["data"] = draw(_sometimes(st.just(data), st.just([[value] for value in data])))
        tensors.append({**tensor, **draw(_sometimes(st.just({}), _WRONG_TENSOR))})
    content: dict[str, Any] = {"inputs": draw(st.permutations(tensors))}
    if not draw(st.integers(0, 3)):  # the others are sent as they stand, so that some are right
        content |= draw(_OPTIONS)
    text = _text(draw, content)
    if not tail:
        return text, None
    length = len(text) + draw(_sometimes(st.just(0), st.integers(-300, 300)))
    return text + tail + draw(_sometimes(st.just(b""), st.binary(max_size=9))), length


_WRONG_TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from([*FEATURES, "other"]) | ANY_JSON,
        "shape": st.lists(st.integers(-1, 2**40), max_size=3) | ANY_JSON,
        "datatype": st.sampled_from([*_DTYPES, "BYTES", "UINT64", "?"]) | ANY_JSON,
        "data": st.lists(_NUMBERS | _TEXTS, max_size=9) | ANY_JSON,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-9, 99) | ANY_JSON}),
    },
)
_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text(max_size=300) | ANY_JSON,
        "parameters": st.just({"binary_data_output": True}) | ANY_JSON,
        "outputs": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["predict", "predict_proba", "other"])},
                optional={"parameters": st.just({"binary_data": True}) | ANY_JSON},
            ),
            max_size=3,
        )
        | ANY_JSON,
    },
)


def _raw_values(datatype: str, n: int) -> st.SearchStrategy[bytes]:
    """The bytes of n values, mostly."""
    if datatype == "BYTES":
        texts = st.lists(st.text(max_size=5), min_size=n, max_size=n)
        return _sometimes(texts.map(_packed), st.binary(max_size=40))
    size = n * np.dtype(_DTYPES[datatype]).itemsize
    ones = np.ones(n, dtype=_DTYPES[datatype]).tobytes()
    return st.just(ones) | st.binary(min_size=size, max_size=size) | st.binary(max_size=40)


def _packed(texts: list[str]) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(item)) + item for item in encoded)


_TRUTH = st.fixed_dictionaries(
    {
        "service": _sometimes(st.just("toy"), ANY_JSON),
        "id": _sometimes(st.text(min_size=1, max_size=9), st.text() | ANY_JSON),
        "value": _sometimes(
            st.booleans() | st.floats() | st.integers(-(2**80), 2**80) | st.text(max_size=9),
            ANY_JSON,
        ),
    },
    optional={
        "row": st.integers(-1, 2**33) | ANY_JSON,
        "time": st.datetimes(timezones=st.none() | st.timezones()).map(str) | ANY_JSON,
        "more": ANY_JSON,
    },
)


@st.composite
def truth_bodies(draw: st.DrawFn) -> bytes:
    """Bodies of ground truth."""
    many = st.fixed_dictionaries({"items": st.lists(_TRUTH, max_size=4) | ANY_JSON})
    return _text(draw, draw(_TRUTH | many | ANY_JSON))


# What a server may see in a header: no line ends and no NUL, which are refused before.
VALUES = st.binary(max_size=250).map(
    lambda raw: bytes(byte for byte in raw if byte >= 32 and byte != 127).strip()
)
