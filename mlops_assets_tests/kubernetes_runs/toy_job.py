"""A job for runs of which only the record matters."""

import dagster as dg


@dg.op
def work() -> None:
    """Nothing: nobody runs it."""


@dg.job
def toy() -> None:
    """A job with one step."""
    work()
