"""A request that is not served, and why."""

import msgspec

UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""What msgspec raises for a body that is not JSON, too deep, or no UTF-8."""


class RequestError(Exception):
    """The caller's mistake, or a limit: answered with a status and `{"error": reason}`.

    Attributes:
        status: HTTP status, 400 to 499; 503 when the same request may pass later; 500 when the
            model has no answer to a request that is right.
        reason: Names the field, what was expected and what was received.
        retry_after_seconds: Sent as `Retry-After`; None for mistakes that no retry repairs.
    """

    def __init__(self, status: int, reason: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        return self.reason


def shown(value: object) -> str:
    """A value as it stands in a message: with its kind, and cut when long.

    >>> shown("abc"), shown(None), shown([1, 2])
    ("text 'abc'", 'null', 'a list of 2')
    """
    if value is None:
        return "null"
    if isinstance(value, str):
        return f"text {value[:60]!r}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object with {len(value)} fields"
    if isinstance(value, bool):
        return f"boolean {str(value).lower()}"
    return f"number {str(value)[:60]}"
