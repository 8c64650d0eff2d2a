"""Whom a request is about, however it says so, and that it stays where it is."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.serving.gateway.entity import find_entity
from mlops_assets.serving.gateway.routing import choose, sticky_ticket
from mlops_assets.serving.protocol.rsgi import RequestHeaders
from mlops_assets_tests.serving import fuzz
from mlops_assets_tests.serving.effort import fuzzing
from mlops_assets_tests.serving.fuzz import v1_bodies, v2_requests

FEATURES = ["hours", "user"]
_HEADERS = RequestHeaders({})


def tensor(name: str, shape: list[int], data: object) -> dict[str, object]:
    return {"name": name, "shape": shape, "datatype": "FP64", "data": data}


@pytest.mark.parametrize(
    ("content", "entity"),
    [
        pytest.param({"instances": [[1.0, "u7"], [2.0, "u8"]]}, "u7", id="a_list_by_position"),
        pytest.param({"instances": [{"user": "u7", "hours": 1}]}, "u7", id="an_object_by_name"),
        pytest.param({"instances": [1.0, "u7"]}, "u7", id="a_single_row"),
        pytest.param({"instances": {"user": "u7"}}, "u7", id="a_single_object"),
        pytest.param({"inputs": [[1.0, "u7"]]}, "u7", id="rows_under_inputs"),
        pytest.param({"inputs": [{"user": "u7", "hours": 1}]}, "u7", id="objects_under_inputs"),
        pytest.param({"user": "u7", "instances": [[1.0]]}, "u7", id="a_field_beside_the_rows"),
        pytest.param({"instances": [[1.0, 7]]}, "7", id="a_whole_number"),
        pytest.param({"instances": [[1.0, 7.0]]}, "7", id="the_same_number_with_a_point"),
        pytest.param(
            {"inputs": [tensor("hours", [2], [1, 2]), tensor("user", [2, 1], [[7], [8]])]},
            "7", id="a_tensor_by_name",
        ),
        pytest.param({"inputs": [tensor("x", [2, 2], [1, 7, 2, 8])]}, "7", id="a_flat_matrix"),
        pytest.param({"inputs": [tensor("x", [2, 2], [[1, 7], [2, 8]])]}, "7", id="a_matrix"),
        pytest.param(
            {"parameters": {"user": "u7"}, "inputs": [tensor("hours", [1], [1])]},
            "u7", id="a_parameter",
        ),
        pytest.param(
            {"user": "other", "instances": [[1.0, "u7"]]}, "u7", id="a_feature_before_a_field"
        ),
        pytest.param(
            {"parameters": {"user": "other"}, "inputs": [tensor("user", [1], [7])]},
            "7", id="a_feature_before_a_parameter",
        ),
        pytest.param({"instances": [[1.0, None]]}, None, id="a_missing_value"),
        pytest.param({"instances": [[1.0]]}, None, id="a_short_row"),
        pytest.param({"instances": []}, None, id="no_rows"),
        pytest.param({"instances": 3}, None, id="no_list"),
        pytest.param([1], None, id="no_object"),
        pytest.param({"inputs": [tensor("user", [0], [])]}, None, id="an_empty_tensor"),
    ],
)  # fmt: skip
def test_where_the_entity_stands(content: object, entity: str | None) -> None:
    body = json.dumps(content).encode()
    assert find_entity(body, _HEADERS, key="user", features=FEATURES) == entity


def test_a_key_that_is_no_feature_is_no_position() -> None:
    body = b'{"instances": [[1.0, "u7"]]}'
    assert find_entity(body, _HEADERS, key="other", features=FEATURES) is None


def test_a_binary_tensor_behind_another_one() -> None:
    hours, users = np.array([1.0, 2.0]).tobytes(), np.array([7, 8], dtype="<i8").tobytes()
    head = json.dumps(
        {
            "inputs": [
                {"name": "hours", "shape": [2], "datatype": "FP64",
                 "parameters": {"binary_data_size": 16}},
                {"name": "user", "shape": [2], "datatype": "INT64",
                 "parameters": {"binary_data_size": 16}},
            ]
        }
    ).encode()  # fmt: skip
    size = str(len(head))
    headers = RequestHeaders({"inference-header-content-length": size})
    assert find_entity(head + hours + users, headers, key="user", features=FEATURES) == "7"


@given(st.binary())
def test_no_body_breaks_it(body: bytes) -> None:
    find_entity(body, _HEADERS, key="user", features=FEATURES)


@fuzzing(300, 10_000)
@given(
    request=v2_requests() | v1_bodies().map(lambda body: (body, None)),
    key=st.sampled_from(fuzz.FEATURES),
)
def test_no_nearly_right_request_breaks_it(request: tuple[bytes, int | None], key: str) -> None:
    body, length = request
    headers = {} if length is None else {"inference-header-content-length": str(length)}
    find_entity(body, RequestHeaders(headers), key=key, features=fuzz.FEATURES)


@st.composite
def growing_shares(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Shares of a stable revision and up to two canaries, and later ones, none of them less."""
    n_canaries = draw(st.integers(1, 2))
    later = [draw(st.integers(0, 50)) for _ in range(n_canaries)]
    now = [draw(st.integers(0, share)) for share in later]
    return [100 - sum(now), *now], [100 - sum(later), *later]


@given(shares=growing_shares(), entity=st.text(), salt=st.text(max_size=5))
def test_who_is_on_a_canary_stays_while_shares_grow(
    shares: tuple[list[int], list[int]], entity: str, salt: str
) -> None:
    now, later = shares
    ticket = sticky_ticket(salt, entity)
    before = choose(now, ticket)
    assert choose(now, sticky_ticket(salt, entity)) == before
    assert before == 0 or choose(later, ticket) == before


@pytest.mark.parametrize("percents", [[70, 30], [60, 30, 10], [0, 100], [40, 20, 30, 10]])
def test_shares_are_what_they_say(percents: list[int]) -> None:
    n = 4_000
    chosen = [choose(percents, sticky_ticket("s", f"user-{i}")) for i in range(n)]
    for position, percent in enumerate(percents):
        # four standard deviations of a share of n independent callers
        bound = 4 * (percent * (100 - percent) / n) ** 0.5
        assert abs(chosen.count(position) / n * 100 - percent) <= bound
