"""The id of a request, by which its answer, its log and its truth will know it."""

import msgspec

from mlops_assets.serving.protocol.refusal import UNREADABLE, RequestError
from mlops_assets.serving.protocol.rsgi import RequestHeaders, make_id, usable_id


class _Named(msgspec.Struct):
    id: str | None = None


_NAMED = msgspec.json.Decoder(_Named)


def find_id(headers: RequestHeaders, body: bytes, path: str) -> str:
    """The caller's id, of a header or else of a V2 body, as the predictor finds it; else a new one.

    It is known before a revision is asked, so that whoever is asked next, and a shadow, gets the
    same one.

    Raises:
        RequestError: 400, a header's id cannot be one.

    >>> find_id(RequestHeaders({"ce-id": "c1"}), b'{"id": "b1"}', "/v2/models/toy/infer")
    'c1'
    >>> find_id(RequestHeaders({}), b'{"id": "b1"}', "/v2/models/toy/infer")
    'b1'
    """
    found = headers.caller_id()
    if found is None and path.startswith("/v2/") and b'"id"' in body:
        found = _id_of_body(headers, body)
    return found or make_id()


def _id_of_body(headers: RequestHeaders, body: bytes) -> str | None:
    """The id of a V2 body, if it can be a header's value too; the predictor says what is wrong."""
    try:
        size = headers.json_size()
        return usable_id(_NAMED.decode(body if size is None else body[:size]).id)
    except (RequestError, *UNREADABLE):
        return None
