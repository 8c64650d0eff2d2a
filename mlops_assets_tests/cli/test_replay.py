"""replay as people call it, where no platform runs."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.cli.replay import read_speed


@pytest.mark.parametrize(
    ("text", "seconds"), [("1d/s", 86_400.0), ("6h/s", 21_600.0), ("0.5h/s", 1_800.0)]
)
def test_a_speed_is_a_length_of_time_in_a_second(text: str, seconds: float) -> None:
    assert read_speed(text) == seconds


@pytest.mark.parametrize("text", ["fast", "1d", "0s/s", "-1h/s", "1y/s"])
def test_what_is_no_speed_is_told(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="allowed: such as 1d/s"):
        read_speed(text)


def test_a_wrong_speed_is_told_before_anything_else(tmp_path: Path) -> None:
    call = ["replay", "flight_delay", "--home", str(tmp_path), "--speed", "fast"]
    shown = CliRunner().invoke(app, call)
    assert shown.exit_code == 2
    assert "found 'fast'" in shown.stderr


def test_without_a_running_platform_it_says_how_to_start_one(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["replay", "flight_delay", "--home", str(tmp_path)])
    assert "the platform does not run in" in str(shown.exception)


def test_resetting_twice_does_no_harm(tmp_path: Path) -> None:
    for _ in range(2):
        shown = CliRunner().invoke(
            app, ["replay", "flight_delay", "--reset", "--home", str(tmp_path)]
        )
        assert shown.exit_code == 0, shown.exception
        assert "lives in real time again" in shown.stderr
