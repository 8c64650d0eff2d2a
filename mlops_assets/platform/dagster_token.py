"""The token that automation shows where Dagster's pages stand behind a login.

A command prints it, since such tokens end within minutes and a run takes longer.
"""

import subprocess
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

from mlops_assets.errors import PlatformError

_FRESH_SECONDS = 60.0  # tokens of GitHub Actions live for five minutes
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class TokenCommand(AuthBase):
    """Signs requests with what a shell command prints, asked again after a minute.

    Args:
        command: For `sh -c`; it prints the token alone.
        url: Where the token is shown.
        seconds: Longest wait for the command.
        clock: Seconds that only grow.

    Raises:
        PlatformError: the token would go over a network in plain text.
    """

    def __init__(
        self,
        command: str,
        url: str,
        *,
        seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise PlatformError(f"{url}: a token is shown over https only, or to this machine")
        self._command = command
        self._seconds, self._clock = seconds, clock
        self._token = ""
        self._printed_at = float("-inf")

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """The request with the token.

        Raises:
            PlatformError: the command failed, hung, or printed no token.
        """
        if self._clock() >= self._printed_at + _FRESH_SECONDS:
            self._token, self._printed_at = self._ask(), self._clock()
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _ask(self) -> str:
        try:
            done = subprocess.run(
                ["sh", "-c", self._command],
                capture_output=True,
                text=True,
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PlatformError(
                f"the command for a token took over {self._seconds:g} s"
            ) from None  # whose words are the command, which may hold a secret
        if done.returncode:
            said = done.stderr.strip()[-500:] or "it said nothing"
            raise PlatformError(f"the command for a token ended with {done.returncode}: {said}")
        token = done.stdout.strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise PlatformError(
                f"the command for a token printed {len(token)} characters that are none; "
                "expected one line with the token alone"
            )
        return token
