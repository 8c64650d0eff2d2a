"""Callers of a service: each row a request, and truth when it has come. Safe to repeat: a row has
the same id whenever it is sent, and the log counts an id once.
"""

import http.client
import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mlops_assets.errors import ServingError

_CALLERS = 4
_PATIENCE_SECONDS = 120.0  # a gateway that starts again takes a few
_PAUSE_SECONDS = 0.2
_MOST_TRUTHS = 1_000  # in a request
_AGAIN = (429, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of some requests."""

    n: int
    n_failed: int


class Callers:
    """Threads that ask a gateway, each with a connection that stays open.

    Args:
        url: Of the gateway.
        service: Whom they ask.
    """

    def __init__(self, url: str, service: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._service = service
        self._own = threading.local()
        self._pool = ThreadPoolExecutor(_CALLERS, thread_name_prefix="replay")

    def predict(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> Sent:
        """Ask for a prediction of each row.

        Args:
            rows: Ids and features.

        Raises:
            ServingError: nobody answered for two minutes.
        """
        answers = list(self._pool.map(self._predict, rows))
        return Sent(len(answers), answers.count(False))

    def tell(self, truths: Sequence[Mapping[str, Any]]) -> int:
        """Tell truths: `id`, `value` and `time`; how many.

        Raises:
            ServingError: they are refused, or nobody answered for two minutes.
        """
        for first in range(0, len(truths), _MOST_TRUTHS):
            part = truths[first : first + _MOST_TRUTHS]
            items = [{"service": self._service, **truth} for truth in part]
            status, told = self._call("/v1/ground-truth", {"items": items}, {})
            if status != http.client.OK:
                raise ServingError(f"the gateway refused truths ({status}): {told[:300]!r}")
        return len(truths)

    def close(self) -> None:
        """Wait for what is on its way, and end."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _predict(self, row: tuple[str, Mapping[str, Any]]) -> bool:
        row_id, features = row
        path = f"/v1/models/{self._service}:predict"
        status, _ = self._call(path, {"instances": [features]}, {"x-request-id": row_id})
        return status == http.client.OK

    def _call(self, path: str, content: object, headers: dict[str, str]) -> tuple[int, bytes]:
        """An answer; while there is none, or a try later may do, tries again."""
        body = json.dumps(content)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                connection = self._connection()
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
                status, told = answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                self._own.connection = None
                status, told = 0, str(error).encode()
            if status and status not in _AGAIN:
                return status, told
            if time.monotonic() > deadline:
                if status:
                    return status, told
                raise ServingError(
                    f"nobody answers at {self._host}:{self._port}: {told.decode()}; is the "
                    "platform up? Start it, and play on"
                )
            time.sleep(_PAUSE_SECONDS)

    def _connection(self) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if found is None:
            found = http.client.HTTPConnection(self._host, self._port, timeout=60)
            self._own.connection = found
        return found
