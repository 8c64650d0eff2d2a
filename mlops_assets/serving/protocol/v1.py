"""KServe's V1 protocol: `{"instances": [...]}` in, `{"predictions": [...]}` out.

An instance is a list of values in the order of the features or an object by their names; a single
instance may stand without the list around it. `inputs` is taken for `instances`, as KServe does.
"""

import re
from typing import Any

import msgspec
import numpy as np

from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.serving.protocol.batch import (
    LARGEST,
    Answer,
    Batch,
    build_column,
    expected,
    plain_rows_type,
)
from mlops_assets.serving.protocol.refusal import UNREADABLE, RequestError, shown

_JSON_TYPES: dict[str, Any] = {
    "number": float | None,
    "category": str | int | float | bool | None,
    "boolean": bool | float | None,
}
_NO_LIST = ("`$.instances`", "`$.inputs`")
_PLACE = re.compile(r"^(instances|inputs)(?:\[(\d+)\])?(?:\[(\d+)\]|\.(.*))?$", re.DOTALL)


class V1Decoder:
    """Reads V1 requests for one model. Built once: the decoders know the features' types.

    A wrong request is told by the typed decoder at no cost to right ones, and read again, untyped,
    only to say what was found.
    """

    def __init__(self, features: list[FeatureField]) -> None:
        self._features = features
        self._all_numbers = all(field.kind == "number" for field in features)
        row = _row_type(features)
        self._rows = msgspec.json.Decoder(_request_type(list[row]))  # type: ignore[valid-type]
        self._single = msgspec.json.Decoder(_request_type(row))
        self._strict = msgspec.json.Decoder(_request_type(plain_rows_type(features)))

    def decode(self, body: bytes, max_rows: int) -> Batch:
        """The batch of a request's body.

        Raises:
            RequestError: 400 with the place, the expected and the found; 413 too many rows.
        """
        # Rows as lists of values that need no other look.
        try:
            strict = self._strict.decode(body)
            rows = strict.instances
            if rows is not msgspec.UNSET and strict.inputs is msgspec.UNSET:
                n_rows = len(rows)
                if n_rows <= max_rows:
                    return Batch(n_rows, None, rows, self._features)
        except UNREADABLE:
            pass
        return self._decode_any(body, max_rows)

    def _decode_any(self, body: bytes, max_rows: int) -> Batch:
        try:
            request = self._rows.decode(body)
            rows = _one_of(request)
        except msgspec.ValidationError as error:
            rows = self._decode_single(body, error)
        except UNREADABLE as error:
            raise refuse_json(body, error) from error
        if rows is msgspec.UNSET:
            raise RequestError(400, "instances: expected a list of rows, found no such field")
        if not rows:
            raise RequestError(400, "instances: expected at least one row, found an empty list")
        if len(rows) > max_rows:
            raise RequestError(
                413, f"instances: expected at most {max_rows:,} rows, found {len(rows):,}"
            )
        return self._batch(rows)

    def _batch(self, rows: list[Any]) -> Batch:
        if any(type(row) is not tuple for row in rows):
            rows = [row if type(row) is tuple else msgspec.structs.astuple(row) for row in rows]
        if self._all_numbers and not (np.abs(np.array(rows, dtype=np.float64)) > LARGEST).any():
            return Batch(len(rows), None, rows, self._features)
        columns = zip(*rows, strict=True)
        return Batch(
            len(rows),
            tuple(
                build_column(field, values, f"instances[{{row}}] {field.name!r}")
                for field, values in zip(self._features, columns, strict=True)
            ),
        )

    def _decode_single(self, body: bytes, error: msgspec.ValidationError) -> list[Any]:
        try:
            request = self._single.decode(body)
        except UNREADABLE as single:
            # What is no list of rows is told as the single row that it may be.
            telling = single if str(error).endswith(_NO_LIST) else error
            raise self._refusal(body, str(telling)) from error
        return [_one_of(request)]

    def _refusal(self, body: bytes, problem: str) -> RequestError:
        """What the typed decoder found wrong, with the place, the expected and the found."""
        what, _, place = problem.partition(" - at `$.")
        try:
            found: Any = msgspec.json.decode(body)
        except UNREADABLE:
            return RequestError(400, f"the body is not JSON that is read here: {problem}")
        if not isinstance(found, dict):
            return RequestError(
                400, f'expected an object {{"instances": [...]}}, found {shown(found)}'
            )
        at = _PLACE.match(place.removesuffix("`"))
        if at is None:
            return RequestError(400, f"{place or 'the body'}: {what}")
        try:
            return self._refusal_at(at, found, what)
        except (IndexError, KeyError, TypeError):
            # A name stands twice: the typed decoder failed at the first, `found` has the last.
            return RequestError(400, f"{place.removesuffix('`')}: {what}")

    def _refusal_at(self, at: re.Match[str], found: Any, what: str) -> RequestError:
        key, row, index, name = at.groups()
        found = found[key] if row is None else found[key][int(row)]
        where = key if row is None else f"{key}[{row}]"
        if "`" in what and ("unknown field" in what or "missing required" in what):
            return self._field_refusal(where, what)
        for position, field in enumerate(self._features):
            if index == str(position) or name == field.name:
                value = found[position] if index else found[name]
                return RequestError(
                    400, f"{where} {field.name!r}: expected {expected(field)}, found {shown(value)}"
                )
        return RequestError(
            400,
            f"{where}: expected rows as lists of {len(self._features)} values or objects by "
            f"feature name, found {shown(found)}",
        )

    def _field_refusal(self, where: str, what: str) -> RequestError:
        name = what.split("field `")[1].removesuffix("`")
        problem = "is no feature" if "unknown" in what else "is missing"
        known = ", ".join(field.name for field in self._features[:20])
        return RequestError(400, f"{where}: {name!r} {problem}; expected {known}")


def _one_of(request: Any) -> Any:
    if request.inputs is msgspec.UNSET:
        return request.instances
    if request.instances is not msgspec.UNSET:
        raise RequestError(400, "expected instances or inputs, which mean the same; found both")
    return request.inputs


def _row_type(features: list[FeatureField]) -> Any:
    types = [_JSON_TYPES[field.kind] for field in features]
    named = msgspec.defstruct(
        "Row",
        [
            (f"f{index}", kind, msgspec.field(name=field.name))
            for index, (field, kind) in enumerate(zip(features, types, strict=True))
        ],
        forbid_unknown_fields=True,
        gc=False,
    )
    return tuple[tuple(types)] | named  # type: ignore[misc]


def _request_type(content: Any) -> Any:
    optional = content | msgspec.UnsetType
    return msgspec.defstruct(
        "Request",
        [("instances", optional, msgspec.UNSET), ("inputs", optional, msgspec.UNSET)],
    )


def refuse_json(body: bytes, error: Exception) -> RequestError:
    """A body that is not JSON at all."""
    if any(token in body for token in (b"NaN", b"Infinity")):
        return RequestError(
            400,
            "the body is not JSON: NaN and Infinity are not numbers in JSON; "
            "send null for a missing value",
        )
    if not body:
        return RequestError(400, "expected a JSON object, found an empty body")
    return RequestError(400, f"the body is not JSON: {error}")


class AnswerEncoder:
    """Writes V1 answers of one model.

    Args:
        identity: What every answer carries besides: model, version, classes. Encoded once.
    """

    def __init__(self, identity: dict[str, Any]) -> None:
        self._tail = b"," + msgspec.json.encode(identity)[1:-1] + b',"id":'

    def encode(self, answer: Answer, prediction_id: str) -> bytes:
        """The body of an answer.

        >>> AnswerEncoder({"model_name": "m"}).encode(Answer([1], None), "a")
        b'{"predictions":[1],"model_name":"m","id":"a"}'
        """
        encode, shares = msgspec.json.encode, answer.probabilities
        said = b'{"predictions":' + encode(answer.labels)
        if shares is not None:
            said += b',"probabilities":' + encode(shares.tolist())
        return said + self._tail + encode(prediction_id) + b"}"
