"""Parts of the Markdown that the Dagster pages show."""

import base64
from collections.abc import Sequence

from mlops_assets.modeling.evaluation import Estimate


def picture(name: str, content: bytes) -> str:
    """A PNG picture, whole in the text."""
    return f"![{name}](data:image/png;base64,{base64.b64encode(content).decode()})"


def cell(text: str) -> str:
    """Text inside a table: no line ends, no bars.

    >>> cell("a | b")
    'a / b'
    """
    return text.replace("|", "/").replace("\n", " ")


def bullets(lines: Sequence[str]) -> str:
    """A list with a point for each line, or the word `none`."""
    return "\n".join(f"- {line}" for line in lines) or "none"


def estimate_words(estimate: Estimate | None) -> str:
    """A number and its interval, or why there is none.

    >>> estimate_words(Estimate(value=0.7123, low=0.695, high=0.728))
    '0.7123 (0.695 to 0.728)'
    """
    if estimate is None:
        return "–"
    if estimate.value is None:
        return f"unknown: {estimate.reason}"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.4g}"
    return f"{estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g})"
