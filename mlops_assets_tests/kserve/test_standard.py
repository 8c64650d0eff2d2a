"""What is applied in Standard mode, by what serves."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.kserve.blocks import Declared, mark_of, read_declared, revision_digest
from mlops_assets.kserve.standard import render_standard, route_shares
from mlops_assets.serving.split import Split
from mlops_assets_tests.serving.running import toy_manifest, with_canary

V1, V2, V3 = (toy_manifest(Path(f"/models/{n}"), n) for n in (1, 2, 3))


def names(rendered: dict[str, Any]) -> tuple[str, dict[str, int]]:
    """The stable predictor, and the canaries with their percents."""
    spec = rendered["spec"]
    canaries = {e["predictor"]["name"]: e["trafficPercent"] for e in spec.get("canary", [])}
    return spec["predictor"]["name"], canaries


def block(manifest: dict[str, Any]) -> dict[str, Any]:
    return next(iter(Declared(manifest).blocks.values()))


@pytest.mark.parametrize(
    ("declared", "serving", "expected"),
    [
        pytest.param(Declared(V2), None, ("v2", {}), id="nothing_serves_or_v2_is_ready"),
        pytest.param(Declared(V2), V1, ("v1", {"v2": 0}), id="v1_serves_until_v2_is_ready"),
        pytest.param(
            Declared(with_canary(V1, V2, 10)), None, ("v1", {"v2": 10}), id="as_the_manifest_says"
        ),
        pytest.param(
            Declared(with_canary(V1, V2, 10), Split({"v1": 70, "v2": 30})),
            None,
            ("v1", {"v2": 30}),
            id="as_the_split_says",
        ),
        pytest.param(
            Declared(with_canary(V2, V1), Split({"v2": 60, "v1": 40})),
            V3,
            ("v3", {"v2": 0, "v1": 0}),
            id="no_shares_before_the_stable_one_is_ready",
        ),
        pytest.param(
            Declared(with_canary(V2, V1), Split({"v2": 60, "v1": 40})),
            V1,
            ("v1", {"v2": 0}),
            id="the_one_that_serves_is_declared_as_canary",
        ),
    ],
)
def test_what_is_applied(
    declared: Declared, serving: dict[str, Any] | None, expected: tuple[str, dict[str, int]]
) -> None:
    held = None if serving is None else block(serving)
    assert names(render_standard(declared, held)) == expected


@pytest.mark.parametrize(
    ("minimum", "percent", "pods"),
    [(1, 0, 1), (1, 100, 1), (3, 0, 1), (3, 33, 1), (3, 34, 2), (3, 67, 3), (3, 100, 3)],
)
def test_a_canary_has_the_pods_of_its_share_and_at_least_one(
    minimum: int, percent: int, pods: int
) -> None:
    stable = deepcopy(V1)
    stable["spec"]["predictor"]["minReplicas"] = minimum
    rendered = render_standard(Declared(with_canary(stable, V2, percent)), None)
    assert rendered["spec"]["canary"][0]["predictor"]["minReplicas"] == pods


def test_a_canary_has_what_the_crd_demands_and_not_what_the_webhook_refuses() -> None:
    predictor = render_standard(Declared(with_canary(V1, V2)), None)["spec"]["canary"][0][
        "predictor"
    ]
    assert predictor["model"]["name"] == ""
    assert not {"maxReplicas", "scaleTarget", "scaleMetric", "autoScaling"} & set(predictor)


def test_a_promotion_leaves_what_the_pods_run_as_it_is() -> None:
    before = render_standard(Declared(with_canary(V1, V2)), None)["spec"]
    after = render_standard(Declared(with_canary(V2, V1)), None)["spec"]
    assert mark_of(before["predictor"]) == mark_of(after["canary"][0]["predictor"])
    assert mark_of(before["canary"][0]["predictor"]) == mark_of(after["predictor"])
    assert mark_of(before["predictor"]) != mark_of(after["predictor"])


@pytest.mark.parametrize(
    ("field", "value", "same"),
    [
        ("minReplicas", 9, True),
        ("maxReplicas", 9, True),
        ("timeout", 9, False),
        ("name", "x", True),
    ],
)
def test_a_digest_speaks_of_pods_and_not_of_their_number(
    field: str, value: object, same: bool
) -> None:
    held = V1["spec"]["predictor"]
    assert (revision_digest({**held, field: value}) == revision_digest(held)) == same


@pytest.mark.parametrize(
    ("backends", "shares"),
    [
        ([("toy-v1-predictor", 90), ("toy-v2-predictor", 10)], {"v1": 90, "v2": 10}),
        ([("toy-v1-predictor", 2), ("toy-v2-predictor", 1)], {"v1": 67, "v2": 33}),
        ([("toy-v1-predictor", 0), ("toy-v2-predictor", 100)], {"v1": 0, "v2": 100}),
        ([("toy-v1-predictor", 0)], {}),
        ([("toy-v1-transformer", 100)], {}),
        ([("toys-v1-predictor", 100)], {}),
    ],
)
def test_shares_are_read_from_the_route(
    backends: list[tuple[str, int]], shares: dict[str, int]
) -> None:
    found = [{"name": name, "weight": weight} for name, weight in backends]
    assert route_shares("toy", {"spec": {"rules": [{"backendRefs": found}]}}) == shares


def test_a_declaration_comes_back_as_it_was_stored() -> None:
    declared = Declared(with_canary(V1, V2, 10), Split({"v1": 70, "v2": 30}))
    assert read_declared(declared.to_text()) == declared
