"""Who is told of rollouts and of drift, as a Dagster resource.

| variable | default | meaning |
|---|---|---|
| `MLOPS_NOTIFY_URL` | nobody is told | receiver of the webhook |
| `MLOPS_NOTIFY_FORMAT` | `json` | `json`, or `slack` for Slack's incoming webhooks |
| `MLOPS_NOTIFY_TOKEN` | none | sent as a bearer token |
"""

import functools
from collections.abc import Mapping

import dagster as dg
from pydantic import Field

from mlops_assets.data.documents import ModelDocuments
from mlops_assets.errors import PlatformError
from mlops_assets.notify.ledger import Ledger
from mlops_assets.notify.notification import BodyFormat, Notifier, SilentNotifier
from mlops_assets.notify.webhook import WebhookNotifier, WebhookSettings

_FORMATS: dict[str, BodyFormat] = {"json": "json", "slack": "slack"}


class NotifierResource(dg.ConfigurableResource[Notifier]):
    """The one notifier that rollouts and monitoring share."""

    root: str = Field(description="Folder or object storage URI that remembers what was told.")
    url: str | None = Field(None, description="Receiver of the webhook; None: nobody is told.")
    body_format: str = Field("json", description="`json` or `slack`.")
    token: str | None = Field(None, description="Sent as a bearer token.")

    def create_resource(self, context: dg.InitResourceContext) -> Notifier:  # noqa: ARG002
        """The notifier of `mlops_assets.notify`."""
        return open_notifier(self.root, self.url, self.body_format, self.token)


@functools.lru_cache(maxsize=8)
def open_notifier(
    root: str, url: str | None, body_format: str = "json", token: str | None = None
) -> Notifier:
    """The notifier of some settings. One per process: what it told is not looked up again.

    Raises:
        PlatformError: the format is none.
    """
    if body_format not in _FORMATS:
        raise PlatformError(f"MLOPS_NOTIFY_FORMAT: found {body_format!r}, allowed: json, slack")
    if not url:
        return SilentNotifier()
    ledger = Ledger(ModelDocuments(root))
    return WebhookNotifier(WebhookSettings(url, _FORMATS[body_format], token), ledger)


def notifier_from(environment: Mapping[str, str], storage: str) -> NotifierResource:
    """The resource that the environment names, refused at once when its format is none."""
    url = environment.get("MLOPS_NOTIFY_URL") or None
    body_format = environment.get("MLOPS_NOTIFY_FORMAT") or "json"
    token = environment.get("MLOPS_NOTIFY_TOKEN") or None
    root = f"{storage}/notifications"
    open_notifier(root, url, body_format)
    return NotifierResource(root=root, url=url, body_format=body_format, token=token)
