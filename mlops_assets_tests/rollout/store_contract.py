"""The contract suite of rollout stores: what each must do, wherever it keeps the documents.

A store's own test module imports the names below and defines the fixture `store`, which yields one
that is empty:

    from mlops_assets_tests.rollout.store_contract import *  # noqa: F403

    @pytest.fixture
    def store(tmp_path: Path) -> RolloutStore:
        return FileStore(tmp_path)
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mlops_assets.errors import StateConflictError
from mlops_assets.rollout.store import RolloutStore

__all__ = [
    "test_a_deleted_document_is_gone_and_its_token_is_worth_nothing",
    "test_a_document_comes_back_unchanged",
    "test_a_state_that_was_not_read_is_not_overwritten",
    "test_deleting_what_is_not_there_is_fine",
    "test_each_service_has_a_document_of_its_own",
    "test_of_many_writers_who_read_the_same_state_one_wins",
    "test_what_was_never_written_is_absent",
    "test_writing_the_same_again_is_a_new_state",
]


def test_what_was_never_written_is_absent(store: RolloutStore) -> None:
    assert store.read("toy") == (None, "")
    assert store.services() == []


@pytest.mark.parametrize(
    "content", ['{"phase": "step 2"}', "", "naïve 🤖\n\u2028", " a: [1]\n" * 50_000], ids=len
)
def test_a_document_comes_back_unchanged(store: RolloutStore, content: str) -> None:
    token = store.write("toy", content, "")
    assert token
    assert store.read("toy") == (content, token)


def test_writing_the_same_again_is_a_new_state(store: RolloutStore) -> None:
    first = store.write("toy", "one", "")
    second = store.write("toy", "one", first)
    assert second != first
    with pytest.raises(StateConflictError, match="toy"):
        store.write("toy", "late", first)
    assert store.read("toy") == ("one", second)


@pytest.mark.parametrize("known", ["", "1", "no token"])
def test_a_state_that_was_not_read_is_not_overwritten(store: RolloutStore, known: str) -> None:
    token = store.write("toy", "one", "")
    with pytest.raises(StateConflictError, match="toy"):
        store.write("toy", "two", known)
    assert store.read("toy") == ("one", token)


def test_a_deleted_document_is_gone_and_its_token_is_worth_nothing(store: RolloutStore) -> None:
    token = store.write("toy", "one", "")
    store.delete("toy")
    assert store.read("toy") == (None, "")
    with pytest.raises(StateConflictError, match="toy"):
        store.write("toy", "two", token)
    assert store.read("toy") == (None, "")
    again = store.write("toy", "three", "")
    assert again != token
    with pytest.raises(StateConflictError, match="toy"):
        store.write("toy", "four", token)


def test_deleting_what_is_not_there_is_fine(store: RolloutStore) -> None:
    store.delete("toy")
    store.delete("toy")


def test_each_service_has_a_document_of_its_own(store: RolloutStore) -> None:
    second = store.write("toy-b", "of b", "")
    first = store.write("toy-a", "of a", "")
    assert store.services() == ["toy-a", "toy-b"]
    assert store.read("toy-a") == ("of a", first)
    assert store.read("toy-b") == ("of b", second)
    store.delete("toy-b")
    assert store.services() == ["toy-a"]


@pytest.mark.parametrize("exists", [True, False])
def test_of_many_writers_who_read_the_same_state_one_wins(
    store: RolloutStore, exists: bool
) -> None:
    seen = store.write("toy", "before", "") if exists else ""

    def write(n: int) -> int | None:
        try:
            store.write("toy", f"writer {n}", seen)
        except StateConflictError:
            return None
        return n

    with ThreadPoolExecutor(8) as pool:
        winners = [n for n in pool.map(write, range(16)) if n is not None]
    assert len(winners) == 1
    assert store.read("toy")[0] == f"writer {winners[0]}"
