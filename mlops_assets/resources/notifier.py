"""Who is told of rollouts and of drift, as a Dagster resource.

| variable | default | meaning |
|---|---|---|
| `MLOPS_NOTIFY_URL` | nobody is told | receiver of the webhook |
| `MLOPS_NOTIFY_FORMAT` | `json` | `json`, or `slack` for Slack's incoming webhooks |
| `MLOPS_NOTIFY_TOKEN` | none | sent as a bearer token |
"""

from collections.abc import Mapping
from pathlib import Path

import dagster as dg
from pydantic import Field

from mlops_assets.errors import PlatformError
from mlops_assets.notify.notification import BodyFormat, Notifier, SilentNotifier
from mlops_assets.notify.webhook import WebhookNotifier, WebhookSettings

_FORMATS: dict[str, BodyFormat] = {"json": "json", "slack": "slack"}


class NotifierResource(dg.ConfigurableResource[Notifier]):
    """The one notifier that rollouts and monitoring share."""

    folder: str = Field(description="Folder that remembers what was told.")
    url: str | None = Field(None, description="Receiver of the webhook; None: nobody is told.")
    body_format: str = Field("json", description="`json` or `slack`.")
    token: str | None = Field(None, description="Sent as a bearer token.")

    def create_resource(self, context: dg.InitResourceContext) -> Notifier:  # noqa: ARG002
        """The notifier of `mlops_assets.notify`."""
        return build_notifier(Path(self.folder), self.url, self.body_format, self.token)


def build_notifier(
    folder: Path, url: str | None, body_format: str = "json", token: str | None = None
) -> Notifier:
    """The notifier of some settings.

    Raises:
        PlatformError: the format is none.
    """
    if body_format not in _FORMATS:
        raise PlatformError(f"MLOPS_NOTIFY_FORMAT: found {body_format!r}, allowed: json, slack")
    if not url:
        return SilentNotifier()
    return WebhookNotifier(WebhookSettings(url, _FORMATS[body_format], token), folder)


def notifier_from(environment: Mapping[str, str], home: Path) -> NotifierResource:
    """The resource that the environment names, refused at once when its format is none."""
    url = environment.get("MLOPS_NOTIFY_URL") or None
    body_format = environment.get("MLOPS_NOTIFY_FORMAT") or "json"
    token = environment.get("MLOPS_NOTIFY_TOKEN") or None
    folder = home / "notifications"
    build_notifier(folder, url, body_format)
    return NotifierResource(folder=str(folder), url=url, body_format=body_format, token=token)
