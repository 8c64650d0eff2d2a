"""To which names MLflow's pages answer where others may reach them."""

import os
import socket

import pytest

from mlops_assets.platform.mlflow_server import _allow_names


@pytest.mark.parametrize(
    ("asked", "is_answered"),
    [
        ("127.0.0.1:5000", True),
        (f"{socket.gethostname()}:5000", True),
        ("203.0.113.7", True),
        ("192.168.1.7:5000", True),
        ("10.1.2.3", True),
        ("evil.example:5000", False),
    ],
)
def test_names_of_this_machine_and_private_addresses_are_answered(
    monkeypatch: pytest.MonkeyPatch, asked: str, is_answered: bool
) -> None:
    from mlflow.server.security_utils import get_allowed_hosts_from_env, is_allowed_host_header

    monkeypatch.setenv("MLFLOW_SERVER_ALLOWED_HOSTS", "")
    monkeypatch.delenv("MLFLOW_SERVER_ALLOWED_HOSTS")
    _allow_names("203.0.113.7")
    assert os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"]
    assert is_allowed_host_header(get_allowed_hosts_from_env() or [], asked) is is_answered
