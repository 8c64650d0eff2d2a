"""The gateway's pages about itself."""

from pathlib import Path

from mlops_assets.serving.gateway.app import GatewayApp
from mlops_assets.serving.gateway.settings import GatewaySettings
from mlops_assets.serving.gateway.supervisor import Supervisor
from mlops_assets_tests.serving.rsgi import call

READY = "/v2/health/ready"


def test_a_gateway_that_drains_is_ready_no_more(tmp_path: Path) -> None:
    settings = GatewaySettings(home=tmp_path)
    app = GatewayApp(settings, Supervisor(settings))
    assert (call(app, "GET", READY).status, call(app, "GET", READY).json()) == (
        200,
        {"ready": True},
    )
    app.draining = True
    answer = call(app, "GET", READY)
    assert (answer.status, answer.json()) == (503, {"ready": False})
    assert answer.headers["connection"] == "close"
    app.close()
