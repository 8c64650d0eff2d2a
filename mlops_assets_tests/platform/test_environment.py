"""What every process of the platform runs under."""

import os
from pathlib import Path

import pytest

from mlops_assets.platform.environment import (
    MARK,
    Addresses,
    kill_marked,
    marked_processes,
    process_environment,
)
from mlops_assets.platform.home import Home

ADDRESSES = Addresses("127.0.0.1", 3000, 5000, 8080)


def environment(**inherited: str) -> dict[str, str]:
    return process_environment(inherited, Home(Path("/h")), ADDRESSES, "i")


def test_telemetry_is_off_whatever_was_inherited() -> None:
    found = environment(DO_NOT_TRACK="0", MLFLOW_DISABLE_TELEMETRY="false")
    off = ("DAGSTER_DISABLE_TELEMETRY", "DO_NOT_TRACK", "ITERATIVE_DO_NOT_TRACK")
    assert [found[name] for name in off] == ["1", "1", "1"]
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert found["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


def test_everything_points_into_the_home() -> None:
    found = environment(MLOPS_HOME="/elsewhere", DAGSTER_HOME="/elsewhere")
    assert found["MLOPS_HOME"] == "/h"
    assert found["DAGSTER_HOME"] == "/h/dagster"
    assert found["MLFLOW_TRACKING_URI"] == "sqlite:////h/mlflow.db"
    assert found["MLOPS_GATEWAY_URL"] == "http://127.0.0.1:8080"
    assert found[MARK] == "/h#i"


def test_bytecode_is_kept_and_the_rest_is_inherited() -> None:
    found = environment(PYTHONDONTWRITEBYTECODE="1", MUSIC_THERAPY_DATA="/data.csv")
    assert "PYTHONDONTWRITEBYTECODE" not in found
    assert found["MUSIC_THERAPY_DATA"] == "/data.csv"


def test_no_proxy_stands_before_this_machine() -> None:
    found = environment(http_proxy="http://proxy:3128", no_proxy="intranet")
    assert found["no_proxy"] == found["NO_PROXY"] == "intranet,127.0.0.1,localhost,::1"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:3000"),
        ("0.0.0.0", "http://127.0.0.1:3000"),
        ("::1", "http://[::1]:3000"),
        ("box", "http://box:3000"),
    ],
)
def test_urls_are_as_seen_from_this_machine(host: str, url: str) -> None:
    assert Addresses(host, 3000, 5000, 8080).urls["dagster"] == url


def test_the_caller_is_never_among_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(MARK, f"{tmp_path}#i")
    assert os.getpid() not in {process.pid for process in marked_processes(Home(tmp_path))}
    assert kill_marked(Home(tmp_path)) == []
