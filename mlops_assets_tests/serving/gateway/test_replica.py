"""One process of a revision: what is told of it when it does not answer as it should."""

import asyncio
import sys
import time
from pathlib import Path

import psutil

from mlops_assets.serving.gateway.replica import Replica
from mlops_assets.serving.gateway.revisions import Revision
from mlops_assets.serving.gateway.settings import GatewaySettings

REFUSES = """
import asyncio, sys
BODY = ("x" + "é" * 200).encode()
async def refuse(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 400 No\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(BODY) + BODY)
async def main():
    async with await asyncio.start_unix_server(refuse, sys.argv[1]):
        await asyncio.sleep(60)
asyncio.run(main())
"""
SPEAKS_AND_IS_KILLED_THE_NEXT_TIME = """
import os, pathlib, sys
seen = pathlib.Path(sys.argv[1] + ".seen")
if seen.exists():
    os.kill(os.getpid(), 9)
seen.touch()
sys.exit("the words of the first")
"""


class Scripted(Replica):
    """Runs a script where the predictor would be run."""

    script = ""

    def _command(self) -> list[str]:
        return [sys.executable, "-c", self.script, str(self._socket_path)]


def scripted(folder: Path, script: str) -> Scripted:
    revision = Revision("toy", "v1", "key", folder / "model", (), 30.0, 100, {})
    replica = Scripted(
        revision,
        GatewaySettings(home=folder),
        socket_path=folder / "socket",
        log_path=folder / "log",
        segments=folder / "segments",
        changed=lambda: None,
    )
    replica.script = script
    return replica


async def reason_with(replica: Replica, words: str) -> str:
    deadline = time.monotonic() + 60
    while words not in replica.state.reason:
        assert time.monotonic() < deadline, replica.state
        await asyncio.sleep(0.02)
    return replica.state.reason


def test_an_answer_is_cut_between_letters(tmp_path: Path) -> None:
    """Cut within one, it ended the watch: the revision was starting for ever."""

    before = psutil.Process().children()

    async def main() -> None:
        replica = scripted(tmp_path, REFUSES)
        replica.start()
        reason = await reason_with(replica, "it answered 400 to its example")
        assert reason.endswith("é")
        await replica.stop()
        left = [child for child in psutil.Process().children() if child not in before]
        assert not [child for child in left if child.is_running()]

    asyncio.run(main())


def test_a_killed_process_is_not_told_with_the_words_of_the_one_before(tmp_path: Path) -> None:
    async def main() -> None:
        replica = scripted(tmp_path, SPEAKS_AND_IS_KILLED_THE_NEXT_TIME)
        replica.start()
        first = await reason_with(replica, "code 1")
        assert first == "its process ended with code 1: the words of the first"
        assert await reason_with(replica, "signal") == "its process ended with signal 9"
        await replica.stop()

    asyncio.run(main())
