import doctest
from pathlib import Path

from mlops_assets.rollout import timeline
from mlops_assets.rollout.presets import PRESETS, resolve_policy
from mlops_assets.rollout.timeline import build_section, draw, requests_needed
from mlops_assets.spec.rollout import RolloutSpec

PAGE = Path(__file__).parents[2] / "docs" / "rollouts.md"


def test_the_page_is_current() -> None:
    """After a change of a preset: `make docs`."""
    assert build_section() in PAGE.read_text(encoding="utf-8")


def test_writing_the_page_twice_changes_nothing(tmp_path: Path) -> None:
    page = tmp_path / "rollouts.md"
    page.write_text(f"before\n{timeline.BEGIN}\nold\n{timeline.END}\nafter\n")
    timeline.write_section(page)
    once = page.read_text()
    timeline.write_section(page)
    assert page.read_text() == once
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert "\nold\n" not in once


def test_every_step_of_every_preset_is_drawn() -> None:
    for strategy, preset in PRESETS.items():
        picture = draw(resolve_policy(RolloutSpec(strategy=strategy)))
        assert all(f"{percent} %" in picture for percent in (*preset.steps, 100))


def test_tighter_margins_and_more_errors_need_more_requests() -> None:
    assert requests_needed(0.0, 0.01) > requests_needed(0.0, 0.02)
    assert requests_needed(0.05, 0.01) > requests_needed(0.01, 0.01)


def test_examples_run() -> None:
    assert doctest.testmod(timeline).failed == 0
