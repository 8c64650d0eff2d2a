"""Shares of requests: what is refused, and when they hold."""

from pathlib import Path

import pytest

from mlops_assets.errors import ServingError
from mlops_assets.serving.gateway.revisions import Revision, Service, share_anew
from mlops_assets.serving.split import Split, read_split, require_split


def revision(name: str, percent: int) -> Revision:
    return Revision("s", name, name, Path("/m"), (), 1.0, percent, {})


SERVICE = Service("s", "d", (revision("v1", 90), revision("v2", 10)), {})


@pytest.mark.parametrize(
    ("percent", "shadow", "reason"),
    [
        pytest.param({"v1": 99}, None, "sum to 100", id="99_is_not_enough"),
        pytest.param({"v1": 101}, None, "sum to 100", id="101_is_too_much"),
        pytest.param({"v1": 101, "v2": -1}, None, "0 to 100", id="none_below_0"),
        pytest.param({}, None, "sum to 100", id="nothing"),
        pytest.param({"v3": 100}, None, "found v3", id="an_undeclared_revision"),
        pytest.param({"v1": 100}, "v3", "found v3", id="an_undeclared_shadow"),
        pytest.param({"v1": 99, "v2": 1}, "v2", "found 1 %", id="a_shadow_with_a_share"),
    ],
)
def test_refused(percent: dict[str, int], shadow: str | None, reason: str) -> None:
    with pytest.raises(ServingError, match=reason):
        require_split(Split(percent, shadow), ["v1", "v2"])


@pytest.mark.parametrize(
    ("split", "percents", "shadow"),
    [
        pytest.param(None, (90, 10), None, id="the_manifest_says"),
        pytest.param(Split({"v1": 0, "v2": 100}), (0, 100), None, id="the_split_says"),
        pytest.param(Split({"v1": 100}), (100, 0), None, id="what_is_left_out_gets_none"),
        pytest.param(Split({"v1": 100}, "v2"), (100, 0), "v2", id="a_shadow"),
        pytest.param(Split({"v0": 50, "v1": 50}), (90, 10), None, id="of_an_older_manifest"),
        pytest.param(Split({"v1": 100}, "v0"), (90, 10), None, id="an_older_shadow"),
    ],
)
def test_what_holds(split: Split | None, percents: tuple[int, int], shadow: str | None) -> None:
    shared = share_anew(SERVICE, split)
    assert tuple(r.percent for r in shared.revisions) == percents
    assert shared.shadow == shadow
    assert [r.key for r in shared.revisions] == ["v1", "v2"]  # no process is another one


@pytest.mark.parametrize(
    "content", [{}, {"percent": 3}, {"percent": {"v1": None}}, {"percent": {}}]
)
def test_a_broken_file_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ServingError):
        read_split(content)


def test_a_split_survives_being_stored() -> None:
    split = Split({"v1": 95, "v2": 5}, "v3")
    assert read_split(split.to_json()) == split
