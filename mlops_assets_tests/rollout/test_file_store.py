import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlops_assets.errors import RolloutError
from mlops_assets.rollout.file_store import FileStore
from mlops_assets.rollout.store import RolloutStore
from mlops_assets_tests.rollout.store_contract import *  # noqa: F403


@pytest.fixture
def store(tmp_path: Path) -> RolloutStore:
    return FileStore(tmp_path / "rollouts")


def test_a_name_that_leaves_the_folder_is_refused(store: RolloutStore) -> None:
    for name in ("../toy", "", ".hidden", "a/b"):
        with pytest.raises(RolloutError, match="expected letters"):
            store.read(name)


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "rollouts").write_text("a file")
    with pytest.raises(RolloutError, match=r"toy\.state"):
        FileStore(tmp_path / "rollouts").write("toy", "one", "")


def test_writers_that_are_killed_leave_a_whole_document(tmp_path: Path) -> None:
    folder = tmp_path / "rollouts"
    writer = (
        "import sys; from pathlib import Path\n"
        "from mlops_assets.rollout.file_store import FileStore\n"
        "store = FileStore(Path(sys.argv[1])); token = store.read('toy')[1]\n"
        "while True: token = store.write('toy', 'x' * 300_000, token)\n"
    )
    store = FileStore(folder)
    for _ in range(3):
        before = store.read("toy")[1]
        process = subprocess.Popen([sys.executable, "-c", writer, str(folder)])
        deadline = time.monotonic() + 20
        while store.read("toy")[1] == before and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        content, token = store.read("toy")
        assert content == "x" * 300_000
        store.write("toy", "taken over", token)  # the lock died with its holder
