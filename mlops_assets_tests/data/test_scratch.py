import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os, signal, sys
from mlops_assets.data.scratch import new_scratch_folder
folder = new_scratch_folder()
(folder / "copy").write_text("x")
print(folder, flush=True)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run(how: str, temporary: Path) -> Path:
    result = subprocess.run(
        [sys.executable, "-c", CODE, how],
        env={"TMPDIR": str(temporary), "PATH": ""},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return Path(result.stdout.strip())


@pytest.mark.parametrize("how", ["ended", "killed"])
def test_a_folder_goes_with_its_process_or_with_the_next_one(how: str, tmp_path: Path) -> None:
    left = run(how, tmp_path)
    assert left.is_relative_to(tmp_path)
    assert left.exists() is (how == "killed")
    run("ended", tmp_path)
    assert not left.exists()
