import subprocess
import sys
from datetime import timedelta

from mlops_assets.data.owners import UNKNOWN_HOST_PATIENCE, Owner


def test_a_living_process_is_not_gone() -> None:
    assert not Owner.this_process().is_gone()


def test_an_ended_process_is_gone() -> None:
    code = (
        "from mlops_assets.data.owners import Owner; print(Owner.this_process().model_dump_json())"
    )
    answer = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert Owner.model_validate_json(answer).is_gone()


def test_a_number_that_another_process_has_now_is_gone() -> None:
    earlier = Owner.this_process()
    assert earlier.model_copy(update={"started": earlier.started - 3600}).is_gone()


def test_a_process_of_another_host_is_gone_after_a_day() -> None:
    other = Owner.this_process().model_copy(update={"host": "another-host"})
    assert not other.is_gone()
    long_ago = other.claimed_at - UNKNOWN_HOST_PATIENCE - timedelta(seconds=1)
    assert other.model_copy(update={"claimed_at": long_ago}).is_gone()
