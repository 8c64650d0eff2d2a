from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.errors import PlatformError
from mlops_assets.notify.notification import SilentNotifier
from mlops_assets.notify.webhook import WebhookNotifier
from mlops_assets.resources.notifier import notifier_from


def test_without_a_url_nobody_is_told(tmp_path: Path) -> None:
    with dg.build_init_resource_context() as context:
        assert isinstance(notifier_from({}, str(tmp_path)).create_resource(context), SilentNotifier)


def test_a_url_makes_a_webhook(tmp_path: Path) -> None:
    settings = {"MLOPS_NOTIFY_URL": "http://127.0.0.1:1/", "MLOPS_NOTIFY_FORMAT": "slack"}
    with dg.build_init_resource_context() as context:
        made = notifier_from(settings, str(tmp_path)).create_resource(context)
    assert isinstance(made, WebhookNotifier)


def test_an_unknown_format_is_refused_when_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="found 'teams', allowed: json, slack"):
        notifier_from({"MLOPS_NOTIFY_FORMAT": "teams"}, str(tmp_path))
