"""What the page of a service shows of a rollout, from its first tick to its end."""

import base64
import struct
from typing import Any

import dagster as dg
import pytest

from mlops_assets.assets.rollout_metadata import (
    criterion_checks,
    rollout_metadata,
    shadow_metadata,
)
from mlops_assets.rollout.history import Reading
from mlops_assets.rollout.shadow_report import Difference, ShadowReport
from mlops_assets_tests.rollout.scenes import Scene, harmful, policy_of, undecided

KEY = dg.AssetKey(["churn", "inference_service"])


def checks(scene: Scene) -> dict[str, dg.AssetCheckResult]:
    results = criterion_checks(KEY, scene.policy.criteria, scene.state)
    return {str(result.check_name): result for result in results}


def png_size(markdown: Any) -> tuple[int, int]:
    """Width and height in pixels of a picture inside Markdown."""
    found = base64.b64decode(str(markdown.value).split("base64,")[1].rstrip(")"))
    assert found.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", found[16:24])
    return width, height


def test_a_step_shows_its_reason_its_numbers_and_a_plot_that_grows_with_its_criteria() -> None:
    one = Scene()
    two = Scene(policy=policy_of(criteria=[{"metric": "error_ratio"}, {"metric": "latency"}]))
    for scene in (one, two):
        scene.until("watching")
    shown = rollout_metadata(two.state)
    assert shown["rollout/phase"] == "watching"
    assert shown["rollout/traffic_percent"] == 100
    assert shown["rollout/verdict"] == "healthy"
    assert "| latency | margin | healthy |" in str(shown["rollout/criteria"].value)
    (_, of_one), (_, of_two) = (
        png_size(rollout_metadata(each.state)["rollout/plot"]) for each in (one, two)
    )
    assert of_two > of_one


def test_what_callers_wrote_cannot_break_a_table() -> None:
    scene = Scene()
    scene.until("watching")
    state = scene.state
    reading = Reading(criterion="error_ratio[a|b]", test="margin", verdict="healthy", reason="-")
    judged = state.history[-1].model_copy(update={"readings": (reading,)})
    shown = rollout_metadata(state.model_copy(update={"history": (judged,)}))
    assert "| error_ratio[a/b] | margin |" in str(shown["rollout/criteria"].value)
    other = Difference(prediction_id="1|2", stable="yes|no", challenger="no", apart=None)
    report = ShadowReport(n_pairs=1, agreement_ratio=0.0, mean_apart=None, differences=(other,))
    lines = str(shadow_metadata(report)["shadow/differences"].value).splitlines()
    assert lines[-1] == "| `1/2` | yes/no | no | – |"


def test_what_was_proven_stays_shown_when_the_next_phase_has_judged_nothing_yet() -> None:
    scene = Scene()
    scene.until("promoting")
    scene.tick()
    assert scene.state.history[-1].readings == ()
    found = checks(scene)["error_ratio"]
    assert found.passed
    assert "healthy: error_ratio" in str(found.description)
    assert "baking)" in str(found.description)


@pytest.mark.parametrize(
    ("arms", "severity", "verdict"),
    [
        pytest.param(harmful(), dg.AssetCheckSeverity.ERROR, "harmful", id="harm_is_an_error"),
        pytest.param(undecided(), dg.AssetCheckSeverity.WARN, "undecided", id="no_proof_warns"),
    ],
)
def test_a_check_that_does_not_pass_says_how_bad_it_is(
    arms: Any, severity: dg.AssetCheckSeverity, verdict: str
) -> None:
    scene = Scene(arms=arms)
    for _ in range(4):
        scene.tick()
    found = checks(scene)["error_ratio"]
    assert (found.passed, found.severity) == (False, severity)
    assert found.metadata["verdict"].value == verdict
    assert found.metadata["limit"].value == 0.05


def test_before_any_look_a_check_passes_and_says_that_nothing_was_judged() -> None:
    found = checks(Scene())["error_ratio"]
    assert (found.passed, found.description) == (True, "no rollout was judged by it yet")


def test_what_people_said_is_shown_with_who_when_and_why() -> None:
    scene = Scene()
    scene.say("pause", "lunch")
    scene.tick()
    said = str(rollout_metadata(scene.state)["rollout/commands"].value)
    assert "ann: pause. lunch paused" in said
