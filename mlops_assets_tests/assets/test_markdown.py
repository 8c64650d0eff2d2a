"""What stands inside the Markdown of a page."""

import pytest

from mlops_assets.assets.markdown import cell, estimate_words
from mlops_assets.modeling.evaluation import Estimate


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (Estimate(value=0.7123, low=0.695, high=0.728), "0.7123 (0.695 to 0.728)"),
        (Estimate(value=0.7123, low=None, high=None), "0.7123"),
        (Estimate(value=None, low=None, high=None, reason="one class"), "unknown: one class"),
        (None, "–"),
    ],
)
def test_an_estimate_tells_its_interval_or_why_there_is_none(
    estimate: Estimate | None, words: str
) -> None:
    assert estimate_words(estimate) == words


def test_a_reason_cannot_break_out_of_its_table() -> None:
    assert cell("a | b\nc") == "a / b c"
