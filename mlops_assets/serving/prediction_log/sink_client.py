"""How a predictor reaches the sink: one connection, one request at a time.

The standard library's client, since this runs beside every predictor: httpx would take 20 MB more.
"""

import http.client
import os
import ssl
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from mlops_assets.errors import PlatformError, ServingError
from mlops_assets.serving.prediction_log.truth import read_token
from mlops_assets.serving.prediction_log.wire import BATCH_TYPE

_TIMEOUT_SECONDS = 30.0


class SinkUnavailableError(ServingError):
    """The sink took nothing and may take the same later.

    Attributes:
        retry_after_seconds: When it wants to be asked again; None when it did not say.
    """

    def __init__(self, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class SinkRefusedError(ServingError):
    """The sink will never take this request: something in it is wrong, or it is too long."""


class SinkClient:
    """Posts batches of events to a sink.

    Args:
        url: Where it takes events, such as `http://sink:8080`.
        token_file: File with its token; None: `MLOPS_SINK_TOKEN`, where that is set. It is read
            for each connection, since a cluster renews such files.

    Raises:
        PlatformError: the URL is none.
    """

    def __init__(self, url: str, token_file: Path | None) -> None:
        self._url = require_url(url)
        parts = urlsplit(url)
        self._path = parts.path or "/"
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port
        self._token_file = token_file
        self._token: str | None = None
        self._connection: http.client.HTTPConnection | None = None

    def post(self, body: bytes) -> None:
        """Returns once the sink has the events on its disk.

        Raises:
            SinkUnavailableError: try again later.
            SinkRefusedError: this body is not taken.
        """
        try:
            answer = self._send(body)
            content, status = answer.read(), answer.status
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise SinkUnavailableError(f"{self._url}: {error!r}") from error
        if answer.will_close or status != 200:
            self.close()
        if status == 200:
            return
        reason = f"{self._url} answered {status}: {content[:300].decode('utf-8', 'replace')}"
        if status in (400, 413, 415, 422):
            raise SinkRefusedError(reason)
        asked = answer.headers.get("retry-after", "")
        raise SinkUnavailableError(reason, float(asked) if asked.isdigit() else None)

    def _send(self, body: bytes) -> http.client.HTTPResponse:
        if self._connection is not None:
            try:
                return self._ask(self._connection, body)
            except ConnectionError:  # the sink ends connections that nobody used for a while
                self.close()
        return self._ask(self._connect(), body)

    def _ask(self, connection: http.client.HTTPConnection, body: bytes) -> http.client.HTTPResponse:
        headers = {"content-type": BATCH_TYPE.decode()}
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token}"
        connection.request("POST", self._path, body, headers)
        return connection.getresponse()

    def _connect(self) -> http.client.HTTPConnection:
        try:
            self._token = read_token(self._token_file, os.environ)
        except PlatformError as error:
            raise SinkUnavailableError(str(error)) from error
        if self._secure:
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=_TIMEOUT_SECONDS, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(
                self._host, self._port, timeout=_TIMEOUT_SECONDS
            )
        return self._connection

    def close(self) -> None:
        """Forget the connection; the next request makes another one."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
            self._connection = None


def require_url(url: str) -> str:
    """The URL of a sink.

    Raises:
        PlatformError: it is none.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise PlatformError(f"the sink's URL: expected http://HOST:PORT, found {url!r}")
    return url
