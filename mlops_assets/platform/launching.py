"""Asks a running Dagster for a model's run, and follows it to its end: what automation calls.

The run does what every run of that job does: gates judge the candidate, a rollout begins. Nothing
here decides.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from mlops_assets.errors import PlatformError

_LOOK_SECONDS = 5.0
_LOST_SECONDS = 60.0  # a webserver that is replaced, or a port-forward begun anew, takes less
_ENDED = ("SUCCESS", "FAILURE", "CANCELED")


class RunClient(Protocol):
    """What is needed of Dagster's client."""

    def launch(self, model: str) -> str:
        """Begin the run of a model's job; its id."""

    def status(self, run_id: str) -> str:
        """Where a run stands, in Dagster's words."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A run that was followed. `status` is the last one that was seen."""

    run_id: str
    url: str
    status: str


def launch_and_follow(
    client: RunClient,
    model: str,
    url: str,
    seconds: float,
    say: Callable[[str], None],
    *,
    look_seconds: float = _LOOK_SECONDS,
    lost_seconds: float = _LOST_SECONDS,
) -> Launched:
    """Launch a model's run and follow it until it ended, or for so many seconds.

    Launching is tried once, since a second try could be a second run; where the run stands is asked
    again for `lost_seconds` after the first question without an answer.

    Raises:
        PlatformError: Dagster refused or did not answer.
    """
    run_id = client.launch(model)
    page = f"{url.rstrip('/')}/runs/{run_id}"
    say(f"launched {page}")
    told, deadline = "", time.monotonic() + seconds
    lost_at: float | None = None
    while True:
        try:
            status = client.status(run_id)
        except PlatformError as error:
            now = time.monotonic()
            since = now if lost_at is None else lost_at
            if now >= min(since + lost_seconds, deadline):
                raise
            if lost_at is None:
                say(f"{error}; asked again for up to {lost_seconds:g} s")
            lost_at, told = since, ""
            time.sleep(look_seconds)
            continue
        lost_at = None
        if status != told:
            say(status.lower())
            told = status
        if status in _ENDED or time.monotonic() >= deadline:
            return Launched(run_id, page, status)
        time.sleep(look_seconds)


class GraphqlRuns:
    """`RunClient` over a webserver's GraphQL.

    Args:
        url: Of Dagster's pages.
        token_command: Shell command that prints the token to show there; None shows none.

    Raises:
        PlatformError: the address is none, or no token may be shown there.
    """

    def __init__(self, url: str, token_command: str | None = None) -> None:
        from dagster_graphql import DagsterGraphQLClient

        from mlops_assets.platform.dagster_token import TokenCommand

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise PlatformError(f"{url}: expected the address of Dagster's pages, http(s)://…")
        self._url = url
        self._client = DagsterGraphQLClient(
            parts.hostname,
            port_number=parts.port,
            use_https=parts.scheme == "https",
            auth=TokenCommand(token_command, url) if token_command else None,
        )

    def launch(
        self, model: str, *, trigger: str = "automation", assets: Sequence[str] | None = None
    ) -> str:
        """Begin the run of a model's job.

        Args:
            model: Whose job.
            trigger: Tag that says what asked for the run.
            assets: Only these of the job, by the last part of their key; None: all.

        Raises:
            PlatformError: Dagster refused or did not answer.
        """
        from mlops_assets.automation.schedules import job_name

        selection = None if assets is None else [[model, asset] for asset in assets]
        try:
            return str(
                self._client.submit_job_execution(
                    job_name(model),
                    tags={"mlops/trigger": trigger, "mlops/model": model},
                    asset_selection=selection,
                )
            )
        except Exception as error:  # of the client, of GraphQL, of the connection
            reason = _reason(error)
            raise PlatformError(f"{self._url}: {model} cannot be launched: {reason}") from error

    def status(self, run_id: str) -> str:
        """Where a run stands."""
        try:
            return str(self._client.get_run_status(run_id).value)
        except Exception as error:  # of the client, of GraphQL, of the connection
            raise PlatformError(f"{self._url}: run {run_id}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The first cause: the client's own words are the query that it sent."""
    while error.__cause__ is not None:
        error = error.__cause__
    if type(error).__name__ == "TransportProtocolError":
        return "a page answered, not GraphQL; behind a login, give a command that prints a token"
    return str(error)
