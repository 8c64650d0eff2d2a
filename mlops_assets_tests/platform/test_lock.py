"""One platform per home, and no lock that outlives its holder."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops_assets.errors import PlatformError
from mlops_assets.platform.lock import current_holder, hold

HOLD = """
import sys, time
from pathlib import Path
from mlops_assets.platform.lock import hold
with hold(Path(sys.argv[1]), "other"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "platform.lock"


def test_a_second_one_is_refused_and_names_the_first(lock: Path) -> None:
    with hold(lock, "one"):
        with pytest.raises(PlatformError, match=rf"process {os.getpid()}, since 20.*--home"):
            hold(lock, "two").__enter__()
        holder = current_holder(lock)
    assert holder is not None
    assert (holder.pid, holder.instance) == (os.getpid(), "one")
    assert current_holder(lock) is None


def test_addresses_are_published(lock: Path) -> None:
    with hold(lock, "one") as held:
        held.publish({"gateway": "http://127.0.0.1:8080"})
        holder = current_holder(lock)
    assert holder is not None
    assert holder.urls == {"gateway": "http://127.0.0.1:8080"}


def test_a_killed_holder_leaves_no_lock_but_its_name(lock: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, lock], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(PlatformError, match=f"process {other.pid}"):
            hold(lock, "mine").__enter__()
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert current_holder(lock) is None
    with hold(lock, "mine") as held:
        assert held.former is not None
        assert held.former.pid == other.pid


def test_after_an_orderly_stop_there_is_no_former_holder(lock: Path) -> None:
    with hold(lock, "one"):
        pass
    with hold(lock, "two") as held:
        assert held.former is None


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"pid": 1}), "\0\0\0"])
def test_a_damaged_file_is_no_obstacle(lock: Path, text: str) -> None:
    lock.write_text(text)
    assert current_holder(lock) is None
    with hold(lock, "one") as held:
        assert held.former is None


def test_nobody_holds_a_lock_that_was_never_made(lock: Path) -> None:
    assert current_holder(lock) is None
    assert not lock.exists()


def test_looking_at_it_does_not_stand_in_the_way(lock: Path) -> None:
    """As `status`, called each second, does for a moment."""
    with hold(lock, "one"):
        pass
    looking = os.open(lock, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.05, os.close, (looking,)).start()
    with hold(lock, "two"):
        assert current_holder(lock) is not None


def test_while_it_is_published_again_a_holder_is_seen(lock: Path) -> None:
    with hold(lock, "one") as held, ThreadPoolExecutor(1) as pool:
        held.publish({"gateway": "http://127.0.0.1:8080"})
        seen = pool.submit(lambda: [current_holder(lock) for _ in range(2_000)])
        while not seen.done():
            held.publish({"gateway": "http://127.0.0.1:8080"})
    assert None not in seen.result()


def test_a_refused_start_is_not_taken_for_a_killed_one(lock: Path) -> None:
    with pytest.raises(PlatformError, match="port"), hold(lock, "one"):
        raise PlatformError("a port is taken")
    with hold(lock, "two") as held:
        assert held.former is None
