"""What is applied in Knative mode, by what is live."""

from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import ServingError
from mlops_assets.kserve.blocks import Declared, mark_of
from mlops_assets.kserve.knative import KnativeTraffic, render_knative
from mlops_assets.serving.split import Split
from mlops_assets_tests.serving.running import toy_manifest, with_canary

V1, V2, V3 = (toy_manifest(Path(f"/models/{n}"), n) for n in (1, 2, 3))
MARKS = {n: mark_of(Declared(m).blocks[f"v{n}"]) for n, m in enumerate((V1, V2, V3), start=1)}


def live(
    created: int = 0, ready: int = 0, rolled_out: int = 0, previous: int = 0
) -> KnativeTraffic:
    """What KServe reports, by versions; 0: nothing."""
    digests = {0: "", **MARKS}
    return KnativeTraffic(digests[created], digests[ready], digests[rolled_out], digests[previous])


def applied(declared: Declared, found: KnativeTraffic) -> tuple[int, int | None]:
    """Version of the predictor, and its percent."""
    predictor = render_knative(declared, found)["spec"]["predictor"]
    version = int(predictor["annotations"]["mlops-assets/model-version"])
    return version, predictor.get("canaryTrafficPercent")


@pytest.mark.parametrize(
    ("found", "percent"),
    [
        pytest.param(live(), None, id="nothing_is_there"),
        pytest.param(live(1, 0), None, id="v1_never_got_ready"),
        pytest.param(live(1, 1, 1), None, id="v1_serves_and_goes_on_until_v3_is_ready"),
        pytest.param(live(2, 1, 1), None, id="v2_is_not_ready_so_it_gets_nothing"),
        pytest.param(live(2, 2, 1), 0, id="v2_is_a_canary_that_would_get_all"),
        pytest.param(live(3, 2, 1), 0, id="v3_starts_beside_such_a_canary"),
        pytest.param(live(3, 3, 1), None, id="v3_is_ready_and_takes_over"),
        pytest.param(live(3, 3, 3, 1), None, id="v3_serves"),
    ],
)
def test_one_version_alone(found: KnativeTraffic, percent: int | None) -> None:
    assert applied(Declared(V3), found) == (3, percent)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(live(1, 1, 1), (2, 30), id="a_new_canary"),
        pytest.param(live(2, 1, 1), (2, 30), id="one_that_is_not_ready"),
        pytest.param(live(2, 2, 1), (2, 30), id="one_that_is"),
        pytest.param(live(2, 2, 2, 1), (2, 30), id="back_from_100"),
        pytest.param(live(1, 1, 1, 2), (1, 70), id="the_canary_is_the_former_champion"),
        pytest.param(live(1, 1, 2, 1), (1, 70), id="and_got_all_requests_back"),
        pytest.param(live(3, 3, 1), (2, 30), id="in_place_of_another_canary"),
    ],
)
def test_two_versions_share(found: KnativeTraffic, expected: tuple[int, int]) -> None:
    declared = Declared(with_canary(V1, V2), Split({"v1": 70, "v2": 30}))
    assert applied(declared, found) == expected


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(live(), id="nothing_is_there"),
        pytest.param(live(1, 1), id="v1_never_had_all_requests"),
        pytest.param(live(3, 3, 3), id="another_serves"),
        pytest.param(live(3, 3, 3, 1), id="v1_is_the_one_before_and_v3_would_share"),
    ],
)
def test_a_canary_beside_a_version_that_kserve_does_not_share_with_is_refused(
    found: KnativeTraffic,
) -> None:
    with pytest.raises(ServingError, match="needs its stable revision v1 live first"):
        render_knative(Declared(with_canary(V1, V2)), found)


def test_what_knative_refuses_is_left_out_and_the_start_still_has_its_time() -> None:
    rendered = render_knative(Declared(V1), live())
    predictor = rendered["spec"]["predictor"]
    refused = {"name", "deploymentStrategy", "scaleMetric", "terminationGracePeriodSeconds"}
    assert not refused & set(predictor)
    model: dict[str, Any] = predictor["model"]
    assert not {"lifecycle", "startupProbe"} & set(model)
    startup = V1["spec"]["predictor"]["model"]["startupProbe"]
    patience = startup["periodSeconds"] * startup["failureThreshold"]
    assert model["livenessProbe"]["initialDelaySeconds"] == patience > 0
    annotations = rendered["metadata"]["annotations"]
    assert annotations["serving.kserve.io/deploymentMode"] == "Knative"
    assert "serving.kserve.io/autoscalerClass" not in annotations
